"""Ends a call in one way, whatever the cause, so that each call closes exactly once."""

from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.effects import CloseSession, CloseVoice, HangUp, LetPersonGo, RejectCall
from bridge.engine.news import CallClosed, SupervisorLeft
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.errors import Fault, Outcome

SIP_SERVICE_UNAVAILABLE = 503
"""RFC 3261 section 21.5.4: the carrier may try another route."""


END_CALL = CallEnd(Outcome.COMPLETED, Fault.NONE, "end_call")
MAX_DURATION = CallEnd(Outcome.MAX_DURATION, Fault.NONE, "max_duration")
AUDIO_STOPPED = CallEnd(Outcome.MEDIA_FAILED, Fault.BRIDGE, "audio_stopped")
SHUTDOWN = CallEnd(Outcome.SHUTDOWN, Fault.NONE, "shutdown")
SESSION_TIMEOUT = CallEnd(Outcome.SESSION_UNAVAILABLE, Fault.PROVIDER, "timeout")
AI_OFF = CallEnd(Outcome.SESSION_UNAVAILABLE, Fault.SUPERVISOR, "ai_off")
CANCELLED = CallEnd(Outcome.CANCELLED, Fault.CALLER, "cancelled")
CALLER_HUNG_UP = CallEnd(Outcome.COMPLETED, Fault.NONE, "caller_hung_up")
LINE_CLOSED = CallEnd(Outcome.COMPLETED, Fault.NONE, "closed")
LINE_FULL = CallEnd(Outcome.REJECTED_BUSY, Fault.NONE, "line_full")
HUNG_UP_HERE = CallEnd(Outcome.COMPLETED, Fault.NONE, "hung_up_here")


def close(call: CallState, ending: CallEnd, *, dialog_over: bool = False) -> Effects:
    """End the call on both sides; nothing may follow.

    Args:
        call: the call.
        ending: why.
        dialog_over: the SIP dialog is gone already, so neither BYE nor a refusal is due.
    """
    if call.supervised.audible:
        yield CloseVoice()
    if call.supervised.in_talk:
        yield SupervisorLeft(call.supervised.holder, lost=False)
    if call.handoff is not None and call.handoff.has_person:
        yield LetPersonGo()
    if not dialog_over:
        unanswered = call.stage in (Stage.NEW, Stage.RINGING)
        if unanswered:
            yield RejectCall(SIP_SERVICE_UNAVAILABLE, "Service Unavailable")
        else:
            yield HangUp(ending.outcome)
    if call.stage is not Stage.NEW:
        yield CloseSession()
    for timer in sorted(call.timers):
        yield from call.stop_timer(timer)
    yield from call.transcript.unspoken()
    if call.stage is Stage.TALKING:
        call.note_counters()
    call.stage = Stage.CLOSED
    yield from call.move(Trigger.CLOSED)
    yield from call.take_changes()
    yield CallClosed(ending.outcome, ending.fault, ending.reason)


def watch_duration(call: CallState) -> Effects:
    """Begin to count, where there is a limit."""
    max_ms, warn_ms = call.policy.limits.max_call_ms, call.policy.limits.warn_before_ms
    if max_ms is None:
        return
    yield from call.start_timer(Timer.MAX_DURATION, max_ms)
    if call.policy.limits.max_call_warning is not None and max_ms > warn_ms:
        yield from call.start_timer(Timer.MAX_WARNING, max_ms - warn_ms)
