"""A call whose arm is a SIP URI: what the core decides, beside `tests/calls/test_sip_arm.py`."""

import pytest

from bridge.engine.effects import (
    AnswerCall,
    BridgePerson,
    DialPerson,
    LetPersonGo,
    OpenSession,
    RejectCall,
    Send,
    StartTimer,
    SwitchArm,
    TransferCall,
)
from bridge.engine.inputs import (
    AgentElsewhere,
    CallAnswered,
    CallEnded,
    CallOffered,
    PersonAnswered,
    PersonLeft,
    PersonSpoke,
    SessionFailed,
    SessionReady,
    TimerFired,
    TransferFailed,
    TransferProgressed,
)
from bridge.engine.news import (
    AgentHeard,
    AgentReached,
    CallClosed,
    HandoffFailed,
    HandoffStarted,
    SessionLost,
    TurnMeasured,
    Way,
)
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Outcome, UpstreamError
from tests.engine.calls import Call, of
from tests.support.policies import call_policy, fallback_policy, handoff_target

URI = "sip:agent@vendor.example"
AGENT = handoff_target(name="vendor", to=URI, refer=False, silent_ms=5_000)
SENT = handoff_target(name="vendor", to=URI, refer=True, silent_ms=5_000)
PLAIN = call_policy()
WITH_ARM = call_policy(rescue_after_ms=2_500)


def ringing(policy=PLAIN, agent=AGENT) -> Call:  # type: ignore[no-untyped-def]
    call = Call(policy)
    call.feed(CallOffered(), AgentElsewhere(agent))
    return call


def talking(policy=PLAIN) -> Call:  # type: ignore[no-untyped-def]
    call = ringing(policy)
    call.feed(PersonAnswered(), CallAnswered(), PersonSpoke())
    return call


def ended(call: Call, *inputs: object) -> CallClosed:
    [closed] = of(CallClosed, call.feed(*inputs))  # type: ignore[arg-type]
    return closed


def test_the_agent_is_called_while_it_rings_and_the_caller_answered_when_it_has() -> None:
    call = Call(PLAIN)
    call.feed(CallOffered())
    effects = call.feed(AgentElsewhere(AGENT))
    assert of(DialPerson, effects) == [DialPerson(URI, silent_ms=5_000)]
    assert not of(AnswerCall, effects)
    assert of(AnswerCall, call.feed(PersonAnswered()))
    joined = call.feed(CallAnswered(), after_ms=100)
    assert of(BridgePerson, joined) == [BridgePerson(listen=True)]
    assert of(AgentReached, joined) == [AgentReached(Way.BRIDGED, 100)]
    assert not of(HandoffStarted, effects + joined)
    assert not of(Send, effects + joined)
    assert call.core.state is State.HANDOFF


def test_the_longest_call_bounds_the_talk() -> None:
    call = ringing(call_policy(max_call_ms=60_000))
    call.feed(PersonAnswered(), CallAnswered())
    assert ended(call, TimerFired(Timer.MAX_DURATION)).outcome is Outcome.MAX_DURATION


@pytest.mark.parametrize(("unasked", "measured"), [(True, [300_000_000]), (False, [])])
def test_the_first_sound_is_measured_unless_the_caller_spoke_first(
    unasked: bool, measured: list[int]
) -> None:
    call = ringing()
    call.feed(PersonAnswered(), CallAnswered())
    effects = call.feed(PersonSpoke(unasked), after_ms=300)
    assert of(AgentHeard, effects)
    assert [each.greeting_ns for each in of(TurnMeasured, effects)] == measured


def test_either_side_hangs_up() -> None:
    by_agent = ended(talking(), PersonLeft(200))
    assert (by_agent.outcome, by_agent.reason) == (Outcome.COMPLETED, "agent_hung_up")
    by_caller = ended(talking(), CallEnded(by_caller=True, sip_code=200))
    assert (by_caller.outcome, by_caller.reason) == (Outcome.COMPLETED, "caller_hung_up")


def test_a_caller_who_cancels_takes_the_agents_call_back() -> None:
    call = ringing()
    effects = call.feed(CallEnded(by_caller=True, sip_code=487))
    assert of(LetPersonGo, effects)
    assert of(CallClosed, effects)[0].outcome is Outcome.CANCELLED
    assert not of(HandoffFailed, effects)
    assert not of(SessionLost, effects)


