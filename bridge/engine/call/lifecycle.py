"""The course of a call from its INVITE to its end.

The INVITE is answered only when the session is ready; a session that can't be had in time gives
503, or the dialplan's fallback (`NEEDS.md` section 5).
"""

from bridge.engine.agent.greeting import greet
from bridge.engine.call.closing import (
    AUDIO_STOPPED,
    CALLER_HUNG_UP,
    CANCELLED,
    END_CALL,
    HUNG_UP_HERE,
    SESSION_TIMEOUT,
    SHUTDOWN,
    close,
    watch_duration,
)
from bridge.engine.call.goodbye import leave
from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.caller.presence import caller_understood
from bridge.engine.consent.disclosure import hold_back
from bridge.engine.effects import AnswerCall, FlushPlayout, OpenSession, RingCall
from bridge.engine.handoff.transfer import on_caller_left, put_through
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    SessionReady,
    ShutdownRequested,
)
from bridge.engine.media import AudioStopped
from bridge.engine.news import SilenceMeasured, TransitionRefused
from bridge.engine.session.fallback import (
    answer_without_agent,
    go_on_with_fallback,
    refuse_or_answer,
)
from bridge.engine.session.recovery import restore
from bridge.engine.session.rescue import watch_arm
from bridge.engine.session.rollover import watch_life
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.engine.voice.dead_air import BRIDGE
from bridge.engine.voice.filler import want_filler
from bridge.errors import Fault, Outcome
from bridge.realtime.events import ConversationCreated
from bridge.realtime.recovery import GiveUpReason

_FIRST_FAILURE_CODE = 300
"""SIP final responses from here on are no success (RFC 3261 section 7.2)."""


def on_call_offered(call: CallState, event: CallOffered, now_ns: int) -> Effects:
    """Ring, and open the session meanwhile; a call that gets no agent is answered at once."""
    if call.stage is not Stage.NEW:
        return
    call.stage = Stage.RINGING
    yield from hold_back(call)
    yield RingCall()
    if call.policy.no_agent is not None:
        yield from answer_without_agent(call, call.policy.no_agent)
        return
    yield OpenSession(within_ms=call.policy.limits.session_ready_ms)
    yield from call.start_timer(Timer.SESSION_READY, call.policy.limits.session_ready_ms)
    yield from watch_arm(call)


def on_session_ready(call: CallState, event: SessionReady, now_ns: int) -> Effects:
    """Answer: the agent can listen and speak from the first second."""
    call.session.service = event.service
    if call.stage is Stage.RINGING:
        call.unready = None
        call.note(session_id=event.session_id)
        call.budget = call.budget.restored(now_ns)
        yield from watch_life(call, event.expires_in_ms, now_ns)
        call.stage = Stage.ANSWERING
        yield from call.stop_timer(Timer.SESSION_READY)
        yield from call.stop_timer(Timer.RESCUE)
        yield AnswerCall()
    elif call.lost and call.fallback is None:
        yield from restore(call, event, now_ns)


def on_call_answered(call: CallState, event: CallAnswered, now_ns: int) -> Effects:
    """Begin the conversation, with the greeting if the dialplan wants one."""
    if call.stage is not Stage.ANSWERING:
        # Repeated, or not our answer: there is no session to talk with yet.
        yield TransitionRefused(call.turns.state, Trigger.ANSWERED)
        return
    call.stage = Stage.TALKING
    yield from call.move(Trigger.ANSWERED)
    yield from watch_duration(call)
    yield from caller_understood(call)
    if call.handoff is not None:
        yield from put_through(call, now_ns)
        return
    first_menu = call.policy.keypad.start
    if first_menu is not None:  # its keys are good; its prompt comes behind the greeting
        call.keypad.begin(call.policy.keypad.menus[first_menu])
    if call.lost:
        yield from call.move(Trigger.SESSION_LOST)
        if call.fallback is not None:
            yield from go_on_with_fallback(call, now_ns)
            return
        yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)
    if not call.awaits_consent:
        yield from greet(call, now_ns)


def on_call_ended(call: CallState, event: CallEnded, now_ns: int) -> Effects:
    """Close the call after its SIP dialog."""
    if event.by_caller or event.lost is not None:
        lost = _lost(event)
        yield from on_caller_left(call, lost, now_ns)
        if call.closed:
            return
        ending = lost or _left_by_caller(call)
    elif event.sip_code >= _FIRST_FAILURE_CODE:
        ending = CallEnd(Outcome.MEDIA_FAILED, Fault.CARRIER, f"sip_{event.sip_code}")
    else:
        ending = HUNG_UP_HERE
    yield from close(call, ending, dialog_over=True)


def _lost(event: CallEnded) -> CallEnd | None:
    if event.lost is None:
        return None
    return CallEnd(Outcome.CALLER_LOST, Fault.CARRIER, event.lost)


def _left_by_caller(call: CallState) -> CallEnd:
    if call.stage is not Stage.TALKING:
        return CANCELLED
    if call.supervised.accepted is not None:
        return call.supervised.accepted
    return CALLER_HUNG_UP if call.fallback is None else call.fallback.ending


def on_shutdown_requested(call: CallState, event: ShutdownRequested, now_ns: int) -> Effects:
    """End the call because the gateway goes down."""
    if call.stage is Stage.TALKING:
        yield FlushPlayout()
    yield from close(call, SHUTDOWN)


def on_audio_stopped(call: CallState, event: AudioStopped, now_ns: int) -> Effects:
    """End the call: its caller hears nothing, and won't hear anything here any more."""
    if call.stage is Stage.TALKING:
        yield SilenceMeasured(event.ms, BRIDGE)
    yield from close(call, AUDIO_STOPPED)


def on_conversation_created(call: CallState, event: ConversationCreated, now_ns: int) -> Effects:
    """Put the conversation's id down."""
    call.note(conversation_id=event.conversation_id)
    yield from ()


def on_session_late(call: CallState, now_ns: int) -> Effects:
    """Refuse a call whose session did not come in time, or answer it for its fallback."""
    yield from refuse_or_answer(call, call.unready or SESSION_TIMEOUT, GiveUpReason.TOO_LONG)


def on_closing_late(call: CallState, now_ns: int) -> Effects:
    """Go on without the end of what was to be heard last."""
    if call.fallback is not None:
        yield from go_on_with_fallback(call, now_ns)
    elif call.leaving is not None:
        yield from leave(call)
    else:
        yield from close(call, END_CALL)
