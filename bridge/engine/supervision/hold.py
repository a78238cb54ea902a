"""A supervisor's hold on a call: the agent is kept out, the caller waits or talks, and comes back.

    AWAITED  a supervisor has taken the caller, and is not heard (yet, or any more)
    TALKING  the caller hears them
    ON_HOLD  they have the caller wait, who hears tones
    PAUSED   the agent is silent, the caller hears tones

While it lasts the turn machine stands in HANDOFF, so whatever holds for a caller who is with a
person holds here. The session stays: the agent is back at once, and knows of the talk what the
supervisor says of it. Steps: :mod:`bridge.engine.supervision.steps`.
"""

from bridge.engine.agent.requests import drop_request
from bridge.engine.caller.interruption import cut
from bridge.engine.effects import CloseVoice, OpenVoice, PauseUplink, UplinkHold
from bridge.engine.handoff.steps import HandoffSignal, HandoffStep
from bridge.engine.handoff.transfer import advance
from bridge.engine.keypad.collecting import leave_keypad
from bridge.engine.news import (
    Speaker,
    SupervisorJoined,
    SupervisorLeft,
)
from bridge.engine.state import CallState, Effects
from bridge.engine.supervision.steps import HoldSignal
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.engine.voice.filler import stop_filler, want_filler
from bridge.realtime.commands import ClearInput, CreateItem
from bridge.realtime.items import ContentPart, Message, PartKind, Role

VOICE_GRACE_MS = 10_000
"""How long a caller waits for a supervisor whose microphone is gone, or has not come."""

HOLD_TONE_AFTER_MS = 400
"""A microphone that is there is heard before the caller hears a tone."""


def silence_agent(call: CallState, now_ns: int) -> Effects:
    """Keep the agent out: whatever is heard is cut, protected or not, and nothing is awaited."""
    yield from drop_handoff(call, now_ns)
    yield from leave_keypad(call)
    yield from stop_filler(call, cut_phrase=not call.playing)
    call.speech.protects_next = False
    if call.agent_has_floor:
        yield from cut(call, now_ns, by=Speaker.SUPERVISOR)
    responses = call.session.responses
    responses.give_up_awaited()
    yield from drop_request(call)
    if responses.unwanted:
        yield from call.start_timer(Timer.RESPONSE, call.policy.limits.response_timeout_ms)
    if not call.supervised.held:
        yield PauseUplink(UplinkHold.SUPERVISOR)
        yield from forget_input(call)
    call.sound.explain()
    yield from call.move(Trigger.TAKEN_OVER)


def hold(call: CallState, signal: HoldSignal, by: str, now_ns: int) -> Effects:
    """Have the call be held by somebody from now on."""
    supervised = call.supervised
    if not supervised.held:
        supervised.since_ns = now_ns
    supervised.step(signal)
    supervised.holder, supervised.lost_voice, supervised.muted = by, False, False
    call.note(held_by=by)
    if supervised.taken:
        call.note(handled_by=by)
    call.note_phase()
    yield from ()


def let_talk(call: CallState, now_ns: int) -> Effects:
    """Have the caller hear the holder, if they are awaited."""
    supervised = call.supervised
    if not supervised.step(HoldSignal.VOICE):
        return
    yield from call.stop_timer(Timer.SUPERVISOR)
    yield from stop_filler(call, cut_phrase=True)
    yield OpenVoice(supervised.holder, muted=supervised.muted)
    yield SupervisorJoined(supervised.holder)
    if call.handoff is not None and call.handoff.step is HandoffStep.CLAIMED:
        yield from advance(call, HandoffSignal.JOINED, now_ns)


def await_voice(call: CallState, now_ns: int, within_ms: int | None = None) -> Effects:
    """Have the caller wait for the holder's voice, with tones, but not for long."""
    within_ms = VOICE_GRACE_MS if within_ms is None else within_ms
    yield from call.start_timer(Timer.SUPERVISOR, within_ms)
    call.wait.begin(now_ns)
    yield from want_filler(call, HOLD_TONE_AFTER_MS, now_ns)


