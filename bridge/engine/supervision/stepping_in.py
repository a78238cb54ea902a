"""The orders by which a supervisor steps into the talk, holds the caller, and leaves again.

Each handler's order is of its row's kind (:data:`STEPPING_IN`).
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bridge.clock import NS_PER_MS
from bridge.engine.agent.requests import request_response
from bridge.engine.call.closing import watch_duration
from bridge.engine.effects import (
    MuteVoice,
    ResumeUplink,
    UplinkHold,
)
from bridge.engine.handoff.steps import STEPS, HandoffSignal, HandoffStep
from bridge.engine.handoff.transfer import advance, fail, part_from_agent
from bridge.engine.inputs import SupervisorActed
from bridge.engine.news import ActionAnswered, AgentResumed, HandedBack
from bridge.engine.session.fallback import go_on_with_fallback
from bridge.engine.state import CallState, Effects
from bridge.engine.supervision.hold import (
    HOLD_TONE_AFTER_MS,
    JOINED,
    PAUSED,
    TAKEN,
    await_voice,
    close_voice,
    have_back,
    have_wait,
    hold,
    leave_talk,
    let_go,
    let_join,
    let_talk,
    note_for_agent,
    silence_agent,
)
from bridge.engine.supervision.rules import OrderRule, Refusal
from bridge.engine.supervision.steps import CallerHolder, HoldSignal
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.engine.voice.filler import stop_filler, want_filler
from bridge.routing.supervisor_verbs import (
    AcceptOrder,
    HandBackOrder,
    HoldOrder,
    JoinOrder,
    MuteOrder,
    Order,
    PauseOrder,
    ResumeOrder,
    TakeOverOrder,
)

_UNBOUND = (Timer.CLOSING, Timer.MAX_DURATION, Timer.MAX_WARNING, Timer.FALSE_STOP, Timer.RETRY)
"""Nothing of the agent's bounds a talk with a supervisor."""


