"""A turn whose end the service does not tell: committed by the bridge, and the session left."""

from dataclasses import replace

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.clock import NS_PER_MS
from bridge.engine.caller.state import REPORTED_LATE_NS
from bridge.engine.caller.turn import COMMITS_WITHIN_MS
from bridge.engine.effects import Effect, OpenSession, PlayFiller, Send, StartTimer, StopTimer
from bridge.engine.inputs import HoldChanged, SessionFailed, SessionReady, TimerFired
from bridge.engine.media import AudioAppended
from bridge.engine.news import SessionLost
from bridge.engine.policy import CallPolicy
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import UpstreamError
from bridge.realtime.commands import CommitInput, CreateResponse
from bridge.realtime.event_values import ApiError
from bridge.realtime.events import ErrorReported, InputCleared, InputCommitted, ResponseCreated
from tests.engine.calls import (
    A1,
    R1,
    SILENT,
    U1,
    U2,
    Call,
    answered,
    audio,
    flushed,
    of,
    started,
    stopped,
)
from tests.support.policies import barge_in_policy, with_agent

OVERDUE_MS = 1_500
THEIRS = with_agent(replace(SILENT, filler_after_ms=1_500), turn_overdue_ms=OVERDUE_MS)
OURS = replace(THEIRS, barge_in=barge_in_policy())


def waiting(policy: CallPolicy) -> Call:
    """The service heard the caller begin, and we have heard them end."""
    call = answered(policy)
    call.feed(SoundStarted(0), started(), SoundLasted(0, 460), SoundStopped(0))
    return call


def overdue(policy: CallPolicy) -> tuple[Call, list[Effect]]:
    call = waiting(policy)
    return call, call.feed(TimerFired(Timer.OPEN_TURN), after_ms=OVERDUE_MS)


def sent(effects: list[Effect]) -> list[object]:
    return [effect.command for effect in of(Send, effects)]


def watched(effects: list[Effect]) -> list[object]:
    """What became of the watch, in order."""
    kinds = [each for each in effects if isinstance(each, StartTimer | StopTimer)]
    return [each for each in kinds if each.timer is Timer.OPEN_TURN]


def test_end_of_the_sound_begins_the_watch() -> None:
    call = answered(OURS)
    assert watched(call.feed(SoundStarted(0), started())) == []
    assert watched(call.feed(SoundStopped(0))) == [StartTimer(Timer.OPEN_TURN, OVERDUE_MS)]


@pytest.mark.parametrize("policy", [OURS, THEIRS])
def test_turn_that_is_said_to_be_over_and_not_committed_is_committed_here(
    policy: CallPolicy,
) -> None:
    call = waiting(policy)
    assert watched(call.feed(stopped())) == []  # counted from the end of the sound on
    effects = call.feed(TimerFired(Timer.OPEN_TURN), after_ms=OVERDUE_MS)
    assert sent(effects) == [CommitInput()]
    effects = call.feed(InputCommitted(U1))
    assert sent(effects) == [CreateResponse()]
    assert StopTimer(Timer.OPEN_TURN) in effects


def test_service_that_answers_to_no_commit_after_its_own_word_is_left() -> None:
    call = waiting(OURS)
    call.feed(stopped())
    call.feed(TimerFired(Timer.OPEN_TURN), after_ms=OVERDUE_MS)
    effects = call.feed(TimerFired(Timer.OPEN_TURN), after_ms=COMMITS_WITHIN_MS)
    assert [each.failure.code for each in of(SessionLost, effects)] == ["stalled"]


@pytest.mark.parametrize("event", [InputCommitted(U1), InputCleared()])
def test_word_of_the_service_ends_it(event: object) -> None:
    call = waiting(OURS)
    assert StopTimer(Timer.OPEN_TURN) in watched(call.feed(event))  # type: ignore[arg-type]


def test_caller_who_goes_on_ends_it() -> None:
    assert watched(waiting(OURS).feed(SoundStarted(0))) == [StopTimer(Timer.OPEN_TURN)]


def test_hold_ends_it() -> None:
    assert watched(waiting(OURS).feed(HoldChanged(True))) == [StopTimer(Timer.OPEN_TURN)]


