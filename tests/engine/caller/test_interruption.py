"""The interruption transaction: silence, cancel, truncate to what was heard, drop the rest."""

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.engine.effects import (
    Effect,
    FlushPlayout,
    KeepTurns,
    PlayAudio,
    Send,
    StartTimer,
    StopTimer,
)
from bridge.engine.news import (
    Interrupted,
    PhaseChanged,
    Speaker,
    StateChanged,
    TransitionRefused,
    TurnSpoken,
    UpstreamErrorSeen,
)
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.realtime.commands import CancelResponse, Command, TruncateItem
from bridge.realtime.event_values import ApiError, ResponseStatus
from bridge.realtime.events import AudioDone, ErrorReported, InputCleared, ResponseCreated
from bridge.realtime.ids import ItemId
from tests.engine.calls import (
    A1,
    A2,
    MS,
    R1,
    R2,
    U1,
    U2,
    Call,
    answered,
    audio,
    done,
    flushed,
    of,
    said,
    said_all,
    speaking,
    started,
    stopped,
    thinking,
)
from tests.support.policies import call_policy

CUT = PhaseChanged(State.SPEAKING, State.CANCELLING, "interrupted")


def sent(effects: list[Effect]) -> list[Command]:
    return [effect.command for effect in of(Send, effects)]


def generated() -> Call:
    """All 2000 ms of A1 were received and the response is over; the caller hears its start."""
    call = speaking()
    call.feed(AudioDone(response_id=R1, item_id=A1), said_all(A1, R1, "hello there"), done(R1))
    return call


def test_speech_over_a_running_response_flushes_and_cancels() -> None:
    assert speaking().feed(started(U2)) == [
        FlushPlayout(),
        Send(CancelResponse(R1)),
        CUT,
        StateChanged({"response_id": "", "phase": "cancelling"}),
    ]


def test_speech_over_audio_whose_response_is_over_flushes_without_cancel() -> None:
    assert generated().feed(started(U2)) == [
        FlushPlayout(),
        CUT,
        StateChanged({"phase": "cancelling"}),
    ]


def test_speech_over_audio_that_was_not_heard_yet_cuts_it() -> None:
    call = thinking()
    call.feed(audio(A1, R1), done(R1))
    assert call.feed(started(U2))[0] == FlushPlayout()


def test_speech_over_a_response_without_audio_cancels_it() -> None:
    assert thinking().feed(started(U2)) == [
        FlushPlayout(),
        Send(CancelResponse(R1)),
        PhaseChanged(State.THINKING, State.CANCELLING, "interrupted"),
        StateChanged({"response_id": "", "phase": "cancelling"}),
    ]


def test_flush_truncates_to_what_was_heard() -> None:
    call = generated()
    call.feed(started(U2))
    assert call.feed(flushed((A1, 1_300, 2_000)), after_ms=7) == [
        Send(TruncateItem(A1, 0, 1_300)),
        TurnSpoken(Speaker.AGENT, A1, "hello", 0, heard_ms=1_300, interrupted=True),
        Interrupted(A1, 1_300, stop_ns=7 * MS, spoken=True),
        PhaseChanged(State.CANCELLING, State.LISTENING, "playout_flushed"),
        StateChanged({"played_ms": 1_300, "phase": "listening"}),
    ]


def test_truncate_never_exceeds_what_was_queued() -> None:
    call = generated()
    call.feed(started(U2))
    assert sent(call.feed(flushed((A1, 2_010, 2_000)))) == [TruncateItem(A1, 0, 2_000)]


def test_parts_never_heard_are_truncated_to_nothing() -> None:
    call = speaking()
    call.feed(audio(A2, R1), started(U2))
    effects = call.feed(flushed((A1, 300, 2_000), (A2, 0, 100)))
    assert sent(effects) == [TruncateItem(A1, 0, 300), TruncateItem(A2, 0, 0)]
    assert of(Interrupted, effects) == [Interrupted(A1, 300, 0, spoken=True)]


def test_growing_part_heard_to_its_last_byte_is_truncated_too() -> None:
    """The server has generated more than it had sent; those deltas will be dropped."""
    call = speaking(audio_ms=400)
    call.feed(PlayoutDrained(), started(U2))
    effects = call.feed(flushed())
    assert sent(effects) == [TruncateItem(A1, 0, 400)]
    assert of(Interrupted, effects) == [Interrupted(A1, 400, 0, spoken=True)]


def test_complete_part_heard_to_its_end_is_left_alone() -> None:
    call = speaking(audio_ms=400)
    call.feed(AudioDone(response_id=R1, item_id=A1), PlayoutDrained(), started(U2))
    assert sent(call.feed(flushed())) == []


@pytest.mark.parametrize(
    ("heard_ms", "text"),
    [
        (0, ""),
        (250, ""),
        (1_000, "our"),
        (1_600, "our hours are"),
        (2_000, "our hours are ten"),
    ],
)
def test_interruption_reports_the_words_that_fit_into_what_was_heard(
    heard_ms: int, text: str
) -> None:
    call = speaking()
    call.feed(said(A1, R1, "our hours "), said(A1, R1, "are ten"), started(U2))
    turn = TurnSpoken(Speaker.AGENT, A1, text, 0, heard_ms=heard_ms, interrupted=True)
    assert of(TurnSpoken, call.feed(flushed((A1, heard_ms, 2_000)))) == [turn]


