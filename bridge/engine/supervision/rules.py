"""Takes a supervisor's action on a call, or refuses it; one row per action.

    SupervisorActed -> ActionAnswered, and before it what is to be done about the action

Each kind of action has one row in :data:`RULES`: when it is refused, and how it is carried out
(:mod:`bridge.engine.supervision.moves`). One supervisor holds a call at a time
(:mod:`bridge.engine.supervision.hold`); who is second is told who that is. A supervisor who is not
heard within ``VOICE_GRACE_MS`` loses the caller, who hears tones until the agent goes on.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from bridge.engine.agent.requests import cancel_response
from bridge.engine.call.state import Stage
from bridge.engine.effects import CloseVoice
from bridge.engine.handoff.steps import STEPS, HandoffSignal, HandoffStep
from bridge.engine.inputs import Input, SupervisorActed, SupervisorHeard, SupervisorLost
from bridge.engine.news import ActionAnswered, SupervisorLeft
from bridge.engine.state import CallState, Effects
from bridge.engine.supervision import moves
from bridge.engine.supervision.actions import (
    Accept,
    Action,
    End,
    HandBack,
    HoldCaller,
    HoldRecording,
    Join,
    KeepSecret,
    Mute,
    Pause,
    Resume,
    Say,
    TakeOver,
    Transfer,
    Whisper,
)
from bridge.engine.supervision.hold import (
    LOST,
    PAUSED,
    await_voice,
    leave_talk,
    let_join,
    let_talk,
    release,
)
from bridge.engine.supervision.steps import Hold, HoldSignal


class Refusal(enum.StrEnum):
    """Why an action is not carried out."""

    NOT_TALKING = "not_talking"
    """The call is not answered yet."""
    HELD = "held_by"
    """Another supervisor has taken it, or paused its agent."""
    ALREADY = "already"
    NOT_HELD = "not_held"
    """There is nothing to give back, or to resume."""
    AGENT_AWAY = "agent_away"
    """The agent is paused, or the supervisor has the caller."""
    HANDED_OVER = "handed_over"
    """The caller is with somebody else, or on the way there."""
    NO_AGENT = "no_agent"
    """The session is given up: the call goes the dialplan's fallback's way."""
    NOT_WAITING = "not_waiting"
    """The caller waits for nobody."""
    REFER_SENT = "refer_sent"
    """The far end was asked to move the caller, which can't be taken back (RFC 3515)."""
    REFER_ACCEPTED = "refer_accepted"
    """It has agreed, and moves them now."""


# What happens


