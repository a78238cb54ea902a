"""Looks after the certificate of SIP over TLS: takes renewed files, publishes its end."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog

from bridge.app.watches.troubles import Troubles
from bridge.clock import NS_PER_S, Clock
from bridge.config.secure_sip import TlsSettings
from bridge.errors import BridgeError
from bridge.telemetry.metrics.node import NodeMetrics
from bridge.telephony.certificates import TlsCredentials
from bridge.telephony.endpoint import SipEndpoint

log = structlog.get_logger(__name__)

_EVERY_S = 10.0
_SOON = timedelta(days=14)
"""As the alert CertExpiry has it."""


class SipCertificate:
    """Takes the files of SIP over TLS anew when they change; what can't be used changes nothing.

    Args:
        endpoint: started, with SIP over TLS.
        settings: name the files.
        metrics, troubles: where the certificate's end is published.
    """

    def __init__(
        self,
        endpoint: SipEndpoint,
        settings: TlsSettings,
        clock: Clock,
        metrics: NodeMetrics,
        troubles: Troubles,
    ) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._troubles = troubles

    async def keep_looking(self) -> None:
        """Look at the files and the calendar for ever; cancel to end."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Take the files if they have changed, and publish the end of what is in force."""
        problem = None
        try:
            found = await asyncio.to_thread(TlsCredentials.read, self._settings)
            self._take(found)
        except BridgeError as error:
            problem = f"the renewed certificate of SIP over TLS is not taken: {error}"
        if self._troubles.put("sip-certificate-files", problem) and problem:
            log.error("sip_certificate_refused", words=problem)
        self._publish()

    def _take(self, found: TlsCredentials) -> None:
        listener = self._endpoint.tls
        if listener is not None and found != listener.credentials:
            self._endpoint.renew_certificate(found)
            log.info("sip_certificate_renewed", ends=f"{found.ends:%F}")

    def _publish(self) -> None:
        if self._endpoint.tls is None:
            return
        ends = self._endpoint.tls.credentials.ends
        self._metrics.set_certificate("sip", ends.timestamp())
        now = datetime.fromtimestamp(self._clock.wall_ns() / NS_PER_S, UTC)
        words = None
        if ends - now <= _SOON:
            words = f"SIP's certificate {'has ended' if ends <= now else 'ends'} on {ends:%F}"
        if self._troubles.put("sip-certificate", words) and words:
            log.warning("certificate_ends", words=words, remedy="renew the files of sip.tls")
