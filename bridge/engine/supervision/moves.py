"""Carries out each action of a supervisor on a call; the event's action is of its row's kind.

When one is refused instead is in :mod:`bridge.engine.supervision.rules`, which has the rows.
"""

from dataclasses import replace

from bridge.engine.agent.requests import drop_request, request_response
from bridge.engine.call.closing import close
from bridge.engine.call.goodbye import say_goodbye
from bridge.engine.call.state import Ending
from bridge.engine.caller.interruption import hush
from bridge.engine.effects import (
    FlushPlayout,
    MuteVoice,
    PauseRecording,
    PauseUplink,
    RecordingHold,
    ResumeRecording,
    ResumeUplink,
    UplinkHold,
)
from bridge.engine.handoff.steps import HandoffSignal
from bridge.engine.handoff.transfer import advance, want_handoff
from bridge.engine.inputs import SupervisorActed
from bridge.engine.keypad.collecting import leave_keypad
from bridge.engine.news import SecretKept, Speaker, TurnSpoken
from bridge.engine.state import CallState, Effects, HandingOver
from bridge.engine.supervision.actions import (
    Accept,
    End,
    HandBack,
    HoldCaller,
    HoldRecording,
    KeepSecret,
    Mute,
    Pause,
    Say,
    Transfer,
    Whisper,
)
from bridge.engine.supervision.hold import (
    HOLD_TONE_AFTER_MS,
    JOINED,
    PAUSED,
    TAKEN,
    await_voice,
    close_voice,
    drop_handoff,
    forget_input,
    have_back,
    have_wait,
    hold,
    leave_talk,
    let_go,
    let_join,
    let_talk,
    release,
    silence_agent,
    tell_agent,
)
from bridge.engine.supervision.steps import HoldSignal
from bridge.engine.timers import Timer
from bridge.engine.voice.filler import stop_filler, want_filler
from bridge.engine.voice.speech import say
from bridge.errors import Fault, Outcome
from bridge.realtime.ids import ItemId

ENDED = Ending(Outcome.COMPLETED, Fault.NONE, "ended_by_supervisor")
TRANSFERRED = Ending(Outcome.TRANSFERRED, Fault.NONE, "by_supervisor")

_UNBOUND = (Timer.CLOSING, Timer.MAX_DURATION, Timer.MAX_WARNING, Timer.FALSE_STOP, Timer.RETRY)
"""Nothing of the agent's bounds a talk with a supervisor."""