def close_voice(call: CallState) -> Effects:
    """Have the caller hear no supervisor any more, if they hear one."""
    supervised = call.supervised
    if supervised.audible:
        yield CloseVoice()
    if supervised.in_talk:
        yield SupervisorLeft(supervised.holder, lost=False)


def have_wait(call: CallState, now_ns: int) -> Effects:
    """Have the caller wait for the supervisor who has them; they hear tones."""
    call.supervised.step(HoldSignal.WAIT)
    yield CloseVoice()
    call.wait.begin(now_ns)
    yield from want_filler(call, HOLD_TONE_AFTER_MS, now_ns)


def have_back(call: CallState) -> Effects:
    """Have the caller hear the supervisor again who had them wait."""
    supervised = call.supervised
    supervised.step(HoldSignal.GO_ON)
    yield from stop_filler(call, cut_phrase=True)
    yield OpenVoice(supervised.holder, muted=supervised.muted)


def let_join(call: CallState) -> Effects:
    """Have caller and agent hear the supervisor who has joined them, if they can be heard."""
    supervised = call.supervised
    if supervised.audible:
        yield from call.stop_timer(Timer.SUPERVISOR)
        yield OpenVoice(supervised.holder, beside_agent=True, muted=supervised.muted)
        yield SupervisorJoined(supervised.holder)
    else:
        yield from call.start_timer(Timer.SUPERVISOR, VOICE_GRACE_MS)


def leave_talk(call: CallState, summary: str = "") -> Effects:
    """Have a supervisor who had joined leave caller and agent alone."""
    if not call.supervised.in_talk:  # never heard, or not any more
        yield SupervisorLeft(call.supervised.holder, lost=False)
    yield from let_go(call)
    if not call.handing_over and call.fallback is None:
        yield from note_for_agent(call, f"{LEFT} They say of it: {summary}" if summary else LEFT)


def let_go(call: CallState) -> Effects:
    """Have nobody hold the call any more; the turn machine stays where it is."""
    supervised = call.supervised
    yield from call.stop_timer(Timer.SUPERVISOR)
    yield from close_voice(call)
    supervised.step(HoldSignal.RELEASE)
    supervised.holder, supervised.accepted = "", None
    call.note(held_by="")


def forget_input(call: CallState) -> Effects:
    """Have the session forget what it heard of a turn whose end it will not hear."""
    yield from call.send(ClearInput())
    call.session.turn.clear()  # what comes of a commit is a turn of the caller's, and left alone


def drop_handoff(call: CallState, now_ns: int) -> Effects:
    """Give up a handing over that has not begun: a supervisor decides now."""
    handoff = call.handoff
    if handoff is None or handoff.step is not HandoffStep.WANTED:
        return
    call.handoff = None
    yield from call.stop_timer(Timer.TRANSFER)
    if handoff.call_id is not None:
        call.background.discard(handoff.call_id)
        output = {"transferred": False, "reason": "a supervisor stepped in"}
        yield from call.answer_tool(handoff.call_id, output)


def note_for_agent(call: CallState, text: str) -> Effects:
    """Send the agent a note of something that the caller does not hear."""
    yield from call.send(
        CreateItem(Message(Role.SYSTEM, (ContentPart(PartKind.INPUT_TEXT, text),)))
    )


JOINED = (
    "A human supervisor is in the call with you and the caller from now on. You hear both, and both"
    " hear you. Leave the lead to them: answer when you are asked, and be brief."
)
LEFT = "The human supervisor has left the call. The caller is with you alone again: go on."
TAKEN = (
    "A human supervisor took the caller over for {seconds} seconds. You did not hear that talk. The"
    " caller is with you again: go on from there, and don't repeat what was settled."
)
LOST = (
    "A human supervisor took the caller over {seconds} seconds ago, and was cut off. You did not"
    " hear that talk. Apologise for the wait, and ask the caller how you can help on."
)
PAUSED = (
    "Your supervisor had the caller wait for {seconds} seconds. They heard hold tones. Thank them"
    " for waiting, and go on."
)
