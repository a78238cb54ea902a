"""What left its recording is told; what the decoder lost since then blocks."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest

from bridge.replay.call.timeline import CallLog
from bridge.replay.checks.check import CheckStatus
from bridge.replay.checks.divergence import (
    Departure,
    check_followed,
    compare_with_recording,
    find_departure,
    on_the_clock_of,
)
from bridge.replay.checks.protocol import DifferenceKind
from bridge.replay.checks.run import judge_run
from bridge.replay.evidence.evidence import CallerEvidence, Evidence, WireEvent
from bridge.replay.results.call import CallOutcome
from bridge.replay.script import CallScript

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
    caller = CallerEvidence(CallOutcome.ANSWERED, 200, "id", log=log)
    taken = None if recorded is None else tuple(recorded)
    return Evidence("run", "arm", "ga", caller, wire=tuple(played), recorded=taken)


def test_a_call_that_was_answered_from_no_recording_is_not_judged_by_one() -> None:
    assert check_followed(evidence(None, [CREATED])) == ()


def test_the_same_commands_follow_the_recording_whatever_audio_there_is() -> None:
    played = [CREATED, UPDATE, APPENDED, APPENDED, ANSWER]
    (check,) = check_followed(evidence([CREATED, UPDATE, APPENDED, ANSWER], played))
    assert (check.status, check.found) == (CheckStatus.PASS, "it did")


CREATE, CANCEL, TRUNCATE = "response.create", "response.cancel", "conversation.item.truncate"
ORDER = (
    *((20, "session.update"), (40, CREATE), (3000, CREATE), (4000, CANCEL), (4010, TRUNCATE)),
    *((5500, CREATE), (7000, CREATE)),
)
"""What was sent when it was recorded."""


def sent(order: Sequence[tuple[float, str]]) -> list[WireEvent]:
    """Return a wire log with audio before and after each command."""
    events = [CREATED]
    for at_ms, name in order:
        events += [APPENDED, wired(at_ms, "sent", name), APPENDED]
    return [*events, wired(9_900, "sent", "input_audio_buffer.append")]


def departure(*order: tuple[float, str]) -> Departure | None:
    later = [(at_ms + 150, name) for at_ms, name in order]
    return find_departure(evidence(sent(ORDER), sent(later)))


def test_the_same_order_at_other_times_follows_the_recording() -> None:
    assert departure(*ORDER) is None


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (0, f"session.update did not come, which the recording has here; {CREATE} came next"),
        (2, f"{CREATE} did not come, which the recording has here; {CANCEL} came next"),
        (3, f"{CANCEL} did not come, which the recording has here; {TRUNCATE} came next"),
        (5, f"{CREATE} did not come, which the recording has here; {CREATE} came next"),
        (6, f"{CREATE} did not come, which the recording has here; nothing more came"),
    ],
)
def test_a_command_that_is_left_out_is_told_at_its_place(place: int, what: str) -> None:
    assert departure(*ORDER[:place], *ORDER[place + 1 :]) == Departure(ORDER[place][0], what)


@pytest.mark.parametrize(
    ("place", "added", "before"),
    [
        (1, (30, CANCEL), CREATE),
        (2, (1500, CREATE), CREATE),
        (4, (4005, "conversation.item.create"), TRUNCATE),
        (6, (6200, CREATE), CREATE),
    ],
)
def test_a_command_that_is_added_is_told_at_its_place(
    place: int, added: tuple[float, str], before: str
) -> None:
    what = f"{added[1]} came, which the recording has not before {before}"
    assert departure(*ORDER[:place], added, *ORDER[place:]) == Departure(added[0] + 150, what)


@pytest.mark.parametrize("place", [0, 2, 3, 4])
def test_two_commands_in_the_other_order_are_told_at_their_place(place: int) -> None:
    (first_ms, first), (second_ms, second) = ORDER[place : place + 2]
    turned = ((first_ms, second), (second_ms, first))
    what = f"{second} came before {first}, which the recording has the other way round"
    found = departure(*ORDER[:place], *turned, *ORDER[place + 2 :])
    assert found == (None if first == second else Departure(first_ms + 150, what))


def test_another_command_in_the_place_of_one_is_told() -> None:
    found = departure(*ORDER[:3], (4000, "input_audio_buffer.clear"), *ORDER[4:])
    assert found == Departure(4150, f"input_audio_buffer.clear came in the place of {CANCEL}")


def test_items_of_different_kinds_are_different_commands() -> None:
    def item(kind: str) -> WireEvent:
        return wired(4000, "sent", "conversation.item.create", {"item": {"type": kind}})

    found = find_departure(evidence([CREATED, item("message")], [CREATED, item("mcp_approval")]))
    assert found is not None
    assert found.what == (
        "conversation.item.create (mcp_approval) came in the place of"
        " conversation.item.create (message)"
    )


def test_a_call_that_left_its_recording_is_inconclusive_from_there() -> None:
    cut = wired(5000, "sent", TRUNCATE)
    (check,) = check_followed(evidence([CREATED, UPDATE], [CREATED, UPDATE, cut]))
    assert (check.status, check.at_ms) == (CheckStatus.INCONCLUSIVE, 5000)
    assert f"{TRUNCATE} came, which the recording has not here; from there on" in check.found


def test_what_the_caller_hung_up_before_is_no_divergence() -> None:
    late = wired(8500, "sent", "response.create")
    (check,) = check_followed(evidence([CREATED, UPDATE, late], [CREATED, UPDATE]))
    assert check.status is CheckStatus.PASS


def test_turns_after_the_recording_was_left_are_off_script() -> None:
    script = CallScript.model_validate(
        {"schema": "callscript/v1", "id": "s", "caller": [], "end": {"by": "anyone"}}
    )
    cut = wired(5000, "sent", TRUNCATE)
    judgement = judge_run(script, evidence([CREATED, UPDATE], [CREATED, UPDATE, cut]))
    assert judgement.off_script_ms == 5000
    assert judge_run(script, evidence([CREATED, UPDATE], [CREATED, UPDATE])).off_script_ms is None


def test_what_comes_when_both_callers_hang_up_is_no_divergence() -> None:
    late = wired(8500, "sent", "response.create")
    ends = wired(9000, "sent", "input_audio_buffer.append")
    (check,) = check_followed(evidence([CREATED, UPDATE, ends], [CREATED, UPDATE, late]))
    assert check.status is CheckStatus.PASS
    longer = wired(12_000, "sent", "input_audio_buffer.append")
    (check,) = check_followed(evidence([CREATED, UPDATE, longer], [CREATED, UPDATE, late]))
    assert (check.status, check.at_ms) == (CheckStatus.INCONCLUSIVE, 8500)


def test_a_session_that_the_recording_lacks_is_told() -> None:
    second = wired(3000, "received", "session.created", session=2)
    (check,) = check_followed(evidence([CREATED], [CREATED, second]))
    assert check.status is CheckStatus.INCONCLUSIVE
    assert "session 2 came, which the recording has not here" in check.found


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
