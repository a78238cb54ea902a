"""Metrics of SIP: messages both ways, requests turned away, registrations, trunks."""

import contextlib
from collections.abc import Iterable

from bridge.errors import NotPlaced
from bridge.sip.sources import TurnedAway
from bridge.telemetry.labels import SipDirection, sip_code, sip_method
from bridge.telemetry.metrics.families import Families

UNKNOWN_TRUNK = "unknown"
"""The trunk, in metrics, of whoever has an address that the settings give to none."""


class SipMetrics:
    """SIP messages as they pass the wire, retransmissions among them.

    `trunk` is a name of the settings; they have 20 at most.
    """

    def __init__(self, make: Families) -> None:
        self._requests = make.counter(
            "sip_requests_total", "SIP requests.", "method", "trunk", "direction"
        )
        self._responses = make.counter(
            "sip_responses_total", "SIP responses.", "method", "code", "trunk", "direction"
        )
        self._turned_away = make.counter(
            "sip_turned_away_total",
            "SIP requests that were not served for their source.",
            "reason",
            "trunk",
        )
        self._not_placed = make.counter(
            "calls_not_placed_total",
            "Calls that the bridge would have placed and may not: a trunk's limits, no hop left.",
            "reason",
            "trunk",
        )
        self._dropped_rtp = make.counter(
            "rtp_stray_packets_total",
            "Packets to calls' RTP and RTCP that were dropped, for they came from elsewhere than "
            "the far end.",
            "trunk",
        )
        self._probes = make.counter(
            "trunk_probes_total", "OPTIONS that asked whether a trunk can be reached.", "trunk"
        )

        self._registered = make.gauge(
            "trunk_registered", "1 while a trunk has us registered.", "trunk"
        )
        self._registers = make.counter(
            "trunk_register_answers_total",
            "Last answers to REGISTER; 408 also where none could be sent.",
            "trunk",
            "code",
        )

    def set_registered(self, trunk: str, *, registered: bool) -> None:
        """Publish whether a trunk has us registered."""
        self._registered.labels(trunk).set(registered)

    def registration_ended(self, trunk: str) -> None:
        """Take a trunk's registration out, once it is taken back: nobody waits for it."""
        with contextlib.suppress(KeyError):
            self._registered.remove(trunk)

    def register_answered(self, trunk: str, code: str) -> None:
        """Count a registrar's last answer to a REGISTER."""
        self._registers.labels(trunk, sip_code(code)).inc()

    def turned_away(self, reason: TurnedAway, *, trunk: str) -> None:
        """Count a request that is not served for its source; ``trunk`` is empty for strangers."""
        self._turned_away.labels(reason, trunk or UNKNOWN_TRUNK).inc()

    def not_placed(self, reason: NotPlaced, *, trunk: str) -> None:
        """Count a call that may not be placed; ``trunk`` is empty where it leads to none."""
        self._not_placed.labels(reason, trunk or UNKNOWN_TRUNK).inc()

    def dropped_rtp(self, packets: int, *, trunk: str) -> None:
        """Count packets that came to a call's media from elsewhere; ``trunk``: of its far end."""
        self._dropped_rtp.labels(trunk or UNKNOWN_TRUNK).inc(packets)

    def expect_probes(self, trunks: Iterable[str]) -> None:
        """Publish the series of trunks that are to be asked."""
        for trunk in trunks:
            self._probes.labels(trunk)

    def probed(self, trunk: str) -> None:
        """Count a probe; its answer is a response like any other."""
        self._probes.labels(trunk).inc()

    def request(self, direction: SipDirection, method: str, *, trunk: str) -> None:
        """Count a request. ``trunk``: of the far end, empty for none of them."""
        self._requests.labels(sip_method(method), trunk or UNKNOWN_TRUNK, direction).inc()

    def response(self, direction: SipDirection, method: str, code: str, *, trunk: str) -> None:
        """Count a response to a request with this method."""
        self._responses.labels(
            sip_method(method), sip_code(code), trunk or UNKNOWN_TRUNK, direction
        ).inc()
