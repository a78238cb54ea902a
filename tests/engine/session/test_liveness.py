"""A service that says nothing while the caller speaks: asked, and left if it does not answer."""

import pytest

from bridge.audio.sounds import SoundStarted, SoundStopped
from bridge.engine.effects import Effect, KeepSpeech, OpenSession, Send, StartTimer, StopTimer
from bridge.engine.inputs import HoldChanged, Input, SupervisorActed, TimerFired
from bridge.engine.news import SessionLost
from bridge.engine.session.liveness import (
    ANSWERS_WITHIN_MS,
    ASKED_AGAIN_AFTER_MS,
    REPORTED_WITHIN_MS,
)
from bridge.engine.timers import Timer
from bridge.realtime.commands import ProbeSession
from bridge.realtime.event_values import ApiError
from bridge.realtime.events import ErrorReported, SessionUpdated
from bridge.realtime.session_config import SessionInfo
from bridge.routing.supervisor_verbs import SensitiveOrder
from tests.engine.calls import A1, R1, SILENT, Call, answered, audio, of, speaking, started
from tests.support.policies import with_agent

TELLS = with_agent(SILENT, turn_overdue_ms=1_500)
ASKED = ProbeSession()
BEGUN = StartTimer(Timer.UNHEARD, REPORTED_WITHIN_MS)
ENDED = StopTimer(Timer.UNHEARD)
UPDATED = SessionUpdated(SessionInfo("sess_1"))
REFUSED = ErrorReported(ApiError("invalid_request_error", "no such parameter", "unknown_parameter"))


def heard_here(call: Call) -> list[Effect]:
    return call.feed(SoundStarted(call.clock.now_ns()))


def asked() -> tuple[Call, list[Effect]]:
    call = answered(TELLS)
    heard_here(call)
    return call, call.feed(TimerFired(Timer.UNHEARD), after_ms=REPORTED_WITHIN_MS)


def test_sound_begins_the_watch() -> None:
    assert BEGUN in heard_here(answered(TELLS))


def test_service_that_tells_no_turns_is_not_watched() -> None:
    assert BEGUN not in heard_here(answered(with_agent(TELLS, turn_overdue_ms=None)))


def test_speech_that_is_told_already_is_not_watched() -> None:
    call = answered(TELLS)
    call.feed(started())
    assert BEGUN not in heard_here(call)


def test_service_that_a_supervisor_lets_hear_nothing_is_not_watched() -> None:
    call = answered(TELLS)
    heard_here(call)
    secret = call.feed(SupervisorActed("a1", "eve", SensitiveOrder(on=True)))
    assert ENDED in secret
    assert BEGUN not in heard_here(call)


@pytest.mark.parametrize("event", [started(), audio(A1, R1), HoldChanged(True)])
def test_word_of_the_service_ends_it(event: Input) -> None:
    call = speaking(TELLS)
    heard_here(call)
    assert ENDED in call.feed(event)


def test_end_of_the_sound_does_not_end_it() -> None:
    call = answered(TELLS)
    heard_here(call)
    assert ENDED not in call.feed(SoundStopped(call.clock.now_ns()))


def test_service_is_asked_to_change_nothing_and_the_speech_is_kept() -> None:
    _, effects = asked()
    assert [each.command for each in of(Send, effects)] == [ASKED]
    assert of(KeepSpeech, effects) == [KeepSpeech(REPORTED_WITHIN_MS)]
    assert StartTimer(Timer.UNHEARD, ANSWERS_WITHIN_MS) in effects


@pytest.mark.parametrize("event", [UPDATED, started(), REFUSED])
def test_any_answer_will_do(event: Input) -> None:
    call, _ = asked()
    effects = call.feed(event, after_ms=100)
    assert ENDED in effects
    assert of(SessionLost, effects) == []


def test_service_that_does_not_answer_is_left() -> None:
    call, _ = asked()
    effects = call.feed(TimerFired(Timer.UNHEARD), after_ms=ANSWERS_WITHIN_MS)
    assert [each.failure.code for each in of(SessionLost, effects)] == ["stalled"]
    assert len(of(OpenSession, effects)) == 1


def test_noise_asks_once_in_a_while() -> None:
    call, _ = asked()
    call.feed(UPDATED, SoundStopped(call.clock.now_ns()))
    assert BEGUN not in heard_here(call)
    call.feed(SoundStopped(call.clock.now_ns()))
    call.clock.advance_ms(ASKED_AGAIN_AFTER_MS)
    assert BEGUN in heard_here(call)
