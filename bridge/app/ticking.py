"""The gateway's tick: SIP is polled, then the audio of all calls is moved."""

from collections.abc import Callable, Iterable

import structlog

from bridge.clock import NS_PER_MS, Clock
from bridge.live.call import CallRunner
from bridge.telemetry.metrics import Metrics
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.pump import Pump
from bridge.telephony.tick import Ticker

log = structlog.get_logger(__name__)

STOPPED_MS = 1_000
"""A tick that is later than this was no busy machine's: the process stood still."""


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