def on_acted(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Carry an action out, or refuse it."""
    rule = RULES[type(event.action)]
    refused = _refusal(call, event, rule)
    name = rule.name
    if refused is not None:
        held_by = call.supervised.holder if refused is Refusal.HELD else ""
        yield ActionAnswered(event.action_id, event.by, name, refused, held_by)
        return
    yield rule.tells(call, ActionAnswered(event.action_id, event.by, name))
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
    if supervised.hold is Hold.PAUSED:
        yield from release(call, now_ns, "timeout", PAUSED)
    elif supervised.hold is Hold.AWAITED:
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
        yield from cancel_response(call, tell_server=True)
    _note_hold(call)


def _note_hold(call: CallState) -> None:
    """Put down how the call is held, and whether the holder has muted themselves."""
    supervised = call.supervised
    hold = "" if supervised.hold is Hold.AGENT else supervised.hold.value
    muted = int(bool(hold) and supervised.muted)
    if hold or call.noted("hold"):
        call.note(hold=hold, muted=muted)


# What is refused


def _refusal(call: CallState, event: SupervisorActed, rule: "ActionRule") -> Refusal | None:
    if call.stage is not Stage.TALKING:
        return Refusal.NOT_TALKING
    supervised = call.supervised
    if rule.exclusive and supervised.holder and supervised.holder != event.by:
        return Refusal.HELD
    if rule.needs_agent:
        if call.fallback is not None:
            return Refusal.NO_AGENT
        if call.handoff is not None and call.handoff.begun:
            return Refusal.HANDED_OVER
    return rule.refuses(call, event.action)


def _never(call: CallState, action: Action) -> Refusal | None:
    return None


def _if_away(call: CallState, action: Action) -> Refusal | None:
    return Refusal.AGENT_AWAY if call.supervised.held else None


def _if_taken(call: CallState, action: Action) -> Refusal | None:
    return Refusal.ALREADY if call.supervised.taken else None


def _if_held(call: CallState, action: Action) -> Refusal | None:
    return Refusal.ALREADY if call.supervised.held else None


def _unless_in_talk(call: CallState, action: Action) -> Refusal | None:
    supervised = call.supervised
    return None if supervised.taken or supervised.joined else Refusal.NOT_HELD


def _if_joined(call: CallState, action: Join) -> Refusal | None:
    supervised = call.supervised
    if supervised.accepted is not None:
        return Refusal.HANDED_OVER
    if supervised.hold is Hold.PAUSED:
        return Refusal.AGENT_AWAY
    return Refusal.ALREADY if supervised.joined else None


def _if_muted(call: CallState, action: Mute) -> Refusal | None:
    if not call.supervised.in_talk:
        return Refusal.NOT_HELD
    return Refusal.ALREADY if call.supervised.muted == action.on else None


def _if_waiting(call: CallState, action: HoldCaller) -> Refusal | None:
    if not call.supervised.taken:
        return Refusal.NOT_HELD
    wanted = Hold.TALKING if action.on else Hold.ON_HOLD
    return None if call.supervised.hold is wanted else Refusal.ALREADY


def _unless_paused(call: CallState, action: Action) -> Refusal | None:
    return None if call.supervised.hold is Hold.PAUSED else Refusal.NOT_HELD


def _unless_waiting(call: CallState, action: Action) -> Refusal | None:
    if call.supervised.taken:
        return Refusal.ALREADY
    handoff = call.handoff
    if handoff is None or not handoff.begun:
        return Refusal.NOT_WAITING
    if handoff.step is HandoffStep.REFERRING:
        return Refusal.REFER_ACCEPTED if handoff.accepted else Refusal.REFER_SENT
    waits = (handoff.step, HandoffSignal.CLAIMED) in STEPS
    return None if waits else Refusal.HANDED_OVER


def _if_leaving(call: CallState, action: End) -> Refusal | None:
    if not action.politely:
        return None
    if call.leaving is not None:
        return Refusal.ALREADY
    return Refusal.HANDED_OVER if call.handoff is not None and call.handoff.begun else None


# What is told first


def _nothing_more(call: CallState, answer: ActionAnswered) -> ActionAnswered:
    return answer


def _why_they_wait(call: CallState, answer: ActionAnswered) -> ActionAnswered:
    handoff = call.handoff
    if handoff is None:
        raise AssertionError("nobody waits")
    return replace(answer, target=handoff.target.name, summary=handoff.summary)


@dataclass(frozen=True, slots=True)
class ActionRule:
    """How one kind of action is treated.

    Attributes:
        name: for records and metrics.
        carry_out: what is done about it.
        refuses: why it is not, now.
        exclusive: not while another supervisor holds the call.
        tells: adds to the answer what is to be known first.
        needs_agent: not while the caller is with somebody else, or no session can be had.
    """

    name: str
    carry_out: Callable[[CallState, SupervisorActed, int], Effects]
    # The action is of the row's kind, which a mapping's type cannot say.
    refuses: Callable[[CallState, Any], Refusal | None] = _never
    tells: Callable[[CallState, ActionAnswered], ActionAnswered] = _nothing_more
    exclusive: bool = True
    needs_agent: bool = True


RULES: Mapping[type[Action], ActionRule] = MappingProxyType(
    {
        Whisper: ActionRule("whisper", moves.whisper, exclusive=False),
        Say: ActionRule("say", moves.say_exactly, _if_away),
        TakeOver: ActionRule("take_over", moves.take_over, _if_taken),
        Accept: ActionRule(
            "accept", moves.accept, _unless_waiting, _why_they_wait, needs_agent=False
        ),
        HandBack: ActionRule("hand_back", moves.hand_back, _unless_in_talk, needs_agent=False),
        Join: ActionRule("join", moves.join, _if_joined),
        Mute: ActionRule("mute", moves.mute, _if_muted, needs_agent=False),
        HoldCaller: ActionRule("hold", moves.hold_caller, _if_waiting, needs_agent=False),
        Pause: ActionRule("pause", moves.pause, _if_held),
        Resume: ActionRule("resume", moves.resume, _unless_paused, needs_agent=False),
        Transfer: ActionRule("transfer", moves.transfer),
        End: ActionRule("end", moves.end, _if_leaving, needs_agent=False),
        KeepSecret: ActionRule("sensitive", moves.keep_secret, exclusive=False, needs_agent=False),
        HoldRecording: ActionRule(
            "pause_recording", moves.hold_recording, exclusive=False, needs_agent=False
        ),
    }
)
