"""The greeting by the bridge's own voice where the agent's is late; and calls without an agent."""

from dataclasses import replace

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted
from bridge.engine.core import CallPolicy
from bridge.engine.effects import (
    AnswerCall,
    DialPerson,
    Effect,
    FlushPlayout,
    HangUp,
    OpenSession,
    PlayAudio,
    PlayPhrase,
    Send,
    StartTimer,
    TransferCall,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    SessionReady,
    TimerFired,
    TransferFailed,
)
from bridge.engine.news import CallClosed, GaveUp, TurnMeasured
from bridge.engine.policy import NoAgent
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Fault, Outcome
from bridge.realtime.commands import CancelResponse, CreateResponse
from bridge.realtime.dialect import ServiceTraits
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import ResponseCreated
from bridge.routing.fallback import FallbackPolicy
from tests.engine.calls import A1, R1, R2, Call, audio, done, of, started
from tests.support.policies import (
    barge_in_policy,
    call_policy,
    fallback_policy,
    handoff_target,
    with_agent,
)

HELLO = "Hello, this is Northwind."
CACHED = call_policy(greeting_instructions=f'Say exactly: "{HELLO}"', cached_greeting=HELLO)
LATE = TimerFired(Timer.GREETING)
SORRY = "We are closed."
TO_QUEUE = handoff_target("fallback", "sip:queue@127.0.0.1:5070", refer_to_headers=False)


def commands(effects: list[Effect]) -> list[object]:
    return [effect.command for effect in of(Send, effects)]


def answered(policy: CallPolicy = CACHED) -> Call:
    call = Call(policy)
    effects = call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered())
    assert (StartTimer(Timer.GREETING, 800) in effects) == (
        policy.agent.cached_greeting is not None
    )
    return call


def phrase(effects: list[Effect]) -> PlayPhrase:
    (found,) = of(PlayPhrase, effects)
    return found


def test_service_that_cannot_speak_first_is_not_asked_and_its_first_answer_is_heard() -> None:
    call = Call(CACHED)
    ready = SessionReady("sess_1", service=ServiceTraits(speaks_first=False))
    effects = call.feed(CallOffered(), ready, CallAnswered())
    assert phrase(effects).text == HELLO
    assert not any(isinstance(each, CreateResponse) for each in commands(effects))
    call.feed(PlayoutStarted(phrase(effects).item_id, 0), PlayoutDrained())
    effects = call.feed(started(), ResponseCreated(R1), audio(A1, R1))
    assert CancelResponse(R1) not in commands(effects)
    assert len(of(PlayAudio, effects)) == 1


def test_greeting_is_left_to_the_agent_by_default() -> None:
    call = answered(with_agent(CACHED, cached_greeting=None))
    assert call.feed(LATE, after_ms=800) == []


def test_late_greeting_is_spoken_by_the_bridge_and_its_delay_is_the_greetings() -> None:
    call = answered()
    spoken = phrase(call.feed(LATE, after_ms=800))
    assert spoken.text == HELLO
    [measured] = of(TurnMeasured, call.feed(PlayoutStarted(spoken.item_id, 0), after_ms=30))
    assert measured.greeting_ns == 830_000_000
    assert call.core.state is State.SPEAKING


def test_greeting_of_the_agent_that_comes_after_all_is_cancelled_and_not_heard() -> None:
    call = answered()
    spoken = phrase(call.feed(LATE, after_ms=800))
    call.feed(PlayoutStarted(spoken.item_id, 0))
    effects = call.feed(ResponseCreated(R1), audio(A1, R1), after_ms=100)
    assert CancelResponse(R1) in commands(effects)
    assert of(PlayAudio, effects) == []
    call.feed(done(R1, ResponseStatus.CANCELLED), PlayoutDrained())
    assert call.core.state is State.LISTENING
    # The next answer is heard.
    effects = call.feed(started(), ResponseCreated(R2), audio(A1, R2))
    assert len(of(PlayAudio, effects)) == 1


