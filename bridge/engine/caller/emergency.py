"""Answers words that show an emergency with an instruction, and reports them.

The instruction cuts the agent, and nothing cuts it. It never says that help comes: nobody here can
send any. Then the agent goes on, knowing what the caller was told, or a person takes the call.
"""

from bridge.engine.agent.requests import request_response
from bridge.engine.caller.interruption import cut
from bridge.engine.floor import agent_can_be_cut
from bridge.engine.handoff.steps import HandingOver
from bridge.engine.handoff.transfer import want_handoff
from bridge.engine.news import EmergencyHeard, Speaker
from bridge.engine.state import CallState, Effects, Ending
from bridge.engine.voice.speech import say
from bridge.errors import Fault, Outcome
from bridge.routing.emergency import EmergencyPolicy

EMERGENCY = Ending(Outcome.TRANSFERRED, Fault.NONE, "emergency")


def hear_emergency(call: CallState, text: str, now_ns: int) -> Effects | None:
    """Act on words of an emergency; None where these are none."""
    policy = call.policy.emergency
    phrase = None if policy is None else policy.words.find(text)
    if policy is None or phrase is None:
        return None
    return _act(call, policy, EmergencyHeard(phrase), now_ns)


def _act(call: CallState, policy: EmergencyPolicy, heard: EmergencyHeard, now_ns: int) -> Effects:
    yield heard
    if call.handing_over or call.speech.says(policy.instruction):
        return  # a person is on their way; the caller hears it just now
    interrupts = agent_can_be_cut(call)
    if interrupts:
        yield from cut(call, now_ns, by=Speaker.BRIDGE)
    yield from say(call, policy.instruction, protected=True, by_model=policy.by_model)
    person = call.policy.person
    if policy.transfers and person is not None and not call.elsewhere:
        yield from want_handoff(call, HandingOver(now_ns, person, EMERGENCY, _go_on))
    elif interrupts and not policy.by_model:
        yield from request_response(call)  # the answer that was cut, in the light of it


def _go_on(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from request_response(call)
