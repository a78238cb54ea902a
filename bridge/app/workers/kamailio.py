"""Kamailio in front of the workers: started, kept to those that take calls, ended last.

Its configuration is `kamailio.cfg` beside this file, which a site of many machines uses, too
(`deploy/kamailio`); addresses and files are given by ``-A``. It keeps no state of calls.
"""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from bridge.children import tied_to_parent
from bridge.config.sip import SipSettings
from bridge.errors import InfrastructureError
from bridge.sip.addresses import host_and_port

log = structlog.get_logger(__name__)

CONFIGURATION = Path(__file__).parent / "kamailio.cfg"
_PING_INTERVAL_S = 1
_NODE_SILENT_MS = 1000
_PROCESSES = 2
_READY_WITHIN_S = 20.0
_ENDS_WITHIN_S = 5.0
_ASKS_EVERY_S = 0.05
_TRIES_OF_FREE_PORTS = 20
"""A port that is free for UDP may be some connection's for TCP."""
_THIS_MACHINE = {False: "127.0.0.0/8", True: "::1/128"}
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_EVERYBODY = ("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")
"""Kamailio takes a network of no bits for none."""

_BETWEEN_RELOADS_S = 0.2
"""Kamailio keeps the list before the last one for its readers, and no older one."""
_REMEDY = "apt install kamailio (Debian's), or run one worker (workers: 1), which needs none"


@dataclass(frozen=True, slots=True)
class EdgePlan:
    """The command line and the lists that Kamailio is started with.

    Attributes:
        directory: has its lists and its control socket; short, for a Unix socket's path.
        command: its command line.
        trunks: the networks that calls are taken from, as `address.list` has them.
        workers_host: where the workers are heard.
    """

    directory: Path
    command: Sequence[str]
    trunks: str
    workers_host: str

    @property
    def nodes_file(self) -> Path:
        """The workers, one a line."""
        return self.directory / "dispatcher.list"


def plan_edge(sip: SipSettings, port: int, directory: Path) -> EdgePlan:
    """Return Kamailio's command line and lists.

    Raises:
        InfrastructureError: it is not installed.
    """
    address = host_and_port(sip.host, port)
    shown = f" advertise {host_and_port(sip.public_address, port)}" if sip.public_address else ""
    defines = {
        "SIP_UDP": f"udp:{address}{shown}",
        "SIP_TCP": f"tcp:{address}{shown}",
        "NODES_FILE": f'"{directory / "dispatcher.list"}"',
        "TRUNKS_FILE": f'"{directory / "address.list"}"',
        "PING_INTERVAL_S": _PING_INTERVAL_S,
        "NODE_SILENT_MS": _NODE_SILENT_MS,
        "WORKERS": _PROCESSES,
    }
    if sip.strangers == "drop":
        defines["DROP_STRANGERS"] = 1
    chosen = [word for name, value in defines.items() for word in ("-A", f"{name}={value}")]
    command = [
        *(_program("kamailio"), "-f", str(CONFIGURATION), "-DD", "-E", *chosen),
        *("-Y", str(directory), "-w", str(directory)),
    ]
    return EdgePlan(directory, command, trunks_list(sip), _LOOPBACK.get(sip.host, sip.host))


def trunks_list(sip: SipSettings) -> str:
    """Return the networks that calls are taken from, as `address.list` has them."""
    networks = {_THIS_MACHINE[sip.is_ipv6]}
    if sip.strangers == "answer":
        networks.update(_EVERYBODY)
    networks.update(str(each) for trunk in sip.trunks.values() for each in trunk.addresses)
    # The bits of a network are a column of their own (module permissions, `address_file`).
    return "".join(f"1 {network.replace('/', ' ')}\n" for network in sorted(networks))


def check_port_is_free(host: str, port: int) -> int:
    """Return the port, or a free one for 0.

    Kamailio shares a UDP port with a process that has it already (SO_REUSEADDR), so it is asked
    for first, without sharing.

    Raises:
        InfrastructureError: another process has it.
    """
    tries = 1 if port else _TRIES_OF_FREE_PORTS
    while True:
        tries -= 1
        try:
            return _have_port(host, port)
        except InfrastructureError:
            if not tries:
                raise


