"""A supervisor steps in: whispers, speaks in the agent's place, takes the caller, gives them back.

    SupervisorActed -> ActionAnswered, and before it what is to be done about the action

Each kind of action has one row in :data:`RULES`: when it is refused, and how it is carried out.
While the agent is kept out (:class:`bridge.engine.supervision_steps.Hold`) the turn machine stands
in HANDOFF, so whatever holds for a caller who is with a person holds here. Other than there, the
session stays: the agent is back at once, and knows of the talk what the supervisor says of it.

A supervisor who is not heard within ``VOICE_GRACE_MS`` loses the caller, who hears tones until the
agent goes on. One holds a call at a time; who is second is told who that is.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bridge.clock import NS_PER_MS
from bridge.engine.actions import (
    Action,
    End,
    HandBack,
    HoldRecording,
    KeepSecret,
    Pause,
    Resume,
    Say,
    TakeOver,
    Transfer,
    Whisper,
)
from bridge.engine.asking import leave_keypad
from bridge.engine.closing import close
from bridge.engine.consult import Handoff, Step
from bridge.engine.duration import watch_duration
from bridge.engine.effects import (
    CloseVoice,
    FlushPlayout,
    OpenVoice,
    PauseRecording,
    PauseUplink,
    RecordingHold,
    ResumeRecording,
    ResumeUplink,
    UplinkHold,
)
from bridge.engine.fallback import go_on_with_fallback
from bridge.engine.filler import stop_filler, want_filler
from bridge.engine.goodbye import say_goodbye
from bridge.engine.handoff import want_handoff
from bridge.engine.inputs import Input, SupervisorActed, SupervisorHeard, SupervisorLost, Timer
from bridge.engine.interruption import cut, hush
from bridge.engine.news import (
    ActionAnswered,
    AgentResumed,
    Speaker,
    SupervisorJoined,
    SupervisorLeft,
    TurnSpoken,
)
from bridge.engine.requests import cancel_response, drop_request, request_response
from bridge.engine.speech import say
from bridge.engine.state import CallState, Effects, Ending, Stage
from bridge.engine.supervision_steps import Hold, Signal
from bridge.engine.turns import Trigger
from bridge.errors import Fault, Outcome
from bridge.realtime.commands import ClearInput, CreateItem
from bridge.realtime.ids import ItemId
from bridge.realtime.items import Message, Part, PartKind, Role

VOICE_GRACE_MS = 10_000
"""How long a caller waits for a supervisor whose microphone is gone, or has not come."""

HOLD_TONE_AFTER_MS = 400
"""A microphone that is there is heard before the caller hears a tone."""

ENDED = Ending(Outcome.COMPLETED, Fault.NONE, "ended_by_supervisor")
TRANSFERRED = Ending(Outcome.TRANSFERRED, Fault.NONE, "by_supervisor")

_UNBOUND = (Timer.CLOSING, Timer.MAX_DURATION, Timer.MAX_WARNING, Timer.FALSE_STOP, Timer.RETRY)
"""Nothing of the agent's bounds a talk with a supervisor."""


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
    yield ActionAnswered(event.action_id, event.by, name)
    yield from rule.carry_out(call, event, now_ns)


def on_heard(call: CallState, event: SupervisorHeard, now_ns: int) -> Effects:
    """Note a microphone; its owner may be awaited."""
    call.supervised.voices.add(event.by)
    if call.supervised.holder == event.by:
        yield from _let_talk(call)


def on_lost(call: CallState, event: SupervisorLost, now_ns: int) -> Effects:
    """Have the caller wait for a supervisor who is gone, but not for long."""
    supervised = call.supervised
    supervised.voices.discard(event.by)
    if supervised.holder == event.by and supervised.step(Signal.NO_VOICE):
        supervised.lost_voice = True
        yield CloseVoice()
        yield SupervisorLeft(event.by, lost=True)
        yield from _await_voice(call, now_ns)


