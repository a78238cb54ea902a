"""Counts and logs what comes to nothing: strangers' requests and packets, calls not placed.

The log line of a request is what fail2ban reads (`deploy/fail2ban/`); floods are kept out of the
log by :mod:`bridge.telemetry.log_limits`.
"""

import logging
from collections.abc import Callable

import structlog

from bridge.errors import NotPlaced
from bridge.sip.sources import TurnedAway
from bridge.telemetry.metrics.sip import SipMetrics

log = structlog.get_logger(__name__)

_IN_ORDER = frozenset({TurnedAway.CHALLENGED, TurnedAway.STALE})
"""Of every user, now and then."""


def turned_away_counter(
    trunk_of: Callable[[str], str], metrics: SipMetrics
) -> Callable[[str, str, TurnedAway], None]:
    """Return what counts a request that was turned away: given its source, method and reason."""

    def count(source: str, method: str, reason: TurnedAway) -> None:
        metrics.turned_away(reason, trunk=trunk_of(source))
        level = logging.DEBUG if reason in _IN_ORDER else logging.WARNING
        log.log(level, "sip_turned_away", source=source, method=method, reason=reason.value)

    return count


def not_placed_counter(metrics: SipMetrics) -> Callable[[str, NotPlaced], None]:
    """Return what counts a call that may not be placed: given its trunk, "" for none, and why."""

    def count(trunk: str, reason: NotPlaced) -> None:
        metrics.not_placed(reason, trunk=trunk)
        log.warning("call_not_placed", trunk=trunk, reason=reason.value)

    return count


def stray_packet_counter(
    trunk_of: Callable[[str], str], metrics: SipMetrics
) -> Callable[[str, int], None]:
    """Return what counts dropped packets: given the host of the call's far end, and how many."""

    def count(host: str, packets: int) -> None:
        metrics.dropped_rtp(packets, trunk=trunk_of(host))
        log.warning("rtp_from_elsewhere_dropped", far_end=host, packets=packets)

    return count
