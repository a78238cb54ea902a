"""The floor: PJSIP with our media ports and no bridge.

Takes every call at once and joins it to a row of the rings, which nobody fills or reads: what any
gateway on this PJSIP must spend on SIP, RTP, G.711 and the conference, and not a turn less.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable

from bridge.bench.ready import Ready
from bridge.clock import SystemClock
from bridge.config.sip import SipSettings
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.leg import Leg
from bridge.telephony.tick import Ticker

_TICK_MS = 10


async def run_floor(announce: Callable[[Ready], None], stopped: Awaitable[object]) -> None:
    """Take calls until ``stopped`` is done.

    Args:
        announce: receives where it listens.
        stopped: ends it.

    Raises:
        InfrastructureError: the SIP port can't be had.
    """
    gc.disable()  # pjsua2's objects may be freed in this thread only; there is little to free

    def take(leg: Leg) -> None:
        leg.answer()

    endpoint = SipEndpoint(SipSettings(host="127.0.0.1", port=0), on_incoming=take)
    endpoint.start()
    ticker = Ticker(
        endpoint.poll, period_ms=_TICK_MS, clock=SystemClock(), on_lag=lambda lag_ns: None
    )
    ticker.start()
    try:
        announce(
            Ready(
                sip=f"sip:127.0.0.1:{endpoint.port}",
                max_calls=endpoint.info.call_limit,
                pjsip=endpoint.info.version,
                ports=endpoint.info.media_ports,
            )
        )
        await stopped
        await asyncio.sleep(0)
    finally:
        ticker.stop()
        endpoint.stop()
