"""Figures for the demo's summary from the gateway's `/metrics`: percentiles of its histograms.

A histogram tells only between which bounds a value lies, so every figure is an upper bound.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_TIMEOUT_S = 3.0
_BUCKET = re.compile(r"^(\w+)_bucket\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


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
        text = await _fetch(http_url)
    except (OSError, TimeoutError):
        return Figures()
    added = "bridge_added_latency_seconds"
    return Figures(
        percentile_bound_ms(text, added, 95, {"path": "uplink"}),
        percentile_bound_ms(text, added, 95, {"path": "downlink"}),
        percentile_bound_ms(text, "bridge_loop_lag_seconds", 99),
    )


def percentile_bound_ms(
    text: str, name: str, percent: int, labels: Mapping[str, str] | None = None
) -> float | None:
    """Return the bound of the bucket that a percentile lies in.

    Args:
        text: Prometheus text exposition.
        name: of a histogram in seconds, without ``_bucket``.
        percent: 1 to 100.
        labels: that its series must have; there should be one such series.

    Returns:
        Milliseconds, infinite beyond the last bound; None without samples.
    """
    wanted = set((labels or {}).items())
    buckets: list[tuple[float, float]] = []
    for found in _BUCKET.finditer(text):
        given = dict(_LABEL.findall(found[2]))
        if found[1] == name and wanted <= given.items():
            buckets.append((float(given["le"]), float(found[3])))
    count = max((below for _, below in buckets), default=0.0)
    if not count:
        return None
    rank = math.ceil(count * percent / 100)
    return min(bound for bound, below in buckets if below >= rank) * 1000


async def _fetch(http_url: str) -> str:
    # Three lines of HTTP/1.0 instead of a client: only the console may import aiohttp.
    address = urlsplit(http_url)
    async with asyncio.timeout(_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            return (await reader.read()).decode(errors="replace")
        finally:
            writer.close()