def on_supervisor_overdue(call: CallState, now_ns: int) -> Effects:
    """Give the caller back to the agent: the pause is over, or nobody has come."""
    supervised = call.supervised
    if supervised.hold is Hold.PAUSED:
        yield from _release(call, now_ns, "timeout", _PAUSED)
    elif supervised.hold is Hold.AWAITED:
        yield from _release(call, now_ns, "voice_lost", _LOST if supervised.lost_voice else _PAUSED)


def watch_supervision(call: CallState, event: Input, now_ns: int) -> Effects:
    """Keep the agent out of a talk that is not its own; looked at after every input."""
    if call.supervised.held and not call.closed:
        # Turn detection had heard the end of a turn before the caller was muted.
        yield from cancel_response(call, tell_server=True)


# What is refused


def _refusal(call: CallState, event: SupervisorActed, rule: "Rule") -> Refusal | None:
    if call.stage is not Stage.TALKING:
        return Refusal.NOT_TALKING
    supervised = call.supervised
    if rule.exclusive and supervised.held and supervised.holder != event.by:
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


def _unless_taken(call: CallState, action: Action) -> Refusal | None:
    return None if call.supervised.taken else Refusal.NOT_HELD


def _unless_paused(call: CallState, action: Action) -> Refusal | None:
    return None if call.supervised.hold is Hold.PAUSED else Refusal.NOT_HELD


def _if_leaving(call: CallState, action: End) -> Refusal | None:
    if not action.politely:
        return None
    if call.leaving is not None:
        return Refusal.ALREADY
    return Refusal.HANDED_OVER if call.handoff is not None and call.handoff.begun else None


# How it is carried out; the event's action is of the row's kind


