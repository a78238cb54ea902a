"""Figures for the demo's summary from the gateway's `/metrics`: percentiles of its histograms."""

import math
from dataclasses import dataclass

from bridge.processes.http import get
from bridge.telemetry.scrape import Scrape


@dataclass(frozen=True, slots=True)
class Figures:
    """Upper bounds in ms; None where nothing was measured.

    Attributes:
        uplink_p95_ms: RTP in to append sent.
        downlink_p95_ms: delta received to the first RTP out.
        loop_lag_p99_ms: how late the 10 ms tick ran.
    """

    uplink_p95_ms: float | None = None
    downlink_p95_ms: float | None = None
    loop_lag_p99_ms: float | None = None


async def fetch_figures(http_url: str) -> Figures:
    """Read a gateway's metrics; figures that can't be had are None, since none is essential."""
    try:
        scrape = Scrape.parse(await get(f"{http_url}/metrics"))
    except (OSError, TimeoutError):
        return Figures()
    added = "bridge_added_latency_seconds"
    return Figures(
        _ms(scrape.quantile_s(added, 0.95, path="uplink")),
        _ms(scrape.quantile_s(added, 0.95, path="downlink")),
        _ms(scrape.quantile_s("bridge_loop_lag_seconds", 0.99)),
    )


def _ms(bound_s: float) -> float | None:
    return None if math.isnan(bound_s) else bound_s * 1000
