"""SIP messages, both ways."""

from bridge.telemetry.labels import (
    Direction,
    LabelGuard,
)
from bridge.telemetry.metrics.families import Families


class SipMetrics:
    """SIP messages as they pass the wire, retransmissions among them."""

    def __init__(self, make: Families) -> None:
        self._requests = make.counter("sip_requests_total", "SIP requests.", "method", "direction")
        self._responses = make.counter(
            "sip_responses_total", "SIP responses.", "method", "code", "direction"
        )
        self._method = LabelGuard(20)
        self._code = LabelGuard(80)

    def request(self, direction: Direction, method: str) -> None:
        """Count a request."""
        self._requests.labels(self._method(method), direction).inc()

    def response(self, direction: Direction, method: str, code: str) -> None:
        """Count a response to a request with this method."""
        self._responses.labels(self._method(method), self._code(code), direction).inc()