def test_late_deltas_of_the_cancelled_response_are_dropped() -> None:
    call = speaking()
    call.feed(started(U2))
    assert call.feed(audio(A1, R1), AudioDone(response_id=R1, item_id=A1)) == []
    assert call.feed(said(A1, R1, "x"), said_all(A1, R1, "x")) == []
    call.feed(flushed((A1, 10, 2_000)))
    assert call.feed(audio(A1, R1), audio(A2, R1)) == []
    call.feed(done(R1, ResponseStatus.CANCELLED))
    assert call.feed(audio(A1, R1)) == []


def test_cancelled_response_created_again_stays_dead() -> None:
    call = speaking()
    call.feed(started(U2), ResponseCreated(R1))
    assert call.feed(audio(A1, R1)) == []
    call.feed(done(R1, ResponseStatus.CANCELLED), ResponseCreated(R1))
    assert call.feed(audio(A1, R1)) == []


def test_speech_started_repeated_cuts_once() -> None:
    call = speaking()
    call.feed(started(U2))
    assert call.feed(started(U2)) == []
    call.feed(flushed((A1, 10, 2_000)))
    assert call.feed(started(U2)) == []


def test_flush_reported_twice_truncates_once_and_is_refused() -> None:
    call = speaking()
    call.feed(started(U2), flushed((A1, 10, 2_000)))
    assert call.feed(flushed()) == [TransitionRefused(State.LISTENING, "playout_flushed")]


def test_speech_while_nothing_plays_or_runs_is_no_interruption() -> None:
    call = answered()
    assert call.feed(started()) == [KeepTurns(U1)]
    assert call.core.state is State.LISTENING


def test_caller_who_goes_on_before_a_response_exists_is_no_interruption() -> None:
    call = answered()
    call.feed(started(), stopped())
    assert call.feed(started(U2)) == [
        StopTimer(Timer.RESPONSE),
        PhaseChanged(State.THINKING, State.LISTENING, "speech_started"),
        StateChanged({"phase": "listening"}),
    ]


def test_late_cancel_is_benign() -> None:
    call = speaking()
    call.feed(started(U2))
    error = ApiError("invalid_request_error", "…", code="response_cancel_not_active")
    assert call.feed(ErrorReported(error)) == [UpstreamErrorSeen("response_cancel_not_active")]
    assert call.core.state is State.CANCELLING


def test_playout_report_of_a_cut_item_does_not_sound_as_speaking() -> None:
    call = thinking()
    call.feed(audio(A1, R1), started(U2), flushed((A1, 0, 100)))
    assert call.feed(PlayoutStarted(A1, 0)) == []
    assert call.core.state is State.LISTENING


def test_next_turn_after_an_interruption_is_heard() -> None:
    call = speaking()
    call.feed(started(U2), flushed((A1, 10, 2_000)), done(R1, ResponseStatus.CANCELLED))
    call.feed(stopped(item_id=U2), ResponseCreated(R2))
    assert of(PlayAudio, call.feed(audio(A2, R2))) == [PlayAudio(A2, 0, bytes(4_800))]
    call.feed(PlayoutStarted(A2, 0))
    assert call.core.state is State.SPEAKING


def test_turn_taken_before_the_flush_report_leads_to_thinking() -> None:
    call = speaking()
    assert of(PhaseChanged, call.feed(started(U2), stopped(item_id=U2))) == [CUT]
    effects = call.feed(flushed((A1, 10, 2_000)))
    assert of(PhaseChanged, effects) == [
        PhaseChanged(State.CANCELLING, State.LISTENING, "playout_flushed"),
        PhaseChanged(State.LISTENING, State.THINKING, "speech_stopped"),
    ]


def test_interruption_restarts_no_watchdog() -> None:
    call = speaking()
    effects = call.feed(started(U2), flushed((A1, 10, 2_000)), done(R1, ResponseStatus.CANCELLED))
    assert of(StartTimer, effects) == []


def test_greeting_created_after_the_caller_began_is_cancelled() -> None:
    call = answered(call_policy())
    call.feed(started())
    assert call.feed(ResponseCreated(R1)) == [Send(CancelResponse(R1))]
    assert call.feed(audio(A1, R1)) == []
    call.feed(stopped(), done(R1, ResponseStatus.CANCELLED))
    assert call.core.state is State.THINKING


def test_response_that_the_server_makes_after_a_lost_speech_stopped_is_played() -> None:
    call = answered()
    call.feed(started(), ResponseCreated(R1))
    assert of(PlayAudio, call.feed(audio(A1, R1))) != []


def test_false_start_gives_an_owed_response_its_chance() -> None:
    call = speaking()
    call.feed(started(U2), flushed(), done(R1, ResponseStatus.CANCELLED))
    assert call.feed(InputCleared()) == [KeepTurns(None)]
    assert call.core.state is State.LISTENING


def test_interrupted_item_of_an_earlier_response_is_truncated_with_the_running_one() -> None:
    call = generated()
    call.feed(ResponseCreated(R2), audio(A2, R2))
    effects = call.feed(started(U2))
    assert sent(effects) == [CancelResponse(R2)]
    parts: list[tuple[ItemId, int, int]] = [(A1, 900, 2_000), (A2, 0, 100)]
    assert sent(call.feed(flushed(*parts))) == [TruncateItem(A1, 0, 900), TruncateItem(A2, 0, 0)]
