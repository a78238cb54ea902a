"""Counts and logs the packets that strangers send to calls' RTP and RTCP ports."""

from collections.abc import Callable

import structlog

from bridge.telemetry.metrics.sip import SipMetrics

log = structlog.get_logger(__name__)


def stray_packet_counter(
    trunk_of: Callable[[str], str], metrics: SipMetrics
) -> Callable[[str, int], None]:
    """Return what counts dropped packets: given the host of the call's far end, and how many."""

    def count(host: str, packets: int) -> None:
        metrics.dropped_rtp(packets, trunk=trunk_of(host))
        log.warning("rtp_from_elsewhere_dropped", far_end=host, packets=packets)

    return count
