"""What left its recording is told; what the decoder lost since then blocks."""

from collections.abc import Sequence
from typing import Any, Literal

from bridge.replay.checks import CheckStatus
from bridge.replay.divergence import check_followed, compare_with_recording, on_the_clock_of
from bridge.replay.evidence import CallerSide, Evidence, WireEvent
from bridge.replay.protocol import DifferenceKind
from bridge.replay.result import CallOutcome
from bridge.replay.timeline import CallLog

Raw = dict[str, Any]  # Any: JSON


def wired(
    at_ms: float,
    direction: Literal["sent", "received"],
    type: str,
    raw: Raw | None = None,
    fields: tuple[str, ...] = (),
    session: int = 1,
) -> WireEvent:
    at_ns = round(at_ms * 1e6)
    return WireEvent(at_ns, at_ms, direction, type, type, raw or {}, fields, session)


CREATED = wired(0, "received", "session.created")
UPDATE = wired(10, "sent", "session.update", {"session": {"voice": "marin"}})
ANSWER = wired(4000, "sent", "response.create")
APPENDED = wired(20, "sent", "input_audio_buffer.append")


def evidence(recorded: Sequence[WireEvent] | None, played: Sequence[WireEvent]) -> Evidence:
    log = CallLog(
        deeds=[],
        utterances=[],
        pieces=[],
        recognised=False,
        duration_ms=10_000,
        ended_by_far_end=False,
    )
    caller = CallerSide(CallOutcome.ANSWERED, 200, "id", log=log)
    taken = None if recorded is None else tuple(recorded)
    return Evidence("run", "arm", "ga", caller, wire=tuple(played), recorded=taken)


def test_a_call_that_was_answered_from_no_recording_is_not_judged_by_one() -> None:
    assert check_followed(evidence(None, [CREATED])) == ()


def test_the_same_commands_follow_the_recording_whatever_audio_there_is() -> None:
    played = [CREATED, UPDATE, APPENDED, APPENDED, ANSWER]
    (check,) = check_followed(evidence([CREATED, UPDATE, APPENDED, ANSWER], played))
    assert (check.status, check.found) == (CheckStatus.PASS, "it did")


def test_a_command_that_the_recording_lacks_is_told_with_its_time() -> None:
    cut = wired(5000, "sent", "conversation.item.truncate")
    (check,) = check_followed(evidence([CREATED, UPDATE], [CREATED, UPDATE, cut]))
    assert (check.status, check.at_ms) == (CheckStatus.INCONCLUSIVE, 5000)
    assert "it sent conversation.item.truncate, which the recording has not" in check.found


def test_a_command_that_is_left_out_is_told_with_its_time_and_what_follows_is_counted() -> None:
    again = wired(6000, "sent", "response.create")
    (check,) = check_followed(evidence([CREATED, UPDATE, ANSWER, again], [CREATED, UPDATE]))
    assert (check.status, check.at_ms) == (CheckStatus.INCONCLUSIVE, 4000)
    assert "it did not send response.create, which the recording has here" in check.found
    assert "and 1 more" in check.found


def test_what_the_caller_hung_up_before_is_no_divergence() -> None:
    late = wired(8500, "sent", "response.create")
    (check,) = check_followed(evidence([CREATED, UPDATE, late], [CREATED, UPDATE]))
    assert check.status is CheckStatus.PASS


def test_a_session_that_the_recording_lacks_is_told() -> None:
    second = wired(3000, "received", "session.created", session=2)
    (check,) = check_followed(evidence([CREATED], [CREATED, second]))
    assert check.status is CheckStatus.INCONCLUSIVE
    assert "it opened session 2, the recording has 1" in check.found


def test_a_recording_is_laid_on_the_clock_of_the_call() -> None:
    begun = [wired(-40, "received", "session.created"), wired(0, "sent", "session.update")]
    recorded = [wired(70_000, "received", "session.created"), wired(70_500, "sent", "x")]
    assert [each.at_ms for each in on_the_clock_of(begun, recorded)] == [-40, 460]
    assert on_the_clock_of([], recorded) == tuple(recorded)


def test_what_the_decoder_has_lost_blocks_and_what_it_has_learned_does_not() -> None:
    done = "response.done"
    then = [wired(0, "received", done, fields=("response_id", "usage"))]
    now = [wired(0, "received", done, fields=("response_id", "novelty"))]
    found = {
        (each.kind, each.detail): each.blocks
        for each in compare_with_recording("beta", "beta", [then], [now])
    }
    assert found == {
        (DifferenceKind.FIELD_MISSING, "usage is never there on beta"): True,
        (DifferenceKind.FIELD_EXTRA, "novelty is never there on its recording"): False,
    }


def test_what_is_sent_beside_what_was_sent_is_told_and_does_not_block() -> None:
    more = wired(10, "sent", "session.update", {"session": {"voice": "marin", "speed": 1}})
    (found,) = compare_with_recording("ga", "ga", [[CREATED, UPDATE]], [[CREATED, more]])
    assert "session.speed is never there on its recording" in found.detail
    assert not found.blocks
