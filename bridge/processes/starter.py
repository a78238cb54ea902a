"""Starts the processes of a run: `bridge` commands, which one stack stops in the reverse order."""

import secrets
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml

from bridge.config.loading import PREFIX
from bridge.processes.child import Child, start_child
from bridge.processes.simulator import SimulatorAdmin


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running `bridge simulate`.

    Attributes:
        url: of its WebSocket.
        admin: sets its scenario and its faults, and rewinds its tape.
    """

    child: Child
    url: str
    admin: SimulatorAdmin


class Starter:
    """Starts processes.

    Args:
        environ: for them; they don't get its ``BRIDGE_*``.
        stack: stops them.
        ready_within_s: how long each may take until its first line says that it is ready.
    """

    def __init__(
        self, environ: Mapping[str, str], stack: AsyncExitStack, *, ready_within_s: float = 30.0
    ) -> None:
        self._environ = without_settings(environ)
        self._stack = stack
        self._ready_within_s = ready_within_s

    def directory(self, prefix: str) -> Path:
        """Make a directory that goes with the processes."""
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))

    async def start(
        self,
        name: str,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        takes_orders: bool = False,
        log_path: Path | None = None,
    ) -> Child:
        """Start a command; see :func:`bridge.processes.child.start_child`."""
        child = await start_child(
            name,
            arguments,
            {**self._environ, **(variables or {})},
            takes_orders=takes_orders,
            log_path=log_path,
        )
        return await self._stack.enter_async_context(child)

    async def ready(self, child: Child) -> Mapping[str, object]:
        """Return the line by which a process says that it is ready.

        Raises:
            ConfigError, InfrastructureError: it ended, or said nothing in time.
        """
        return await child.report(self._ready_within_s)

    async def simulator(self, name: str, *arguments: str) -> Simulator:
        """Start a Realtime server whose admin endpoint is open to us alone.

        Args:
            name: as it is shown.
            arguments: of `bridge simulate`, beside ``--json``.
        """
        secret = secrets.token_hex(8)
        variables = {"SIMULATOR_ADMIN_SECRET": secret}
        child = await self.start(name, "simulate", "--json", *arguments, variables=variables)
        url = str((await self.ready(child))["url"])
        return Simulator(child, url, SimulatorAdmin(url, secret))

    async def gateway(
        self,
        settings: Mapping[str, str],
        *options: str,
        variables: Mapping[str, str],
        log_path: Path | None = None,
    ) -> tuple[Child, Mapping[str, object]]:
        """Start a gateway; return it with the line by which it says that it is ready.

        Args:
            settings: by their names without ``BRIDGE_``.
            options: of `bridge serve`, beside ``--json``.
            variables: of the environment, beside the settings: keys.
            log_path: where its log is kept.
        """
        named = {PREFIX + name: value for name, value in settings.items()}
        child = await self.start(
            "the gateway",
            *("serve", "--json", *options),
            variables={**named, **variables},
            log_path=log_path,
        )
        return child, await self.ready(child)


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without ``BRIDGE_*``."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}


def write_yaml(path: Path, content: Mapping[str, object]) -> Path:
    """Write a YAML file, and the folder that it is in; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
    return path
