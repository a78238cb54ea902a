"""A master, its replica and three Sentinels that watch them: real ones, Debian's, on loopback."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.programs import need_program
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

MASTER = "calls"
DOWN_AFTER_MS = 2000
"""Less, and a busy machine has a server that is only slow replaced, and replaced again."""


class Watched:
    """Two Redis servers and their Sentinels.

    Attributes:
        servers: the first is the master at the beginning.
        ports: of the Sentinels.
    """

    def __init__(self, place: Path, server: Sequence[str], sentinel: Sequence[str]) -> None:
        self.servers = RedisServer(), RedisServer()
        self.ports: list[int] = []
        self._given = tuple(server)
        self._place, self._lines = place, tuple(sentinel)
        self._program = need_program("redis-server", "redis-server")
        self._cli = need_program("redis-cli", "redis-tools")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all of them."""
        first, second = self.servers
        first.start(*self._given)
        second.start(*self._given, "--replicaof", "127.0.0.1", str(first.port))
        for _ in range(3):
            self._add_sentinel(first.port)

    def restart_first(self) -> None:
        """Start the first server again, which takes itself for a master."""
        self.servers[0].start(*self._given)

    def url(self, *, who: str = "", options: str = "") -> str:
        """Return the URL for the bridge."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{who}{hosts}/{MASTER}/0{options}"

    def ask(self, port: int, *words: str) -> str:
        """Ask a server or a Sentinel by redis-cli; return what it prints."""
        asked = [self._cli, "-p", str(port), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout

    async def until_watched(self) -> None:
        """Wait until each Sentinel knows the others and a replica that has caught up."""

        def known() -> bool:
            found = [self.ask(port, "SENTINEL", "MASTER", MASTER).split() for port in self.ports]
            dealt = [dict(zip(each[::2], each[1::2], strict=False)) for each in found]
            caught_up = "master_link_status:up" in self.ask(self.servers[1].port, "INFO")
            return caught_up and all(
                (each.get("num-other-sentinels"), each.get("num-slaves")) == ("2", "1")
                for each in dealt
            )

        await wait_until(known, "the Sentinels did not find each other")

    async def until_master(self, server: RedisServer) -> None:
        """Wait until all Sentinels name a server."""

        def named() -> bool:
            asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
            return all(str(server.port) in self.ask(port, *asked) for port in self.ports)

        await wait_until(named, "the Sentinels named no other master")

    def close(self) -> None:
        """End all of them."""
        for process in self._processes:
            process.kill()
            process.wait()
        for server in self.servers:
            server.close()

    def _add_sentinel(self, master: int) -> None:
        port = free_port()
        config = self._place / f"sentinel-{port}.conf"
        lines = (
            f"port {port}",
            "bind 127.0.0.1",
            f"sentinel monitor {MASTER} 127.0.0.1 {master} 2",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 3000",
            *self._lines,
        )
        config.write_text("\n".join(lines) + "\n")
        self._processes.append(
            subprocess.Popen(
                [self._program, str(config), "--sentinel"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        self.ports.append(port)


@contextmanager
def watched(server: Sequence[str] = (), sentinel: Sequence[str] = ()) -> Iterator[Watched]:
    """Run them; they are gone at the end.

    Args:
        server: further arguments of both servers; sentinel: further lines of the Sentinels.
    """
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        them = Watched(Path(place), server, sentinel)
        stack.callback(them.close)
        them.start()
        yield them
