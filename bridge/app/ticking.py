"""What the gateway does every tick: SIP polled, then all calls' audio moved."""

import structlog

from bridge.clock import NS_PER_MS, Clock
from bridge.telemetry.metrics import Metrics
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.pump import Pump
from bridge.telephony.tick import Ticker

log = structlog.get_logger(__name__)


def make_ticker(
    endpoint: SipEndpoint, pump: Pump, period_ms: int, clock: Clock, metrics: Metrics
) -> Ticker:
    """Make the gateway's ticker, to be started; its lag and its work are measured."""
    period_ns = period_ms * NS_PER_MS

    def tick() -> None:
        try:
            endpoint.poll()
            pump.tick()
        except Exception:
            log.exception("tick_failed")  # the next call's audio must not stop for this one's

    return Ticker(
        tick,
        period_ms=period_ms,
        clock=clock,
        on_lag=metrics.loop_lag,
        on_work=lambda took_ns: metrics.ticked(took_ns, period_ns),
    )
