"""Makes a soak's Redis and Realtime server fail at random moments, by a seed."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from random import Random

from bridge.bench.soak.figures import Happened
from bridge.errors import InfrastructureError
from bridge.processes.simulator import SimulatorAdmin, Spec
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis, start_local_redis

_REDIS_EVERY_S = (2.0, 20.0)
_UPSTREAM_EVERY_S = (2.0, 9.0)
_TIMEOUT_S = 10.0


class TroubledRedis:
    """A Redis of our own that is stopped, killed, frozen, slow or full, and always comes back.

    Args:
        directory: of its socket.

    Attributes:
        url: the same for its whole life.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: LocalRedis = start_local_redis(directory)
        self.url = self._server.url

    async def stopped(self, seconds: float) -> None:
        """End it in order; what it held is lost."""
        self._server.stop()
        await self._start_after(seconds)

    async def killed(self, seconds: float) -> None:
        """Kill it; what it held is lost."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()
        await self._start_after(seconds)

    async def frozen(self, seconds: float) -> None:
        """Stop the process: it takes connections, and answers nobody."""
        os.kill(self._server.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(self._server.pid, signal.SIGCONT)

    async def slow(self, seconds: float) -> None:
        """Have it answer in bursts: paused for most of the time."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            await self._command("CLIENT", "PAUSE", 400, "ALL")
            await asyncio.sleep(0.5)

    async def full(self, seconds: float) -> None:
        """Have it refuse every write."""
        await self._command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await self._command("CONFIG", "SET", "maxmemory", 1)
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._command("CONFIG", "SET", "maxmemory", 0)

    def close(self) -> None:
        """End it for good."""
        self._server.stop()

    async def _start_after(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            # A socket file that a killed server has left is in nobody's way.
            self._server = start_local_redis(self._directory)

    async def _command(self, *command: str | int) -> None:
        async with aclosing(RedisLink(self.url, timeout_s=_TIMEOUT_S)) as link:
            await link.ask(command)


class SoakTroubles:
    """Makes trouble until it is cancelled, and then puts everything right.

    Args:
        random: decides what, when and how long.

    Attributes:
        happened: all of it.
    """

    def __init__(self, redis: TroubledRedis, upstream: SimulatorAdmin, random: Random) -> None:
        self.happened: list[Happened] = []
        self._redis = redis
        self._upstream = upstream
        self._redis_random = Random(random.random())
        self._upstream_random = Random(random.random())

    async def make(self) -> None:
        """Make trouble for ever; cancel to end.

        Raises:
            InfrastructureError: something of ours can't be spoiled or got back.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._spoil_redis(), name="spoil redis")
                group.create_task(self._spoil_upstream(), name="spoil upstream")
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            with suppress(OSError, TimeoutError):
                await self._upstream.clear()

    async def _spoil_redis(self) -> None:
        random, redis = self._redis_random, self._redis
        ways: Mapping[str, tuple[Callable[[float], Awaitable[None]], float]] = {
            "Redis stopped": (redis.stopped, 6.0),
            "Redis killed": (redis.killed, 6.0),
            "Redis frozen": (redis.frozen, 6.0),
            "Redis slow": (redis.slow, 8.0),
            "Redis full": (redis.full, 8.0),
        }
        while True:
            await asyncio.sleep(random.uniform(*_REDIS_EVERY_S))
            what = random.choice(list(ways))
            spoil, longest_s = ways[what]
            began_ns = time.time_ns()
            try:
                await spoil(random.uniform(0.2, longest_s))
            finally:
                self.happened.append(Happened(what, began_ns, time.time_ns()))

    async def _spoil_upstream(self) -> None:
        random = self._upstream_random
        while True:
            await asyncio.sleep(random.uniform(*_UPSTREAM_EVERY_S))
            what = random.choice(list(_FAULTS))
            began_ns = time.time_ns()
            try:
                await self._upstream.set(_FAULTS[what](random))
            except TimeoutError:  # it has more to do than this machine lets it
                continue
            except OSError as error:
                raise InfrastructureError(f"the simulator takes no faults: {error!r}") from error
            self.happened.append(Happened(what, began_ns, time.time_ns()))


_FAULTS: Mapping[str, Callable[[Random], Sequence[Spec]]] = {
    "every connection cut": lambda _: [{"at": "now", "kind": "drop"}],
    "connection cut in an answer": lambda random: [
        {"at": "audio", "kind": "drop", "nth": random.randint(1, 8), "times": random.randint(1, 3)}
    ],
    "connection cut quietly at a turn": lambda _: [
        {"at": "turn", "kind": "drop", "abruptly": False}
    ],
    "connection cut at a tool": lambda _: [{"at": "tool", "kind": "drop"}],
    "connection cut while the caller speaks": lambda _: [{"at": "speech", "kind": "drop"}],
    "connection closed, 1011": lambda _: [{"at": "turn", "kind": "close", "code": 1011}],
    "connections refused, 503": lambda random: [
        {"at": "connect", "kind": "refuse", "status": 503, "times": random.randint(1, 4)},
        {"at": "now", "kind": "drop"},
    ],
    "connection slow to open": lambda random: [
        {"at": "connect", "kind": "stall", "ms": random.randint(500, 4000), "times": 2}
    ],
    "answer stalls": lambda random: [
        {"at": "audio", "kind": "stall", "ms": random.randint(200, 3000), "times": 2}
    ],
    "error events": lambda _: [{"at": "turn", "kind": "error", "times": 3}],
    "broken events": lambda _: [{"at": "audio", "kind": "malformed", "times": 2}],
    "events lost": lambda _: [{"at": "audio", "kind": "lose", "times": 3}],
    "end of an answer lost": lambda _: [{"at": "done", "kind": "lose"}],
    "events twice": lambda _: [{"at": "audio", "kind": "duplicate", "times": 3}],
    "events late": lambda _: [{"at": "audio", "kind": "delay", "ms": 400, "times": 3}],
    "no answer from the model": lambda _: [{"at": "turn", "kind": "fail", "times": 2}],
}
"""What the Realtime server does, each for a while or a few times."""
