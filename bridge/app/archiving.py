"""The archive of a gateway: a process of its own that encrypts and ships what was recorded.

Encrypting an hour of a call takes a fifth of a second of a core, and its disk may hang: neither is
for a process that has calls. It is started again, slower and slower, if it ends; what it was at is
gone on with (`bridge/recordings/archive.py`).
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from bridge.app.watches.troubles import Troubles
from bridge.config.archive import RecordingsSettings
from bridge.errors import BridgeError
from bridge.processes.child import start_child
from bridge.realtime.backoff import Backoff
from bridge.telemetry.metrics.store import ArchiveMetrics

log = structlog.get_logger(__name__)

EVERY_S = 5.0
"""For so long at least a recording may be plain after its call; looking takes 3 ms for 10,000."""

_REPORT_WITHIN_S = 300.0
"""A run takes 20 s at most, on a disk that answers."""

_BACKOFF = Backoff(base_ms=5_000, limit_ms=300_000)
_MIDDLE = 0.5
_TROUBLE = "archive"


class Archiving:
    """Keeps the archive's process running, and publishes what it reports.

    Args:
        settings: of recordings; with recipients.
        directory: of the calls' files.
        metrics, troubles: where to say how many wait, and why.
    """

    def __init__(
        self,
        settings: RecordingsSettings,
        directory: Path,
        metrics: ArchiveMetrics,
        troubles: Troubles,
    ) -> None:
        self._directory = directory
        self._metrics = metrics
        self._troubles = troubles
        opens_none = {"BRIDGE_RECORDINGS_IDENTITIES_FILE": ""}
        self._environ = {**os.environ, "BRIDGE_CONFIG": "", **settings.environ, **opens_none}
        metrics.set_ships(settings.s3 is not None)
        self._failures = 0

    async def keep_running(self) -> None:
        """Archive for ever; cancel to end."""
        while True:
            try:
                await self._run()
            except BridgeError as error:
                self._failures += 1
                log.error("archive_ended", error=str(error), failures=self._failures)
                self._publish_error(str(error))
            await asyncio.sleep(_BACKOFF.wait_ms(self._failures + 1, _MIDDLE) / 1000)

    async def _run(self) -> None:
        where = ("--directory", str(self._directory))
        arguments = ("recordings", "archive", "--every", f"{EVERY_S:g}", *where)
        async with await start_child("the archive", arguments, self._environ) as child:
            while True:
                self._take(await child.report(_REPORT_WITHIN_S))
                self._failures = 0

    def _take(self, report: Mapping[str, object]) -> None:
        counts, oldest_s = report["counts"], report["oldest_s"]
        if isinstance(counts, Mapping) and isinstance(oldest_s, Mapping):
            for state, count in counts.items():
                self._metrics.set_recordings(state, count, oldest_s[state])
        if report["done"]:
            log.info("recordings_archived", done=report["done"], counts=counts)
        error = report["error"]
        self._publish_error(None if error is None else str(error))

    def _publish_error(self, error: str | None) -> None:
        self._metrics.set_failing(error is not None)
        words = None if error is None else f"recordings wait in {self._directory}: {error}"
        if self._troubles.put(_TROUBLE, words) and error is not None:
            log.error("recordings_wait", directory=str(self._directory), error=error)
