"""Reloads a running gateway's dialplans on request, or when a file changes; on request its trunks.

Files are looked at every two seconds, off the loop. What changed is read once it has stood still
for one look, so that a file is not read while it is being written. Bad files change nothing: the
dialplans in force stay, and the log and `/metrics` say so.

On request the settings are read, too, and their trunks put in force together with the dialplans.
What else has changed there waits for a restart, which the log says.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from bridge.app.dialplans.plans import Dialplans, read_dialplans
from bridge.app.gateway import Gateway
from bridge.config.loading import load_settings, resolve_trunk_secrets
from bridge.config.settings import Settings
from bridge.config.sip_in_force import waiting_for_a_restart, with_trunks_of
from bridge.descriptors import out_of_descriptors
from bridge.errors import BridgeError
from bridge.routing.matching import SUFFIXES
from bridge.telemetry.labels import ReloadResult

log = structlog.get_logger(__name__)

EVERY_S = 2.0

_Seen = frozenset[tuple[str, int, int]]
"""Name, modification time in ns, and size in octets of each file."""


class DialplanReloader:
    """Keeps a gateway's dialplans as the directory has them.

    Make it before the dialplans are read for the first time, so that no change is missed.

    Args:
        settings: of the gateway: where the dialplans are, which arms and trunks there are.
        environ: where secrets are read from.
        config: the settings' file; None where they have none.
        every_s: how often the files are looked at.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        config: Path | None = None,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._settings = settings
        self._config = config
        self._environ = environ
        self._every_s = every_s
        self._asked = asyncio.Event()
        self._in_force: _Seen = frozenset()
        self._in_force = self._look()

    def reload_soon(self) -> None:
        """Have them read now, changed or not."""
        self._asked.set()

    async def keep(self, gateway: Gateway) -> None:
        """Reload for ever; cancel to end."""
        before = self._in_force
        while True:
            asked = await self._wait()
            seen = await asyncio.to_thread(self._look)
            if asked or (seen != self._in_force and seen == before):
                self._in_force = seen
                await self._reload(gateway, with_trunks=asked)
            before = seen

    async def _wait(self) -> bool:
        """Wait for the next look; return whether it was asked for."""
        try:
            async with asyncio.timeout(self._every_s):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _reload(self, gateway: Gateway, *, with_trunks: bool) -> None:
        try:
            read = await (self._take_all(gateway) if with_trunks else self._take(gateway))
        except Exception as error:  # a reloader that ended would let later changes go unseen
            _count(gateway, ReloadResult.FAILED, with_trunks=with_trunks)
            expected = isinstance(error, BridgeError)
            log.error(
                "dialplans_not_reloaded",
                error=str(error),
                kept="those in force",
                exc_info=not expected,
            )
            return
        _count(gateway, ReloadResult.OK, with_trunks=with_trunks)
        log.info("dialplans_reloaded", dialplans=[plan.name for plan in read.plans])

    async def _take(self, gateway: Gateway) -> Dialplans:
        read = await asyncio.to_thread(read_dialplans, self._settings, self._environ)
        await gateway.take_dialplans(read)
        return read

    async def _take_all(self, gateway: Gateway) -> Dialplans:
        """Put the trunks of the settings and the dialplans in force; neither where one is bad."""
        settings, secrets = await asyncio.to_thread(self._read_settings)
        read = await asyncio.to_thread(read_dialplans, settings, self._environ)
        change = gateway.prepare_trunks(settings.sip, secrets)
        try:
            await gateway.take_dialplans(read)
        except BridgeError:
            change.give_up()
            raise
        await gateway.take_trunks(change)
        former, self._settings = self._settings.sip.trunks, settings
        trunks = settings.sip.trunks
        log.info(
            "trunks_reloaded",
            added=sorted(trunks.keys() - former.keys()),
            removed=sorted(former.keys() - trunks.keys()),
            changed=sorted(
                name
                for name in trunks.keys() & former.keys()
                if trunks[name] != former[name] or name in change.left
            ),
        )
        return read

    def _read_settings(self) -> tuple[Settings, Mapping[str, str]]:
        """Read the settings anew, for their trunks. Blocks."""
        read = load_settings(self._config, self._environ)
        if waiting := list(waiting_for_a_restart(self._settings, read)):
            log.warning("settings_wait_for_restart", settings=waiting)
        settings = with_trunks_of(self._settings, read)
        return settings, resolve_trunk_secrets(settings.sip, self._environ)

    def _look(self) -> _Seen:
        try:
            with os.scandir(self._settings.dialplans_dir) as entries:
                return frozenset(
                    (entry.name, entry.stat().st_mtime_ns, entry.stat().st_size)
                    for entry in entries
                    if entry.name.endswith(SUFFIXES)
                )
        except OSError as error:
            # Without a descriptor nothing is seen; gone, or half replaced: reading it will show.
            return self._in_force if out_of_descriptors(error) else frozenset()


def _count(gateway: Gateway, result: ReloadResult, *, with_trunks: bool) -> None:
    gateway.metrics.dialplans_reloaded(result)
    if with_trunks:
        gateway.metrics.trunks_reloaded(result)
