"""Tries again and again what calls will need: directories that take files, trunks that answer."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from bridge.app.watches.troubles import Troubles
from bridge.errors import TelephonyError
from bridge.telemetry.metrics.node import NodeMetrics
from bridge.telephony.endpoint import SipEndpoint

log = structlog.get_logger(__name__)

_DIRECTORIES_EVERY_S = 10.0
_WITHIN_S = 5.0
_BYTES = 4096
"""More than a file system keeps beside a file's name: a full one refuses it."""


class Directories:
    """Looks after the directories of one node.

    Args:
        paths: each by what it is for, as in ``recordings``.
        metrics, troubles: where to say that one refuses.
    """

    def __init__(self, paths: Mapping[str, Path], metrics: NodeMetrics, troubles: Troubles) -> None:
        self._paths = paths
        self._metrics = metrics
        self._troubles = troubles
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def keep_looking(self) -> None:
        """Look for ever; cancel to end."""
        while True:
            for name, path in self._paths.items():
                self._publish(name, path, await self._look(name, path))
            await asyncio.sleep(_DIRECTORIES_EVERY_S)

    async def _look(self, name: str, path: Path) -> str | None:
        """Return why a directory takes nothing; what hangs is left to its thread."""
        looking = self._looking.get(name)
        if looking is None:
            looking = asyncio.create_task(asyncio.to_thread(_write, path), name=f"look-{name}")
            self._looking[name] = looking
        done, _ = await asyncio.wait({looking}, timeout=_WITHIN_S)
        if not done:
            return "the disk hangs"
        del self._looking[name]
        error = looking.exception()
        if error is not None and not isinstance(error, OSError):
            raise error
        return None if error is None else error.strerror or type(error).__name__

    def _publish(self, name: str, path: Path, error: str | None) -> None:
        self._metrics.set_refused(name, refused=error is not None)
        words = None if error is None else f"{path} ({name}) takes no files: {error}"
        if self._troubles.put(name, words) and error is not None:
            log.error("directory_refuses", what=name, directory=str(path), error=error)


def _write(path: Path) -> None:
    while not path.exists():  # it is made with its first file
        path = path.parent
    with tempfile.TemporaryFile(dir=path) as file:
        file.write(bytes(_BYTES))


async def keep_probing(endpoint: SipEndpoint, on_probe: Callable[[str], None]) -> None:
    """Ask every trunk that has a probe, by OPTIONS, whether it can be reached; cancel to end.

    An answer of any code shows that it can (RFC 3261 section 11); answers are counted where all
    SIP messages are, by trunk. The alert TrunkUnreachable compares the two.

    Args:
        on_probe: takes each trunk before it is asked: what can't be sent has no answer, either.
    """
    while True:
        for trunk, uri in endpoint.sip.settings.trunk_probes.items():
            on_probe(trunk)
            try:
                endpoint.ask_options(uri)
            except TelephonyError as error:  # a name that can't be resolved just now, too
                log.warning("trunk_not_asked", trunk=trunk, error=str(error))
        await asyncio.sleep(endpoint.sip.settings.probe_every_s)
