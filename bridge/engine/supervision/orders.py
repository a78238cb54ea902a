"""Takes a supervisor's order to a call, or refuses it; one row per order.

    SupervisorActed -> ActionAnswered, and before it what is to be done about the order

Each kind of order has one row in :data:`RULES`: when it is refused, and how it is carried out
(:mod:`bridge.engine.supervision.stepping_in`, :mod:`bridge.engine.supervision.coaching`). One
supervisor holds a call at a time (:mod:`bridge.engine.supervision.hold`); a second one is answered
with the name of the first. A supervisor who is not heard within ``VOICE_GRACE_MS`` loses the
caller, who hears tones until the agent goes on.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bridge.engine.call.state import Stage
from bridge.engine.effects import CloseVoice
from bridge.engine.inputs import Input, SupervisorActed, SupervisorHeard, SupervisorLost
from bridge.engine.news import ActionAnswered, SupervisorLeft
from bridge.engine.state import CallState, Effects
from bridge.engine.supervision.coaching import COACHING
from bridge.engine.supervision.hold import LOST, PAUSED, await_voice, leave_talk, let_join, let_talk
from bridge.engine.supervision.rules import OrderRule, Refusal
from bridge.engine.supervision.stepping_in import STEPPING_IN, release
from bridge.engine.supervision.steps import CallerHolder, HoldSignal
from bridge.routing.supervisor_verbs import Order, verb_of

RULES: Mapping[type[Order], OrderRule] = MappingProxyType({**STEPPING_IN, **COACHING})
"""All of them."""


def on_acted(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Carry an order out, or refuse it."""
    rule = RULES[type(event.order)]
    refused = _refusal(call, event, rule)
    name = verb_of(event.order).name
    if refused is not None:
        held_by = call.supervised.holder if refused is Refusal.HELD else ""
        yield ActionAnswered(event.action_id, event.by, name, refused, held_by)
        return
    yield rule.completes(call, ActionAnswered(event.action_id, event.by, name))
    yield from rule.carry_out(call, event, now_ns)


def on_heard(call: CallState, event: SupervisorHeard, now_ns: int) -> Effects:
    """Note a microphone; its owner may be awaited."""
    call.supervised.voices.add(event.by)
    if call.supervised.holder != event.by:
        return
    if call.supervised.joined:
        yield from let_join(call)
    else:
        yield from let_talk(call, now_ns)


def on_lost(call: CallState, event: SupervisorLost, now_ns: int) -> Effects:
    """Have the caller wait for a supervisor who is gone, but not for long."""
    supervised = call.supervised
    joined = supervised.joined and supervised.audible
    supervised.voices.discard(event.by)
    if supervised.holder != event.by:
        return
    if joined:
        yield CloseVoice()
        yield SupervisorLeft(event.by, lost=True)
        yield from let_join(call)
    elif supervised.step(HoldSignal.NO_VOICE):
        supervised.lost_voice = True
        yield CloseVoice()
        yield SupervisorLeft(event.by, lost=True)
        yield from await_voice(call, now_ns)


def on_supervisor_overdue(call: CallState, now_ns: int) -> Effects:
    """Give the caller back to the agent: the pause is over, or nobody has come."""
    supervised = call.supervised
    if supervised.hold is CallerHolder.PAUSED:
        yield from release(call, now_ns, "timeout", PAUSED)
    elif supervised.hold is CallerHolder.AWAITED:
        yield from release(call, now_ns, "voice_lost", LOST if supervised.lost_voice else PAUSED)
    elif supervised.joined:
        yield from leave_talk(call)


def watch_supervision(call: CallState, event: Input, now_ns: int) -> Effects:
    """Keep the agent out of a talk that is not its own; looked at after every input.

    How the call is held goes down here, since each step of it is an input's doing.
    """
    supervised = call.supervised
    if supervised.joined and not call.closed and call.handing_over:
        yield from leave_talk(call)  # the caller goes to somebody whom a supervisor can't join
    if supervised.held and not call.closed:
        # Turn detection had heard the end of a turn before the caller was muted.
        yield from call.cancel_response()
    _note_hold(call)


def _note_hold(call: CallState) -> None:
    """Put down how the call is held, and whether the holder has muted themselves."""
    supervised = call.supervised
    hold = "" if supervised.hold is CallerHolder.AGENT else supervised.hold.value
    muted = int(bool(hold) and supervised.muted)
    if hold or call.noted("hold"):
        call.note(hold=hold, muted=muted)


def _refusal(call: CallState, event: SupervisorActed, rule: OrderRule) -> Refusal | None:
    if call.stage is not Stage.TALKING:
        return Refusal.NOT_TALKING
    supervised = call.supervised
    if rule.exclusive and supervised.holder and supervised.holder != event.by:
        return Refusal.HELD
    if rule.needs_agent:
        if call.fallback is not None:
            return Refusal.NO_AGENT
        if call.with_agent_elsewhere and not rule.from_any_agent:
            return Refusal.AGENT_ELSEWHERE
        if call.handoff is not None and call.handoff.begun and not call.with_agent_elsewhere:
            return Refusal.HANDED_OVER
    return rule.refuses(call, event.order)