def take_over(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Give the caller to the supervisor, once they can be heard.

    The agent of an arm that is a SIP URI is let go; it is called again if the caller comes back.
    """
    if call.with_agent_elsewhere:
        yield from part_from_agent(call)
    yield from _take(call, event.by, now_ns)


def accept(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Be the person of a handing over that has begun; who was called for it is let go."""
    yield from advance(call, HandoffSignal.CLAIMED, now_ns)
    yield from _take(call, event.by, now_ns, event.voice_within_ms)


def join(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have a supervisor talk with caller and agent; one who has the caller gives them back."""
    if call.supervised.taken:
        yield from release(call, now_ns, "joined", f"{TAKEN} {JOINED}")
    else:
        yield from note_for_agent(call, JOINED)
    yield from hold(call, HoldSignal.JOIN, event.by, now_ns)
    yield from let_join(call)


def mute(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have nobody hear the holder, who stays; or have them heard again."""
    order = event.order
    assert isinstance(order, MuteOrder)
    call.supervised.muted = order.on
    yield MuteVoice(order.on)


def hold_caller(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have the caller wait for the holder, with tones; or have them talk again."""
    order = event.order
    assert isinstance(order, HoldOrder)
    yield from have_wait(call, now_ns) if order.on else have_back(call)


def hand_back(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Give the caller back to the agent."""
    order = event.order
    assert isinstance(order, HandBackOrder)
    if call.supervised.joined:
        yield from leave_talk(call, order.summary)
    else:
        yield from release(call, now_ns, "handed_back", TAKEN, order.summary)


def pause(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Keep the agent out; the caller hears tones."""
    order = event.order
    assert isinstance(order, PauseOrder)
    yield from close_voice(call)
    yield from silence_agent(call, now_ns)
    yield from hold(call, HoldSignal.PAUSE, event.by, now_ns)
    yield from call.start_timer(Timer.SUPERVISOR, order.auto_resume_ms)
    call.wait.begin(now_ns)
    yield from want_filler(call, HOLD_TONE_AFTER_MS, now_ns)


def resume(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have a paused agent go on."""
    yield from release(call, now_ns, "resumed", PAUSED)


def release(call: CallState, now_ns: int, cause: str, note: str, summary: str = "") -> Effects:
    """Give the caller back to the agent, which gets a note of what it missed, and goes on.

    Args:
        call: one that is held.
        now_ns: monotonic.
        cause: of :class:`bridge.engine.news.AgentResumed`.
        note: for the agent; ``{seconds}`` are those that it was kept out for.
        summary: of the talk, by whom the caller was with.
    """
    supervised = call.supervised
    by, away_ms = supervised.holder, (now_ns - supervised.since_ns) // NS_PER_MS
    accepted = supervised.accepted is not None
    yield from let_go(call)
    yield from stop_filler(call)
    if accepted:
        yield HandedBack(away_ms)
    yield AgentResumed(by, away_ms, cause)
    yield ResumeUplink(UplinkHold.SUPERVISOR)
    if Timer.MAX_DURATION not in call.timers and call.fallback is None:
        yield from watch_duration(call)
    if call.handoff is not None:  # accepted, and who accepted it was never heard
        yield from fail(call, "not_joined", now_ns)
        call.note_phase()
        return
    yield from call.move(Trigger.GIVEN_BACK)
    if call.lost:
        yield from call.move(Trigger.SESSION_LOST)
    call.note_phase()
    if call.fallback is not None:
        yield from go_on_with_fallback(call, now_ns)
        return
    if call.way_out is not None:
        return
    text = note.format(seconds=away_ms // 1000)
    yield from note_for_agent(call, f"{text} They say of it: {summary}" if summary else text)
    call.wait.begin(now_ns)
    yield from request_response(call)
    if call.lost:
        yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)


def _take(call: CallState, by: str, now_ns: int, voice_within_ms: int | None = None) -> Effects:
    yield from close_voice(call)
    yield from silence_agent(call, now_ns)
    for timer in _UNBOUND:
        yield from call.stop_timer(timer)
    yield from hold(call, HoldSignal.TAKE, by, now_ns)
    if by in call.supervised.voices:
        yield from let_talk(call, now_ns)
    else:
        yield from await_voice(call, now_ns, voice_within_ms)


# What is refused


def _if_taken(call: CallState, order: Order) -> Refusal | None:
    return Refusal.ALREADY if call.supervised.taken else None


def _if_held(call: CallState, order: Order) -> Refusal | None:
    return Refusal.ALREADY if call.supervised.held else None


def _unless_in_talk(call: CallState, order: Order) -> Refusal | None:
    supervised = call.supervised
    return None if supervised.taken or supervised.joined else Refusal.NOT_HELD


def _if_joined(call: CallState, order: JoinOrder) -> Refusal | None:
    supervised = call.supervised
    if supervised.accepted is not None:
        return Refusal.HANDED_OVER
    if supervised.hold is CallerHolder.PAUSED:
        return Refusal.AGENT_AWAY
    return Refusal.ALREADY if supervised.joined else None


def _if_muted(call: CallState, order: MuteOrder) -> Refusal | None:
    if not call.supervised.in_talk:
        return Refusal.NOT_HELD
    return Refusal.ALREADY if call.supervised.muted == order.on else None


def _if_waiting(call: CallState, order: HoldOrder) -> Refusal | None:
    if not call.supervised.taken:
        return Refusal.NOT_HELD
    wanted = CallerHolder.TALKING if order.on else CallerHolder.ON_HOLD
    return None if call.supervised.hold is wanted else Refusal.ALREADY


def _unless_paused(call: CallState, order: Order) -> Refusal | None:
    return None if call.supervised.hold is CallerHolder.PAUSED else Refusal.NOT_HELD


def _unless_waiting(call: CallState, order: Order) -> Refusal | None:
    if call.supervised.taken:
        return Refusal.ALREADY
    handoff = call.handoff
    if handoff is None or not handoff.begun:
        return Refusal.NOT_WAITING
    if handoff.step is HandoffStep.REFERRING:
        return Refusal.REFER_ACCEPTED if handoff.accepted else Refusal.REFER_SENT
    waits = (handoff.step, HandoffSignal.CLAIMED) in STEPS
    return None if waits else Refusal.HANDED_OVER


def _why_they_wait(call: CallState, answer: ActionAnswered) -> ActionAnswered:
    handoff = call.handoff
    if handoff is None:
        raise AssertionError("nobody waits")
    return replace(answer, target=handoff.target.name, summary=handoff.summary)


STEPPING_IN: Mapping[type[Order], OrderRule] = MappingProxyType(
    {
        TakeOverOrder: OrderRule(take_over, _if_taken, from_any_agent=True),
        AcceptOrder: OrderRule(accept, _unless_waiting, _why_they_wait, needs_agent=False),
        HandBackOrder: OrderRule(hand_back, _unless_in_talk, needs_agent=False),
        JoinOrder: OrderRule(join, _if_joined),
        MuteOrder: OrderRule(mute, _if_muted, needs_agent=False),
        HoldOrder: OrderRule(hold_caller, _if_waiting, needs_agent=False),
        PauseOrder: OrderRule(pause, _if_held),
        ResumeOrder: OrderRule(resume, _unless_paused, needs_agent=False),
    }
)
"""How each is carried out, and when it is refused."""
