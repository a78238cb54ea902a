"""The handing over of a call to somebody else, by blind transfer: REFER, and the NOTIFYs after it.

    start_handoff -> HANDOFF; the far end is told where to go, the caller hears a tone meanwhile
    completed     -> our BYE; it may come from the far end before the last NOTIFY does
    failed, late  -> the call is ours again: whoever began it says how it goes on

Source: RFC 3515 sections 2.4.4 to 2.4.7; who hangs up: RFC 5589 section 6.
"""

from bridge.clock import NS_PER_MS
from bridge.engine.closing import close
from bridge.engine.effects import HandoffCompleted, HandoffFailed, HandoffStarted, TransferCall
from bridge.engine.filler import stop_filler, want_filler
from bridge.engine.inputs import (
    Timer,
    TransferCompleted,
    TransferFailed,
    TransferProgressed,
)
from bridge.engine.state import CallState, Effects, Handoff
from bridge.engine.turns import Trigger

TIMEOUT = "timeout"
"""Why a handoff failed whose end was never told; others are named by their SIP status."""


def start_handoff(call: CallState, to: str, handoff: Handoff) -> Effects:
    """Send the far end to ``to``.

    Args:
        call: in a state that may be left for HANDOFF; nothing is being played.
        to: SIP or tel URI.
        handoff: new.
    """
    if not (yield from call.move(Trigger.HANDOFF_STARTED)):
        yield from handoff.on_failed(call, handoff.since_ns)
        return
    call.handoff = handoff
    yield HandoffStarted(to)
    yield TransferCall(to)
    yield from call.start_timer(Timer.TRANSFER, call.policy.transfer_timeout_ms)
    call.session.waiting_since_ns = handoff.since_ns
    yield from want_filler(call, call.policy.recovery.filler_after_ms, handoff.since_ns)


def on_transfer_progressed(call: CallState, event: TransferProgressed, now_ns: int) -> Effects:
    """Note that the far end has taken the REFER."""
    if call.handoff is not None:
        call.handoff.accepted = True
    yield from ()


def on_transfer_completed(call: CallState, event: TransferCompleted, now_ns: int) -> Effects:
    """Leave the call: the far end has somebody else to talk to."""
    yield from leave(call, now_ns)


def leave(call: CallState, now_ns: int, *, dialog_over: bool = False) -> Effects:
    """End a call that was handed over.

    Args:
        call: the call.
        now_ns: monotonic.
        dialog_over: the far end hung up with us: some do so once they have taken the REFER, before
            they tell how it went.
    """
    if call.handoff is None:
        return
    yield HandoffCompleted(_took_ms(call.handoff, now_ns))
    yield from close(call, call.handoff.ending, dialog_over=dialog_over)


def on_transfer_failed(call: CallState, event: TransferFailed, now_ns: int) -> Effects:
    """Take the call back."""
    yield from _take_back(call, f"sip_{event.sip_code}", now_ns)


def on_transfer_overdue(call: CallState, now_ns: int) -> Effects:
    """Take the call back from a far end that does not tell how it went."""
    yield from _take_back(call, TIMEOUT, now_ns)


def _take_back(call: CallState, reason: str, now_ns: int) -> Effects:
    handoff, call.handoff = call.handoff, None
    if handoff is None:
        return
    yield HandoffFailed(reason, _took_ms(handoff, now_ns))
    yield from call.stop_timer(Timer.TRANSFER)
    yield from stop_filler(call)
    yield from call.move(Trigger.HANDOFF_FAILED)
    if call.lost:
        yield from call.move(Trigger.SESSION_LOST)
    yield from handoff.on_failed(call, now_ns)


def _took_ms(handoff: Handoff, now_ns: int) -> int:
    return (now_ns - handoff.since_ns) // NS_PER_MS