def whisper(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have the agent know something that the caller does not hear."""
    action = event.action
    assert isinstance(action, Whisper)
    supervised = call.supervised
    supervised.notes += 1
    item_id = ItemId(f"bridge_whisper_{supervised.notes}")
    yield TurnSpoken(Speaker.SUPERVISOR, item_id, action.text)
    yield from tell_agent(call, _WHISPERED.format(text=action.text))
    if action.now and not supervised.held:
        yield from hush(call, now_ns, by=Speaker.SUPERVISOR)
        yield from request_response(call)


def say_exactly(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have the caller hear exactly this, over the agent."""
    action = event.action
    assert isinstance(action, Say)
    yield from hush(call, now_ns, by=Speaker.SUPERVISOR)
    yield from say(call, action.text, protected=True)


def take_over(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Give the caller to the supervisor, once they can be heard."""
    yield from _take(call, event.by, now_ns)


def accept(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Be the person of a handing over that has begun; who was called for it is let go."""
    action = event.action
    assert isinstance(action, Accept)
    yield from advance(call, HandoffSignal.CLAIMED, now_ns)
    yield from _take(call, event.by, now_ns, action.voice_within_ms)


def hand_back(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Give the caller back to the agent."""
    action = event.action
    assert isinstance(action, HandBack)
    if call.supervised.joined:
        yield from leave_talk(call, action.summary)
    else:
        yield from release(call, now_ns, "handed_back", TAKEN, action.summary)


def join(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have a supervisor talk with caller and agent; one who has the caller gives them back."""
    if call.supervised.taken:
        yield from release(call, now_ns, "joined", f"{TAKEN} {JOINED}")
    else:
        yield from tell_agent(call, JOINED)
    yield from hold(call, HoldSignal.JOIN, event.by, now_ns)
    yield from let_join(call)


def mute(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have nobody hear the holder, who stays; or have them heard again."""
    action = event.action
    assert isinstance(action, Mute)
    call.supervised.muted = action.on
    yield MuteVoice(action.on)


def hold_caller(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have the caller wait for the holder, with tones; or have them talk again."""
    action = event.action
    assert isinstance(action, HoldCaller)
    yield from have_wait(call, now_ns) if action.on else have_back(call)


def pause(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Keep the agent out; the caller hears tones."""
    action = event.action
    assert isinstance(action, Pause)
    yield from close_voice(call)
    yield from silence_agent(call, now_ns)
    yield from hold(call, HoldSignal.PAUSE, event.by, now_ns)
    yield from call.start_timer(Timer.SUPERVISOR, action.resume_after_ms)
    call.wait.begin(now_ns)
    yield from want_filler(call, HOLD_TONE_AFTER_MS, now_ns)


def resume(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have a paused agent go on."""
    yield from release(call, now_ns, "resumed", PAUSED)


def transfer(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Hand the call to somebody else."""
    action = event.action
    assert isinstance(action, Transfer)
    yield from drop_handoff(call, now_ns)
    yield from leave_keypad(call)
    if call.supervised.held:
        yield from let_go(call)
        yield from stop_filler(call)
        yield ResumeUplink(UplinkHold.SUPERVISOR)  # the handing over holds it within this input
    else:
        yield from hush(call, now_ns, by=Speaker.SUPERVISOR)
    handoff = HandingOver(now_ns, action.target, TRANSFERRED, _not_transferred, action.summary)
    yield from want_handoff(call, handoff)


def end(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """End the call; one that was accepted out of the queue has been transferred."""
    action = event.action
    assert isinstance(action, End)
    accepted = call.supervised.accepted
    ending = ENDED if accepted is None else replace(accepted, reason=ENDED.reason)
    if action.politely and call.policy.goodbye is not None:
        if call.supervised.held:
            yield from let_go(call)
            yield from stop_filler(call)
        else:
            yield from hush(call, now_ns, by=Speaker.SUPERVISOR)
        yield from drop_request(call)
        yield from say_goodbye(call, ending, call.policy.goodbye, protected=True)
        return
    yield FlushPlayout()
    yield from close(call, ending)


def keep_secret(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Keep the caller from model, recording and listeners, or not any more."""
    action = event.action
    assert isinstance(action, KeepSecret)
    supervised = call.supervised
    if action.on == supervised.secret:
        return
    supervised.secret = action.on
    yield SecretKept(action.on)
    if action.on:
        yield PauseUplink(UplinkHold.SECRET)
        yield from forget_input(call)
        yield PauseRecording(RecordingHold.SUPERVISOR)
        return
    yield ResumeUplink(UplinkHold.SECRET)
    if not supervised.recording_held:
        yield ResumeRecording(RecordingHold.SUPERVISOR)
    yield from tell_agent(call, _SECRET)


def hold_recording(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Pause the recording, or go on with it."""
    action = event.action
    assert isinstance(action, HoldRecording)
    call.supervised.recording_held = action.on
    if action.on:
        yield PauseRecording(RecordingHold.SUPERVISOR)
    elif not call.supervised.secret:
        yield ResumeRecording(RecordingHold.SUPERVISOR)


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


def _not_transferred(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from tell_agent(call, _NOT_TRANSFERRED.format(failure=handoff.failure))
    yield from request_response(call)


_WHISPERED = (
    "Your supervisor, whom the caller does not hear, tells you: {text}\n"
    "Act on it, and don't say that you were told."
)
_SECRET = (
    "For a while you could not hear the caller: what they said or keyed in is confidential. Don't"
    " ask for it."
)
_NOT_TRANSFERRED = (
    "Your supervisor tried to put the caller through, and nobody was reached ({failure}). Tell the"
    " caller so, and go on yourself."
)
