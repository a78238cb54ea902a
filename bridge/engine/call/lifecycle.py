"""A call from its INVITE to its end, and the timers that bound it.

The INVITE is answered only when the session is ready; a session that can't be had in time gives
503, or the dialplan's fallback (`NEEDS.md` section 5).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bridge.engine.agent.greeting import greet, on_greeting_late
from bridge.engine.agent.responses import on_response_overdue, on_stalled
from bridge.engine.call.closing import (
    AUDIO_STOPPED,
    CALLER_HUNG_UP,
    CANCELLED,
    END_CALL,
    HUNG_UP_HERE,
    SESSION_TIMEOUT,
    SHUTDOWN,
    close,
)
from bridge.engine.call.duration import on_max_duration, on_max_warning, watch_duration
from bridge.engine.call.goodbye import leave
from bridge.engine.caller.barge_in import on_false_stop
from bridge.engine.caller.open_turn import on_turn_overdue
from bridge.engine.caller.silence import (
    caller_understood,
    on_caller_cap,
    on_caller_silent,
)
from bridge.engine.consent.disclosure import hold_back, on_answer_overdue
from bridge.engine.effects import AnswerCall, FlushPlayout, OpenSession, RingCall
from bridge.engine.handoff.transfer import on_caller_left, on_transfer_overdue
from bridge.engine.inputs import (
    AudioStopped,
    CallAnswered,
    CallEnded,
    CallOffered,
    SessionReady,
    ShutdownRequested,
    Timer,
    TimerFired,
)
from bridge.engine.keypad.collecting import on_last_tone_over
from bridge.engine.keypad.keys import on_no_key, open_first_menu
from bridge.engine.news import SilenceMeasured, TransitionRefused
from bridge.engine.session.fallback import (
    answer_without_agent,
    go_on_with_fallback,
    refuse_or_answer,
)
from bridge.engine.session.liveness import on_unheard
from bridge.engine.session.recovery import on_life_timer, on_retry_due, restore
from bridge.engine.session.rescue import on_rescue_due, watch_arm
from bridge.engine.session.rollover import watch_life
from bridge.engine.state import CallState, Effects, Ending, Stage
from bridge.engine.supervision.orders import on_supervisor_overdue
from bridge.engine.turns import Trigger
from bridge.engine.voice.dead_air import BRIDGE, on_apology_due, on_offer_due
from bridge.engine.voice.filler import on_silence_too_long, want_filler
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
    yield from open_first_menu(call)
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
        ending = Ending(Outcome.MEDIA_FAILED, Fault.CARRIER, f"sip_{event.sip_code}")
    else:
        ending = HUNG_UP_HERE
    yield from close(call, ending, dialog_over=True)


def _lost(event: CallEnded) -> Ending | None:
    if event.lost is None:
        return None
    return Ending(Outcome.CALLER_LOST, Fault.CARRIER, event.lost)


def _left_by_caller(call: CallState) -> Ending:
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


def on_timer_fired(call: CallState, event: TimerFired, now_ns: int) -> Effects:
    """Act on a timer; one that was stopped while it fired is stale."""
    if event.timer not in call.timers:
        return
    call.timers.remove(event.timer)
    yield from _ON_TIMER[event.timer](call, now_ns)


def _on_session_late(call: CallState, now_ns: int) -> Effects:
    yield from refuse_or_answer(call, call.unready or SESSION_TIMEOUT, GiveUpReason.TOO_LONG)


def _on_closing_late(call: CallState, now_ns: int) -> Effects:
    if call.fallback is not None:
        yield from go_on_with_fallback(call, now_ns)
    elif call.leaving is not None:
        yield from leave(call)
    else:
        yield from close(call, END_CALL)


def _on_filler_due(call: CallState, now_ns: int) -> Effects:
    yield from on_silence_too_long(call)


def _on_retry(call: CallState, now_ns: int) -> Effects:
    yield from on_retry_due(call)


_ON_TIMER: Mapping[Timer, Callable[[CallState, int], Effects]] = MappingProxyType(
    {
        Timer.SESSION_READY: _on_session_late,
        Timer.RESPONSE: on_response_overdue,
        Timer.MAX_DURATION: on_max_duration,
        Timer.KEYPAD: on_no_key,
        Timer.LAST_TONE: on_last_tone_over,
        Timer.MAX_WARNING: on_max_warning,
        Timer.CLOSING: _on_closing_late,
        Timer.FILLER: _on_filler_due,
        Timer.RETRY: _on_retry,
        Timer.STALLED: on_stalled,
        Timer.ROLLOVER: on_life_timer,
        Timer.TRANSFER: on_transfer_overdue,
        Timer.FALSE_STOP: on_false_stop,
        Timer.OPEN_TURN: on_turn_overdue,
        Timer.UNHEARD: on_unheard,
        Timer.APOLOGY: on_apology_due,
        Timer.OFFER: on_offer_due,
        Timer.CALLER_SILENT: on_caller_silent,
        Timer.CALLER_CAP: on_caller_cap,
        Timer.RESCUE: on_rescue_due,
        Timer.GREETING: on_greeting_late,
        Timer.CONSENT: on_answer_overdue,
        Timer.SUPERVISOR: on_supervisor_overdue,
    }
)
"""What each timer leads to."""