def _have_port(host: str, port: int) -> int:
    """Return the port, or one that was free for UDP; raises where TCP or UDP can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as asked:
            if kind == socket.SOCK_STREAM:  # connections of a process that is gone may linger
                asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                asked.bind((host, port))
            except OSError as error:
                raise InfrastructureError(
                    f"SIP port {port} on {host} can't be had: {error.strerror}",
                    remedy="stop what listens there, or set BRIDGE_SIP_PORT (sip.port)",
                ) from error
            port = port or int(asked.getsockname()[1])
    return port


class Kamailio:
    """A Kamailio that is kept running. Use :meth:`start`, then :meth:`stop`."""

    def __init__(self, plan: EdgePlan) -> None:
        self._plan = plan
        self._kamcmd = _program("kamcmd")
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._routing = asyncio.Lock()

    async def start(self, sip_ports: Iterable[int]) -> None:
        """Start it, with workers at these ports.

        Raises:
            InfrastructureError: it does not come up.
        """
        plan = self._plan
        plan.directory.mkdir(parents=True, exist_ok=True)
        (plan.directory / "address.list").write_text(plan.trunks, "ascii")
        self._write_nodes(sip_ports)
        self._process = await asyncio.create_subprocess_exec(
            *tied_to_parent(plan.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(_log_lines(self._process), name="kamailio-log")
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                while not await self._order("core.uptime"):
                    if self._process.returncode is not None:
                        raise InfrastructureError(
                            f"Kamailio ended at once with status {self._process.returncode};"
                            " its own lines are in the log"
                        )
                    await asyncio.sleep(_ASKS_EVERY_S)
        except TimeoutError:
            await self.stop()
            raise InfrastructureError(
                f"Kamailio did not start within {_READY_WITHIN_S:g} s"
            ) from None

    async def route_to(self, sip_ports: Iterable[int]) -> None:
        """Have new calls go to the workers at these ports alone; calls that go on stay."""
        if self._process is None:
            return
        async with self._routing:
            self._write_nodes(sip_ports)
            if not await self._order("dispatcher.reload"):
                log.error("kamailio_list_not_taken", remedy="none: OPTIONS show it a second later")
            await asyncio.sleep(_BETWEEN_RELOADS_S)

    async def serve_trunks(self, sip: SipSettings) -> None:
        """Take the calls of these trunks, and of no others, from now on."""
        (self._plan.directory / "address.list").write_text(trunks_list(sip), "ascii")
        await self._order("permissions.addressReload")

    async def ended(self) -> int:
        """Wait for its end; return its status."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and its processes."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await process.wait()
        except TimeoutError:
            log.warning("kamailio_killed", after_s=_ENDS_WITHIN_S)
        # Its processes outlive the first one where that was killed, and keep port and log open.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._reading is not None:
            await self._reading

    def _write_nodes(self, sip_ports: Iterable[int]) -> None:
        host = self._plan.workers_host
        lines = "".join(f"1 sip:{host_and_port(host, port)} 0 0\n" for port in sorted(sip_ports))
        fresh = self._plan.nodes_file.with_suffix(".new")
        fresh.write_text(lines, "ascii")
        fresh.replace(self._plan.nodes_file)

    async def _order(self, command: str) -> bool:
        """Give a command by its control socket; return whether it was taken."""
        asked = await asyncio.create_subprocess_exec(
            *(self._kamcmd, "-s", f"unix:{self._plan.directory / 'kamailio_ctl'}", command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await asked.wait() == 0


async def _log_lines(process: asyncio.subprocess.Process) -> None:
    """Log its lines as ours."""
    assert process.stderr is not None
    async for line in process.stderr:
        words = line.decode(errors="replace").strip()
        write = log.warning if "ERROR" in words or "CRITICAL" in words else log.debug
        write("kamailio", line=words)


def _program(name: str) -> str:
    # Debian has it in /usr/sbin, which a user's PATH lacks.
    found = shutil.which(
        name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    )
    if found is None:
        raise InfrastructureError(f"{name} is not installed", remedy=_REMEDY)
    return found
