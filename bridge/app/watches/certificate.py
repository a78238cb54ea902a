"""Publishes when the console's own certificate ends, and warns of one that has ended."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509

from bridge.app.watches.troubles import Troubles
from bridge.clock import NS_PER_S, Clock
from bridge.telemetry.metrics.node import NodeMetrics

log = structlog.get_logger(__name__)

_SOON = timedelta(days=14)
"""As the alert CertExpiry has it."""

_EVERY_S = 3600.0


class ConsoleCertificate:
    """The certificate that the HTTP port shows until the process ends: the file's at the start.

    Args:
        path: PEM, the console's own certificate first; None where the port speaks no TLS.
        clock: of the wall.
        metrics, troubles: where to say when it ends.

    Raises:
        ValueError: the file has no certificate.
        OSError: it can't be read.
    """

    def __init__(
        self, path: Path | None, clock: Clock, metrics: NodeMetrics, troubles: Troubles
    ) -> None:
        self._clock = clock
        self._troubles = troubles
        self._ends: datetime | None = None
        if path is not None:
            self._ends = x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc
            metrics.set_certificate("console", self._ends.timestamp())

    async def keep_looking(self) -> None:
        """Look at the calendar for ever; cancel to end."""
        while self._ends is not None:
            self._look(self._ends)
            await asyncio.sleep(_EVERY_S)

    def _look(self, ends: datetime) -> None:
        now = datetime.fromtimestamp(self._clock.wall_ns() / NS_PER_S, UTC)
        if ends - now > _SOON:
            return
        words = f"the console's certificate {'has ended' if ends <= now else 'ends'} on {ends:%F}"
        if self._troubles.put("certificate", words):
            log.warning("certificate_ends", words=words, remedy="renew it and restart the node")