def test_speech_that_only_the_service_hears_is_not_watched() -> None:
    assert watched(answered(OURS).feed(started())) == []


def test_turn_in_kept_audio_is_watched_however_long_ago_it_was_spoken() -> None:
    """What two sessions in a row led to: one closed behind the words, the next told no end."""
    call = waiting(OURS)
    call.feed(SessionFailed(UpstreamError("gone", code="closed", close_code=1001)))
    call.feed(SessionReady("sess_2", kept_speech=True), after_ms=2 * REPORTED_LATE_NS // NS_PER_MS)
    call.feed(AudioAppended(2_000, call.clock.now_ns(), pieces=0))
    assert watched(call.feed(started(U2))) == [StartTimer(Timer.OPEN_TURN, OVERDUE_MS)]


def test_service_that_tells_no_ends_is_not_watched() -> None:
    assert watched(waiting(with_agent(OURS, turn_overdue_ms=None)).feed()) == []


@pytest.mark.parametrize("policy", [OURS, THEIRS])
def test_overdue_turn_is_committed_and_awaited(policy: CallPolicy) -> None:
    call, effects = overdue(policy)
    assert sent(effects) == [CommitInput()]
    assert StartTimer(Timer.OPEN_TURN, COMMITS_WITHIN_MS) in effects
    assert StartTimer(Timer.FILLER, 0) in effects  # the caller has heard nothing since their word
    assert call.core.state is State.THINKING
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER))) == [PlayFiller()]


@pytest.mark.parametrize("policy", [OURS, THEIRS])
def test_committed_turn_is_answered(policy: CallPolicy) -> None:
    call, _ = overdue(policy)
    effects = call.feed(InputCommitted(U1))
    assert sent(effects) == [CreateResponse()]
    assert StopTimer(Timer.OPEN_TURN) in effects
    call.feed(ResponseCreated(R1), audio(A1, R1))
    assert call.core.state is State.SPEAKING or call.core.state is State.THINKING


def test_service_that_does_not_answer_to_the_commit_is_left() -> None:
    call, _ = overdue(OURS)
    effects = call.feed(TimerFired(Timer.OPEN_TURN), after_ms=COMMITS_WITHIN_MS)
    assert [each.failure.code for each in of(SessionLost, effects)] == ["stalled"]
    assert of(OpenSession, effects) != []


def test_service_with_nothing_to_commit_is_there() -> None:
    call, _ = overdue(OURS)
    error = ApiError("invalid_request_error", "buffer too small", "input_audio_buffer_commit_empty")
    assert StopTimer(Timer.OPEN_TURN) in call.feed(ErrorReported(error))
    assert watched(call.feed(SoundStarted(0), SoundStopped(0))) == []  # it is asked once


def test_answer_that_the_caller_spoke_into_goes_on_being_watched() -> None:
    """What a split question led to: a stalled answer, and a caller said to be speaking for ever."""
    call = answered(OURS)
    call.feed(started(), stopped(), InputCommitted(U1), ResponseCreated(R1), audio(A1, R1, 300))
    call.feed(PlayoutStarted(A1, 0), SoundStarted(0), started(U2), SoundStopped(0))
    call.feed(PlayoutDrained())
    effects = call.feed(TimerFired(Timer.OPEN_TURN), after_ms=OVERDUE_MS)
    assert sent(effects) == [CommitInput()]
    assert StartTimer(Timer.FILLER, 0) in effects


def test_cut_answer_of_a_stalled_service_leaves_no_caller_waiting() -> None:
    call = answered(OURS)
    call.feed(started(), stopped(), InputCommitted(U1), ResponseCreated(R1), audio(A1, R1, 300))
    call.feed(PlayoutStarted(A1, 0), SoundStarted(0), started(U2), SoundLasted(0, 460))
    call.feed(flushed((A1, 200, 300)))
    assert StartTimer(Timer.OPEN_TURN, OVERDUE_MS) in call.feed(SoundStopped(0))
    call.feed(TimerFired(Timer.OPEN_TURN), after_ms=OVERDUE_MS)
    effects = call.feed(TimerFired(Timer.OPEN_TURN), after_ms=COMMITS_WITHIN_MS)
    assert of(SessionLost, effects) != []
