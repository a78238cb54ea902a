"""Publishes the ends of the arms' models and the console's certificate; warns of those near.

Each arm's service is asked at the start and daily. What a service says of a model stands above
`models.yaml`, which is as old as the release. Without a key, or an answer, the table's date stays.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509

from bridge.app.dialplans.arms import today_of
from bridge.app.watches.troubles import Troubles
from bridge.clock import NS_PER_S, Clock
from bridge.config.models import SUNSET_DAYS, ModelTable
from bridge.config.settings import ArmSettings
from bridge.errors import UpstreamError
from bridge.live.services import Arm
from bridge.session.access_reader import AccessReader
from bridge.session.model_dates import shutdown_dates
from bridge.telemetry.metrics.node import NodeMetrics

log = structlog.get_logger(__name__)

MODELS_EVERY_S = 24 * 3600.0

NoteDate = Callable[[str, str, date], None]
"""Takes (arm, model, first day without it)."""


_SOON = timedelta(days=14)
"""As the alert CertExpiry has it."""
_CERTIFICATE_EVERY_S = 3600.0


class Sunsets:
    """Knows when the arms' models end.

    Args:
        arms: of the gateway; ``settings``, ``access``: of those with a Realtime session, by name.
        table: what is known without asking.
        note: takes each date that a service has given.
    """

    def __init__(
        self,
        arms: Mapping[str, Arm],
        settings: Mapping[str, ArmSettings],
        access: Mapping[str, AccessReader],
        table: ModelTable,
        clock: Clock,
        note: NoteDate,
    ) -> None:
        self._arms = arms
        self._settings = settings
        self._access = access
        self._table = table
        self._clock = clock
        self._note = note

    async def keep_asking(self) -> None:
        """Ask for ever; cancel to end."""
        while True:
            for name in self._settings:
                try:
                    await self._ask(name)
                except Exception as error:  # noqa: BLE001  # task root: the others are asked anyway
                    # No traceback: the request holds the key.
                    log.error("model_dates_broken", arm=name, error=type(error).__name__)
            await asyncio.sleep(MODELS_EVERY_S)

    async def _ask(self, name: str) -> None:
        url, access = self._settings[name].models_endpoint, await self._access[name].get()
        if url is None or access.key is None:
            return
        try:
            dates = await shutdown_dates(url, access)
        except UpstreamError as error:
            log.info("model_dates_unknown", arm=name, error=str(error))
            return
        for choice in self._arms[name].choices:
            model = choice.endpoint.model
            if (day := dates.get(model)) is not None:
                self._note(name, model, day)
                self._warn(name, model, day)

    def _warn(self, arm: str, model: str, day: date) -> None:
        known = self._table.find(model)
        if known is not None and known.shutdown == day:
            return  # said at the start
        if (day - today_of(self._clock)).days < SUNSET_DAYS:
            log.warning("arm.model_ends", arm=arm, model=model, shutdown=day.isoformat())


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
            await asyncio.sleep(_CERTIFICATE_EVERY_S)

    def _look(self, ends: datetime) -> None:
        now = datetime.fromtimestamp(self._clock.wall_ns() / NS_PER_S, UTC)
        if ends - now > _SOON:
            return
        words = f"the console's certificate {'has ended' if ends <= now else 'ends'} on {ends:%F}"
        if self._troubles.put("certificate", words):
            log.warning("certificate_ends", words=words, remedy="renew it and restart the node")
