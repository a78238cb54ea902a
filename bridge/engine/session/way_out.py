"""The way out of a call whose arm is a SIP URI: its agent is called, or the caller is sent there.

    AgentElsewhere -> DIALLING while the caller hears ringing; answered when the agent has answered
                   -> answered first, where something has to be heard before, or by REFER

From there on it is a handing over (:mod:`bridge.engine.handoff.transfer`) whose target is no
person: it is no handoff in the record, and where it fails the call goes on as one whose session is
lost: tried again, with the rollout's other arm, or with the fallback.
"""

from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.handoff.person import answer_for_agent
from bridge.engine.handoff.steps import HandoffSignal
from bridge.engine.handoff.transfer import advance, fail, start_handoff
from bridge.engine.inputs import AgentElsewhere, Input, SessionFailed
from bridge.engine.news import Way
from bridge.engine.session import rescue
from bridge.engine.session.recovery import on_session_failed
from bridge.engine.state import CallState, Effects, HandingOver
from bridge.engine.timers import Timer
from bridge.errors import Fault, Outcome, UpstreamError
from bridge.realtime.commands import CreateResponse

SENT_OUT = CallEnd(Outcome.TRANSFERRED, Fault.NONE, "sent_to_arm")
"""How a call ends that its trunk has taken to the arm's agent: the rest is not seen."""


def on_agent_elsewhere(call: CallState, event: AgentElsewhere, now_ns: int) -> Effects:
    """Call the agent while the caller hears ringing, unless the caller has to hear us first."""
    if call.handoff is not None or call.fallback is not None:
        return
    agent = event.agent
    yield from call.stop_timer(Timer.SESSION_READY)  # the agent's own time to ring bounds it
    if call.stage is Stage.RINGING and not agent.refer and call.policy.consent is None:
        call.handoff = HandingOver(now_ns, agent, SENT_OUT, _agent_failed, way=Way.BRIDGED)
        yield from advance(call, HandoffSignal.DIAL, now_ns)
        return
    call.way_out = agent
    if call.stage is Stage.RINGING:
        yield from answer_for_agent(call)


def watch_way_out(call: CallState, event: Input, now_ns: int) -> Effects:
    """Have the caller go to the agent, once what comes before it was heard.

    Looked at after every input.
    """
    agent = call.way_out
    if agent is None or call.stage is not Stage.TALKING or call.fallback is not None:
        return
    if call.consent.open or call.elsewhere or call.audible:
        return
    call.way_out = None
    yield from start_handoff(call, HandingOver(now_ns, agent, SENT_OUT, _agent_failed), now_ns)


def on_rescue_due(call: CallState, now_ns: int) -> Effects:
    """Leave an arm whose agent has not answered for so long, or that has given no session."""
    if call.stage is Stage.RINGING and call.handoff is not None:
        yield from fail(call, "timeout", now_ns)
    else:
        yield from rescue.on_rescue_due(call, now_ns)


def _agent_failed(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    """Go on as where a session is lost, or not to be had."""
    if call.stage is Stage.RINGING:
        yield from call.start_timer(Timer.SESSION_READY, call.policy.limits.session_ready_ms)
    elif call.policy.agent.greet and not call.agent_heard:
        call.log.sent(CreateResponse())  # whoever comes in its place is to greet
    error = UpstreamError("the arm's agent was not reached, or left", code=handoff.failure)
    yield from on_session_failed(call, SessionFailed(error), now_ns)
