"""Handles the events of the person who takes a call over: answer, decision, keys, hold, end.

Their keys are good from their answer on; their voice only after the announcement, as it is found by
its level alone.
"""

from bridge.engine.call.closing import AGENT_HUNG_UP
from bridge.engine.call.state import Stage
from bridge.engine.effects import AnswerCall, PassDigits
from bridge.engine.handoff.steps import HandoffSignal, HandoffStep
from bridge.engine.handoff.transfer import advance, fail
from bridge.engine.inputs import (
    AnnouncementHeard,
    PersonAnswered,
    PersonHeld,
    PersonLeft,
    PersonPressed,
    PersonSpoke,
)
from bridge.engine.news import AgentHeard, TurnMeasured
from bridge.engine.state import CallState, Effects, HandingOver
from bridge.engine.timers import Timer
from bridge.engine.voice.filler import stop_filler, want_filler

AGENT_LEFT, AGENT_LOST = "agent_left", "agent_lost"
"""Failures of an arm's agent: it went before it was heard; or later, and without a BYE."""

_FIRST_FAILURE_CODE = 300
"""SIP final responses from here on are no success (RFC 3261 section 7.2)."""


def on_answered(call: CallState, event: PersonAnswered, now_ns: int) -> Effects:
    """Announce the waiting caller to the person, or put the caller through.

    A caller who hears ringing yet is answered first (:func:`put_through` follows).
    """
    if call.stage is Stage.RINGING:
        yield from answer_for_agent(call)
        return
    warm = call.handoff is not None and call.handoff.target.warm
    yield from advance(call, HandoffSignal.ANSWERED if warm else HandoffSignal.ACCEPTED, now_ns)


def on_announcement_heard(call: CallState, event: AnnouncementHeard, now_ns: int) -> Effects:
    """Wait for the person to decide."""
    yield from advance(call, HandoffSignal.HEARD, now_ns)


def on_spoke(call: CallState, event: PersonSpoke, now_ns: int) -> Effects:
    """Take speech after the announcement as a yes, where the dialplan does.

    Of an arm's agent it is the greeting, unless the caller has spoken first.
    """
    handoff = call.handoff
    if handoff is not None and call.with_agent_elsewhere:
        handoff.heard = call.agent_heard = True
        yield AgentHeard()
        if event.unasked:
            yield TurnMeasured(greeting_ns=now_ns - handoff.bridged_ns)
        return
    if handoff is not None and handoff.step is HandoffStep.ASKING and handoff.target.accept_speech:
        yield from advance(call, HandoffSignal.ACCEPTED, now_ns)


def on_pressed(call: CallState, event: PersonPressed, now_ns: int) -> Effects:
    """Take the person's decision; in the talk, hand it back, or pass the key on."""
    handoff = call.handoff
    if handoff is None:
        return
    target = handoff.target
    if handoff.step is HandoffStep.BRIDGED:
        yield from _on_key_in_talk(call, handoff, event.digit, now_ns)
    elif handoff.step not in (HandoffStep.ANNOUNCING, HandoffStep.ASKING):
        return
    elif event.digit == target.accept_key:
        yield from advance(call, HandoffSignal.ACCEPTED, now_ns)
    elif event.digit == target.refuse_key:
        yield from fail(call, "declined", now_ns)


def on_left(call: CallState, event: PersonLeft, now_ns: int) -> Effects:
    """Learn that the person's call is over, or never came to be."""
    handoff = call.handoff
    if handoff is None:
        return
    if handoff.target.is_agent:
        yield from _on_agent_left(call, handoff, event, now_ns)
    elif handoff.step is HandoffStep.BRIDGED:
        yield from advance(
            call,
            HandoffSignal.HAND_BACK if handoff.target.hand_back else HandoffSignal.DONE,
            now_ns,
        )
    else:
        answered = handoff.step is not HandoffStep.DIALLING
        yield from fail(call, "declined" if answered else _refusal(event), now_ns)


def _on_agent_left(
    call: CallState, handoff: HandingOver, event: PersonLeft, now_ns: int
) -> Effects:
    """End the call where the agent of an arm has hung up; take what else it may be as a failure."""
    if handoff.step is not HandoffStep.BRIDGED:
        refused = event.sip_code >= _FIRST_FAILURE_CODE
        yield from fail(call, _refusal(event) if refused else AGENT_LEFT, now_ns)
    elif event.lost or not handoff.heard:
        yield from fail(call, AGENT_LOST if handoff.heard else AGENT_LEFT, now_ns)
    else:
        handoff.ending = AGENT_HUNG_UP
        yield from advance(call, HandoffSignal.DONE, now_ns)


def _refusal(event: PersonLeft) -> str:
    return event.not_placed or f"sip_{event.sip_code}"


def answer_for_agent(call: CallState) -> Effects:
    """Answer a call whose agent is had by SIP: there will be no session."""
    call.stage, call.lost = Stage.ANSWERING, True
    yield from call.stop_timer(Timer.RESCUE)
    yield AnswerCall()


def on_held(call: CallState, event: PersonHeld, now_ns: int) -> Effects:
    """Let the caller hear that they wait while the person holds the call."""
    handoff = call.handoff
    if handoff is None or handoff.step is not HandoffStep.BRIDGED:
        return
    if event.held:
        call.wait.begin(now_ns)
        yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)
    else:
        yield from stop_filler(call)


def on_caller_digit(call: CallState, digit: str) -> Effects:
    """Pass a key of the caller's on to the person."""
    if call.handoff is not None and call.handoff.step is HandoffStep.BRIDGED:
        yield PassDigits(digit, to_person=True)


def _on_key_in_talk(call: CallState, handoff: HandingOver, digit: str, now_ns: int) -> Effects:
    """Keys that may become the code are held back; the caller gets them when they don't."""
    code = handoff.target.hand_back_key
    handoff.keys += digit
    if code is not None and handoff.keys == code:
        yield from advance(call, HandoffSignal.HAND_BACK, now_ns)
    elif code is None or not code.startswith(handoff.keys):
        keys, handoff.keys = handoff.keys, ""
        yield PassDigits(keys, to_person=False)