def test_running_response_without_audio_is_cancelled() -> None:
    call = answered()
    call.feed(ResponseCreated(R1))
    effects = call.feed(LATE, after_ms=800)
    assert CancelResponse(R1) in commands(effects)
    assert phrase(effects).text == HELLO
    assert of(PlayAudio, call.feed(audio(A1, R1))) == []


def test_greeting_that_is_on_its_way_is_not_spoken_twice() -> None:
    call = answered()
    call.feed(ResponseCreated(R1), audio(A1, R1))
    assert call.feed(LATE, after_ms=800) == []
    call.feed(PlayoutStarted(A1, 0))
    assert call.feed(LATE) == []


def test_caller_who_speaks_first_is_not_greeted_over() -> None:
    call = answered()
    call.feed(started(), after_ms=300)
    assert of(PlayPhrase, call.feed(LATE, after_ms=500)) == []


def test_greeting_that_never_comes_is_not_asked_for_again() -> None:
    call = answered()
    call.feed(LATE, after_ms=800)
    effects = call.feed(TimerFired(Timer.RESPONSE), after_ms=9_200)
    assert not any(isinstance(each, CreateResponse) for each in commands(effects))


@pytest.mark.parametrize("protects", [True, False])
def test_cached_greeting_is_protected_like_the_agents(protects: bool) -> None:
    barge_in = barge_in_policy(protects_greeting=protects)
    call = answered(replace(CACHED, barge_in=barge_in))
    spoken = phrase(call.feed(LATE, after_ms=800))
    call.feed(PlayoutStarted(spoken.item_id, 0), SoundStarted(call.clock.now_ns()))
    call.clock.advance_ms(barge_in.min_speech_ms)
    effects = call.feed(SoundLasted(call.clock.now_ns(), barge_in.min_speech_ms))
    assert (FlushPlayout() not in effects) == protects


def without_agent(why: NoAgent, fallback: FallbackPolicy) -> Call:
    call = Call(call_policy(no_agent=why, fallback=fallback))
    effects = call.feed(CallOffered())
    assert AnswerCall() in effects
    assert of(OpenSession, effects) == []
    assert of(GaveUp, effects) == []
    return call


@pytest.mark.parametrize(
    ("why", "closed"),
    [
        (NoAgent.CLOSED, CallClosed(Outcome.COMPLETED, Fault.NONE, "closed")),
        (NoAgent.FULL, CallClosed(Outcome.REJECTED_BUSY, Fault.NONE, "line_full")),
    ],
)
def test_caller_without_an_agent_is_told_so_and_the_call_ends(
    why: NoAgent, closed: CallClosed
) -> None:
    call = without_agent(why, fallback_policy(say=SORRY))
    spoken = phrase(call.feed(CallAnswered()))
    assert spoken.text == SORRY
    call.feed(PlayoutStarted(spoken.item_id, 0))
    effects = call.feed(PlayoutDrained())
    assert HangUp(closed.outcome) in effects
    assert effects[-1] == closed


def test_closed_line_may_send_its_callers_on() -> None:
    fallback = fallback_policy(say=SORRY, transfer_to=TO_QUEUE, say_if_failed="Nobody is there.")
    call = without_agent(NoAgent.CLOSED, fallback)
    call.feed(PlayoutStarted(phrase(call.feed(CallAnswered())).item_id, 0))
    [transfer] = of(TransferCall, call.feed(PlayoutDrained()))
    assert transfer.to == TO_QUEUE.to
    assert of(DialPerson, call.feed(TransferFailed(486))) != []  # as the fallback does


def test_caller_who_hangs_up_on_a_closed_line_ends_it_as_closed() -> None:
    call = without_agent(NoAgent.CLOSED, fallback_policy(say=SORRY))
    call.feed(CallAnswered())
    assert call.feed(CallEnded(by_caller=True, sip_code=200))[-1] == CallClosed(
        Outcome.COMPLETED, Fault.NONE, "closed"
    )