def _whisper(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    action = event.action
    assert isinstance(action, Whisper)
    supervised = call.supervised
    supervised.notes += 1
    item_id = ItemId(f"bridge_whisper_{supervised.notes}")
    yield TurnSpoken(Speaker.SUPERVISOR, item_id, action.text)
    yield from _tell_agent(call, _WHISPERED.format(text=action.text))
    if action.now and not supervised.held:
        yield from hush(call, now_ns)
        yield from request_response(call)


def _say(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    action = event.action
    assert isinstance(action, Say)
    yield from hush(call, now_ns)
    yield from say(call, action.text, protected=True)


def _take_over(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    yield from _silence_agent(call, now_ns)
    for timer in _UNBOUND:
        yield from call.stop_timer(timer)
    yield from _hold(call, Signal.TAKE, event.by, now_ns)
    if event.by in call.supervised.voices:
        yield from _let_talk(call)
    else:
        yield from _await_voice(call, now_ns)


def _hand_back(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    action = event.action
    assert isinstance(action, HandBack)
    yield from _release(call, now_ns, "handed_back", _TAKEN, action.summary)


def _pause(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    action = event.action
    assert isinstance(action, Pause)
    yield from _silence_agent(call, now_ns)
    yield from _hold(call, Signal.PAUSE, event.by, now_ns)
    yield from call.start_timer(Timer.SUPERVISOR, action.resume_after_ms)
    call.session.waiting_since_ns = now_ns
    yield from want_filler(call, HOLD_TONE_AFTER_MS, now_ns)


def _resume(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    yield from _release(call, now_ns, "resumed", _PAUSED)


def _transfer(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    action = event.action
    assert isinstance(action, Transfer)
    yield from _drop_handoff(call, now_ns)
    yield from leave_keypad(call)
    if call.supervised.held:
        yield from _let_go(call)
        yield from stop_filler(call)
        yield ResumeUplink(UplinkHold.SUPERVISOR)  # the handing over holds it within this input
    else:
        yield from hush(call, now_ns)
    handoff = Handoff(now_ns, action.target, TRANSFERRED, _not_transferred, action.summary)
    yield from want_handoff(call, handoff)


def _end(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    action = event.action
    assert isinstance(action, End)
    if action.politely and call.policy.goodbye is not None:
        if call.supervised.held:
            yield from _let_go(call)
            yield from stop_filler(call)
        else:
            yield from hush(call, now_ns)
        yield from drop_request(call)
        yield from say_goodbye(call, ENDED, call.policy.goodbye, protected=True)
        return
    yield FlushPlayout()
    yield from close(call, ENDED)


def _keep_secret(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    action = event.action
    assert isinstance(action, KeepSecret)
    supervised = call.supervised
    if action.on == supervised.secret:
        return
    supervised.secret = action.on
    if action.on:
        yield PauseUplink(UplinkHold.SECRET)
        yield from _forget_input(call)
        yield PauseRecording(RecordingHold.SUPERVISOR)
        return
    yield ResumeUplink(UplinkHold.SECRET)
    if not supervised.recording_held:
        yield ResumeRecording(RecordingHold.SUPERVISOR)
    yield from _tell_agent(call, _SECRET)


def _hold_recording(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    action = event.action
    assert isinstance(action, HoldRecording)
    call.supervised.recording_held = action.on
    if action.on:
        yield PauseRecording(RecordingHold.SUPERVISOR)
    elif not call.supervised.secret:
        yield ResumeRecording(RecordingHold.SUPERVISOR)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of action is treated.

    Attributes:
        name: for records and metrics.
        carry_out: what is done about it.
        refuses: why it is not, now.
        exclusive: not while another supervisor holds the call.
        needs_agent: not while the caller is with somebody else, or no session can be had.
    """

    name: str
    carry_out: Callable[[CallState, SupervisorActed, int], Effects]
    # The action is of the row's kind, which a mapping's type cannot say.
    refuses: Callable[[CallState, Any], Refusal | None] = _never
    exclusive: bool = True
    needs_agent: bool = True


RULES: Mapping[type[Action], Rule] = MappingProxyType(
    {
        Whisper: Rule("whisper", _whisper, exclusive=False),
        Say: Rule("say", _say, _if_away),
        TakeOver: Rule("take_over", _take_over, _if_taken),
        HandBack: Rule("hand_back", _hand_back, _unless_taken, needs_agent=False),
        Pause: Rule("pause", _pause, _if_held),
        Resume: Rule("resume", _resume, _unless_paused, needs_agent=False),
        Transfer: Rule("transfer", _transfer),
        End: Rule("end", _end, _if_leaving, needs_agent=False),
        KeepSecret: Rule("sensitive", _keep_secret, exclusive=False, needs_agent=False),
        HoldRecording: Rule("pause_recording", _hold_recording, exclusive=False, needs_agent=False),
    }
)


# Parts


def _silence_agent(call: CallState, now_ns: int) -> Effects:
    """Keep the agent out: whatever is heard is cut, protected or not, and nothing is awaited."""
    yield from _drop_handoff(call, now_ns)
    yield from leave_keypad(call)
    yield from stop_filler(call, cut_phrase=not call.playing)
    call.speech.protects_next = False
    if call.agent_has_floor:
        yield from cut(call, now_ns, tell_server=True)
    responses = call.session.responses
    responses.expected = responses.retry_due = False
    yield from drop_request(call)
    if responses.unwanted:
        yield from call.start_timer(Timer.RESPONSE, call.policy.response_timeout_ms)
    if not call.supervised.held:
        yield PauseUplink(UplinkHold.SUPERVISOR)
        yield from _forget_input(call)
    call.sound.unexplained = False
    yield from call.move(Trigger.TAKEN_OVER)


def _hold(call: CallState, signal: Signal, by: str, now_ns: int) -> Effects:
    supervised = call.supervised
    if not supervised.held:
        supervised.since_ns = now_ns
    supervised.step(signal)
    supervised.holder, supervised.lost_voice = by, False
    call.note(held_by=by)
    call.note_phase()
    yield from ()


def _let_talk(call: CallState) -> Effects:
    """Have the caller hear the holder, if they are awaited."""
    supervised = call.supervised
    if not supervised.step(Signal.VOICE):
        return
    yield from call.stop_timer(Timer.SUPERVISOR)
    yield from stop_filler(call, cut_phrase=True)
    yield OpenVoice(supervised.holder)
    yield SupervisorJoined(supervised.holder)


def _await_voice(call: CallState, now_ns: int) -> Effects:
    yield from call.start_timer(Timer.SUPERVISOR, VOICE_GRACE_MS)
    call.session.waiting_since_ns = now_ns
    yield from want_filler(call, HOLD_TONE_AFTER_MS, now_ns)


def _let_go(call: CallState) -> Effects:
    """Have nobody hold the call any more; the turn machine stays where it is."""
    supervised = call.supervised
    yield from call.stop_timer(Timer.SUPERVISOR)
    if supervised.talking:
        yield CloseVoice()
        yield SupervisorLeft(supervised.holder, lost=False)
    supervised.step(Signal.RELEASE)
    supervised.holder = ""
    call.note(held_by="")


def _release(call: CallState, now_ns: int, cause: str, note: str, summary: str = "") -> Effects:
    """Give the caller back to the agent, which is told what it has missed, and goes on."""
    by, away_ms = call.supervised.holder, (now_ns - call.supervised.since_ns) // NS_PER_MS
    yield from _let_go(call)
    yield from stop_filler(call)
    yield AgentResumed(by, away_ms, cause)
    yield ResumeUplink(UplinkHold.SUPERVISOR)
    yield from call.move(Trigger.GIVEN_BACK)
    if call.lost:
        yield from call.move(Trigger.SESSION_LOST)
    call.note_phase()
    if call.fallback is not None:
        yield from go_on_with_fallback(call, now_ns)
        return
    if Timer.MAX_DURATION not in call.timers:
        yield from watch_duration(call)
    told = note.format(seconds=away_ms // 1000)
    yield from _tell_agent(call, f"{told} They say of it: {summary}" if summary else told)
    call.session.waiting_since_ns = now_ns
    yield from request_response(call)
    if call.lost:
        yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)


def _forget_input(call: CallState) -> Effects:
    """Have the session forget what it heard of a turn whose end it will not hear."""
    yield from call.send(ClearInput())
    call.session.caller_speaking = call.session.turn_open = False
    call.session.commit_asked = False  # what comes of it is a turn of the caller's, and left alone


def _drop_handoff(call: CallState, now_ns: int) -> Effects:
    """Give up a handing over that has not begun: a supervisor decides now."""
    handoff = call.handoff
    if handoff is None or handoff.step is not Step.WANTED:
        return
    call.handoff = None
    yield from call.stop_timer(Timer.TRANSFER)
    if handoff.call_id is not None:
        call.background.discard(handoff.call_id)
        output = {"transferred": False, "reason": "a supervisor stepped in"}
        yield from call.answer_tool(handoff.call_id, output)


def _not_transferred(call: CallState, handoff: Handoff, now_ns: int) -> Effects:
    yield from _tell_agent(call, _NOT_TRANSFERRED.format(failure=handoff.failure))
    yield from request_response(call)


def _tell_agent(call: CallState, text: str) -> Effects:
    yield from call.send(CreateItem(Message(Role.SYSTEM, (Part(PartKind.INPUT_TEXT, text),))))


_WHISPERED = (
    "Your supervisor, whom the caller does not hear, tells you: {text}\n"
    "Act on it, and don't say that you were told."
)
_TAKEN = (
    "A human supervisor took the caller over for {seconds} seconds. You did not hear that talk. The"
    " caller is with you again: go on from there, and don't repeat what was settled."
)
_LOST = (
    "A human supervisor took the caller over {seconds} seconds ago, and was cut off. You did not"
    " hear that talk. Apologise for the wait, and ask the caller how you can help on."
)
_PAUSED = (
    "Your supervisor had the caller wait for {seconds} seconds. They heard hold tones. Thank them"
    " for waiting, and go on."
)
_SECRET = (
    "For a while you could not hear the caller: what they said or keyed in is confidential. Don't"
    " ask for it."
)
_NOT_TRANSFERRED = (
    "Your supervisor tried to put the caller through, and nobody was reached ({failure}). Tell the"
    " caller so, and go on yourself."
)
