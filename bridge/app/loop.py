"""The gateway's loop: a tick polls SIP and moves all calls' audio; the cycle collector runs here.

A collection that starts in another thread (PJSIP's clock, a worker) could free pjsua2 objects
there, which crashes PJSIP (`ARCHITECTURE.md` section 2). So automatic collection is off, and the
loop collects in small steps: the young often, everything seldom. What is alive at start is frozen
out of it.

The C library's free memory goes back to the system, too. PJSIP keeps 15 KB for each refused INVITE
that nobody acknowledges, for 32 s (RFC 3261 section 17.2.1, timer H); after a flood of them glibc
would keep what lies between other allocations for ever.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable, Iterable

import structlog

from bridge.clock import NS_PER_MS, Clock
from bridge.live.call import CallRunner
from bridge.telemetry.metrics import Metrics
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.pump import Pump
from bridge.telephony.tick import Ticker

log = structlog.get_logger(__name__)

_YOUNG_EVERY_S = 2.0
_FULL_EVERY = 30
"""Young collections between full ones."""
_TRIM_EVERY = 5
"""Young collections between trims; one takes 0.1 ms, and 1.5 ms where it frees 14 MB (measured)."""


STOPPED_MS = 1_000
"""A tick that is later than this was no busy machine's: the process stood still."""


async def collect_garbage_in_loop() -> None:
    """Collect for ever; cancel to end. Automatic collection is back on afterwards."""
    gc.collect()
    gc.freeze()
    gc.disable()
    rounds = 0
    try:
        while True:
            await asyncio.sleep(_YOUNG_EVERY_S)
            rounds += 1
            gc.collect(2 if rounds % _FULL_EVERY == 0 else 1)
            if rounds % _TRIM_EVERY == 0:
                _return_free_memory()
    finally:
        gc.enable()
        gc.unfreeze()


def _return_free_memory() -> None:
    """Give whole pages of freed memory back to the system, where the C library can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def make_ticker(
    endpoint: SipEndpoint,
    pump: Pump,
    period_ms: int,
    clock: Clock,
    metrics: Metrics,
    calls: Callable[[], Iterable[CallRunner]],
) -> Ticker:
    """Make the gateway's ticker, to be started; its lag and its work are measured.

    Args:
        calls: gives those that go on; they are notified where the process stood still.
    """
    period_ns = period_ms * NS_PER_MS

    def tick() -> None:
        try:
            endpoint.poll()
            pump.tick()
        except Exception:
            log.exception("tick_failed")  # the next call's audio must not stop for this one's

    def on_lag(late_ns: int) -> None:
        metrics.loop_lag(late_ns)
        ms = late_ns // NS_PER_MS
        if ms < STOPPED_MS:
            return
        stopped = list(calls())
        metrics.node.stopped()
        log.warning("process_stopped", ms=ms, calls=len(stopped))
        for call in stopped:
            call.process_stopped(ms)

    return Ticker(
        tick,
        period_ms=period_ms,
        clock=clock,
        on_lag=on_lag,
        on_work=lambda took_ns: metrics.ticked(took_ns, period_ns),
    )