@pytest.mark.parametrize("event", [PersonLeft(503), TimerFired(Timer.RESCUE)])
def test_the_other_arm_takes_the_call_over_while_it_rings(event: PersonLeft | TimerFired) -> None:
    call = ringing(WITH_ARM)
    effects = call.feed(event, after_ms=2_500)
    assert of(LetPersonGo, effects)
    assert of(SwitchArm, effects)
    assert Timer.SESSION_READY in [each.timer for each in of(StartTimer, effects)]
    answered = call.feed(SessionReady("sess_1"))
    assert of(AnswerCall, answered)
    assert of(Send, call.feed(CallAnswered())), "the other arm's agent was not asked to greet"


def test_an_arm_by_sip_takes_over_from_one_with_sessions() -> None:
    call = Call(WITH_ARM)
    call.feed(CallOffered())
    effects = call.feed(SessionFailed(UpstreamError("no", code="http_503")))
    assert of(SwitchArm, effects)
    assert of(DialPerson, call.feed(AgentElsewhere(AGENT)))
    assert of(AnswerCall, call.feed(PersonAnswered()))


@pytest.mark.parametrize("lost", [PersonLeft(200), PersonLeft(408, lost=True)])
def test_an_agent_that_leaves_unheard_is_replaced_and_the_other_one_greets(
    lost: PersonLeft,
) -> None:
    call = ringing(WITH_ARM)
    call.feed(PersonAnswered(), CallAnswered())
    effects = call.feed(lost)
    assert [each.failure.code for each in of(SessionLost, effects)] == ["agent_left"]
    assert of(SwitchArm, effects)
    assert of(Send, call.feed(SessionReady("sess_1")))


def test_an_agent_that_leaves_before_our_answer_is_confirmed_is_replaced() -> None:
    call = ringing(WITH_ARM)
    call.feed(PersonAnswered())
    effects = call.feed(PersonLeft(200))
    assert of(SwitchArm, effects)
    call.feed(CallAnswered())
    assert of(Send, call.feed(SessionReady("sess_1")))


def test_an_agent_that_vanishes_in_the_talk_leads_to_the_fallback_and_no_other_arm() -> None:
    call = talking(call_policy(rescue_after_ms=2_500, fallback=fallback_policy(say="Sorry.")))
    effects = call.feed(PersonLeft(408, lost=True))
    assert [each.failure.code for each in of(SessionLost, effects)] == ["agent_lost"]
    assert not of(SwitchArm, effects)
    assert not of(OpenSession, effects)


def test_an_agent_that_is_not_there_for_good_refuses_the_call() -> None:
    effects = ringing().feed(PersonLeft(404))
    [lost] = of(SessionLost, effects)
    assert (lost.failure.code, lost.failure.permanent) == ("sip_404", True)
    assert of(RejectCall, effects)


def test_a_busy_agent_is_called_again_while_it_rings() -> None:
    call = ringing()
    assert of(OpenSession, call.feed(PersonLeft(486)))
    assert of(DialPerson, call.feed(AgentElsewhere(AGENT)))


def test_by_refer_the_caller_is_answered_and_sent_on() -> None:
    call = Call(PLAIN)
    call.feed(CallOffered())
    effects = call.feed(AgentElsewhere(SENT))
    assert of(AnswerCall, effects)
    assert of(TransferCall, call.feed(CallAnswered())) == [TransferCall(URI, refer_to_headers=True)]
    call.feed(TransferProgressed(100))
    closed = ended(call, CallEnded(by_caller=True, sip_code=200))
    assert (closed.outcome, closed.reason) == (Outcome.TRANSFERRED, "sent_to_arm")


def test_a_refused_refer_is_bridged_and_a_busy_target_of_it_is_not() -> None:
    call = ringing(WITH_ARM, SENT)
    call.feed(CallAnswered())
    assert of(DialPerson, call.feed(TransferFailed(603)))
    assert of(BridgePerson, call.feed(PersonAnswered()))
    busy = ringing(WITH_ARM, SENT)
    busy.feed(CallAnswered(), TransferProgressed(100))
    effects = busy.feed(TransferFailed(486))
    assert not of(DialPerson, effects)
    assert of(SwitchArm, effects)
