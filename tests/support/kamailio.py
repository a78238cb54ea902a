"""Kamailio as a user's process on loopback, mostly with the configuration of `deploy/kamailio`."""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bridge.children import tied_to_parent
from tests.support.ports import free_port
from tests.support.programs import need_program
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until

_EDGE = Path(__file__).parent.parent.parent / "deploy" / "kamailio" / "kamailio.cfg"
_PACKAGE = "kamailio"
_END_WITHIN_S = 10.0
PING_INTERVAL_S = 1
NODE_SILENT_MS = 1000
CARRIER = "127.0.0.1"
"""The one address whose calls it takes."""


@dataclass(frozen=True, slots=True)
class TlsOutside:
    """TLS on Kamailio's outside.

    Attributes:
        shown: its certificate and key.
        clients_of: authority that must have signed the clients' certificates; None for any client.
    """

    shown: tuple[Path, Path]
    clients_of: Path | None = None

    def defines(self, port: int) -> dict[str, str]:
        """Return what the configuration needs to listen at a port."""
        cert, key = self.shown
        files = {"TLS_CERT": cert, "TLS_KEY": key}
        if self.clients_of is not None:
            files["TLS_CA"] = self.clients_of
        quoted = {name: f'"{path}"' for name, path in files.items()}
        return {"SIP_TLS": f"tls:127.0.0.1:{port}", **quoted}


class Kamailio:
    """A running Kamailio.

    Attributes:
        port: where it takes SIP, UDP and TCP.
        tls_port: where it takes SIP over TLS; 0 where it doesn't.
    """

    def __init__(self, port: int, tls_port: int, control: str) -> None:
        self.port, self.tls_port = port, tls_port
        self._control = control
        self._kamcmd = need_program("kamcmd", _PACKAGE)

    async def nodes(self) -> dict[int, str]:
        """Return what it thinks of each node by its port: AP is taken, IP is left out."""
        asked = await asyncio.create_subprocess_exec(
            *(self._kamcmd, "-s", self._control, "dispatcher.list"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, _ = await asked.communicate()
        pairs = [line.strip().partition(": ") for line in told.decode().splitlines()]
        uris = [value for name, _, value in pairs if name == "URI"]
        flags = [value for name, _, value in pairs if name == "FLAGS"]
        return {int(uri.rsplit(":", 1)[1]): flag for uri, flag in zip(uris, flags, strict=True)}

    async def until(self, within_s: float, **wanted: Sequence[int]) -> None:
        """Wait until the nodes are in the states that are named, ``AP=[...], IP=[...]``."""

        async def so() -> bool:
            nodes = await self.nodes()
            return all(nodes.get(port) == flag for flag in wanted for port in wanted[flag])

        await wait_until(so, f"Kamailio does not see {wanted}", within_s)


@asynccontextmanager
async def kamailio(
    node_ports: Sequence[int],
    *,
    tls: TlsOutside | None = None,
    config: Path = _EDGE,
    **defines: object,
) -> AsyncIterator[Kamailio]:
    """Run Kamailio in front of gateways on loopback; every process of it is gone afterwards.

    Args:
        node_ports: of the gateways.
        tls: on its outside; None for none.
        config: its configuration.
        defines: of the configuration, beside those that every test sets.
    """
    program, tls_port = need_program("kamailio", _PACKAGE), 0
    if tls is not None:
        _need_tls()
        tls_port = free_port()
        defines |= tls.defines(tls_port)
    with tempfile.TemporaryDirectory(prefix="kam-", dir="/tmp") as name:  # short: a unix socket
        directory = Path(name)
        nodes = directory / "dispatcher.list"
        nodes.write_text("".join(f"1 sip:127.0.0.1:{port} 0 0\n" for port in node_ports), "ascii")
        (directory / "address.list").write_text(f"1 {CARRIER}\n", "ascii")
        port = free_port()
        process = _start([program, "-f", str(config)], directory, nodes, port, defines)
        try:
            server = Kamailio(port, tls_port, f"unix:{directory / 'kamailio_ctl'}")
            await _until_answers(port, process, directory)
            yield server
        finally:
            _end(process)


def _need_tls() -> None:
    """Skip where Kamailio's module for TLS is missing, which is no program; fail in CI."""
    if not list(Path("/usr/lib").glob("*/kamailio/modules/tls.so")):
        need_program("kamailio-tls", "kamailio-tls-modules")


def _start(
    program: Sequence[str], directory: Path, nodes: Path, port: int, more: Mapping[str, object]
) -> "subprocess.Popen[bytes]":
    defines = {
        "SIP_UDP": f"udp:127.0.0.1:{port}",
        "SIP_TCP": f"tcp:127.0.0.1:{port}",
        "NODES_FILE": f'"{nodes}"',
        "TRUNKS_FILE": f'"{directory / "address.list"}"',
        "PING_INTERVAL_S": PING_INTERVAL_S,
        "NODE_SILENT_MS": NODE_SILENT_MS,
        "WORKERS": 1,
        **more,
    }
    chosen = [word for name, value in defines.items() for word in ("-A", f"{name}={value}")]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            tied_to_parent(
                [
                    *(*program, "-DD", "-E", *chosen),
                    *("-m", "32", "-M", "4", "-Y", str(directory), "-w", str(directory)),
                ]
            ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def _until_answers(port: int, process: "subprocess.Popen[bytes]", directory: Path) -> None:
    async def answers() -> bool:
        log = (directory / "log").read_text(encoding="utf-8", errors="replace")
        assert process.poll() is None, f"Kamailio ended at once:\n{log[-4000:]}"
        async with SipPeer(port) as peer:
            try:
                return bool((await peer.options(timeout_s=0.5)).status)
            except TimeoutError:
                return False

    await wait_until(answers, "Kamailio does not answer OPTIONS")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it and its workers, which are in its process group."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    _, left = psutil.wait_procs(family, timeout=_END_WITHIN_S)
    for each in left:
        each.kill()
    assert not left, f"Kamailio left {left} behind"
