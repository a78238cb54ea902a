"""Moves a call once to another arm, where its own fails before the caller has heard the agent.

While it rings the other arm is tried at the first failure, or where no session comes for a while;
after our answer where the session is gone, refuses for good, or owes the greeting for too long. The
failure is the first arm's all the same (`NEEDS.md` section 4 "Rescue before rollback").
"""

from bridge.engine.call.state import Stage
from bridge.engine.effects import OpenSession, SwitchArm
from bridge.engine.news import SessionLost
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.errors import UpstreamError
from bridge.realtime.failures import classify


def may_rescue(call: CallState) -> bool:
    """Return whether another arm may still take the call over."""
    if call.policy.rescue_after_ms is None or call.rescued:
        return False
    if call.playing or call.transcript.heard_any or call.agent_heard:
        return False
    if call.answered and not call.policy.agent.greet:
        return False  # the caller speaks first: what was said since is this arm's
    return call.fallback is None and call.ending is None and not call.handing_over


def rescue(call: CallState, code: str) -> Effects:
    """Go on with the other arm.

    Args:
        code: why the first one was left, a metric label.
    """
    call.rescued = True
    # What the first arm has spent of the attempts is not the second one's; the time is.
    call.budget = call.budget.moved()
    yield from call.stop_timer(Timer.RESCUE)
    yield SwitchArm(code)
    yield OpenSession(talk=call.take_talk())


def watch_arm(call: CallState) -> Effects:
    """Bound how long a ringing call waits for its first arm."""
    after_ms = call.policy.rescue_after_ms
    if after_ms is not None:
        yield from call.start_timer(Timer.RESCUE, after_ms)


def on_rescue_due(call: CallState, now_ns: int) -> Effects:
    """Leave an arm that has given no session for so long."""
    if call.stage is not Stage.RINGING or not may_rescue(call):
        return
    late = classify(UpstreamError("no session in time", code="timeout"))
    call.budget = call.budget.failed(late, now_ns)
    yield SessionLost(late, call.budget.failures)
    yield from rescue(call, late.code)
