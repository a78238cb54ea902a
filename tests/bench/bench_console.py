"""What watching 200 live calls costs the gateway, and whether its audio notices.

    python -m tests.bench.bench_console [--pages 0,1,5,20] [--seconds 10] [--calls 200] [--json]

A real gateway with as many real calls as the loaded PJSIP holds, up to ``--calls``; what is missing
of them is another node's, in the same Redis, and changes as talking calls do (0.76 events a second
each, `deploy/SCALING.md`). Readers are a process of their own: each follows the stream of the live
list as the page does, half of them ask for the wallboard every two seconds, too.

The server's side is the CPU time of the gateway's process with pages less that without, in the same
run, so neither the callers nor the readers are in it. Between them stand how late the audio tick
ran, and how often agent audio had a gap. An update's way is from the node's write to the last page.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

from bridge.bench.parts import BenchParts, BenchTarget
from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.calls import CallStore
from bridge.store.local import start_local_redis
from tests.support.console_user import sign_in
from tests.support.waiting import wait_until

CHANGES_A_CALL_S = 0.76
WALLBOARD_EVERY_S = 2.0
ENDED_CALLS = 500
"""Of the last hour: what a wallboard's shares are made of."""

_STATES = ("listening", "thinking", "speaking", "tool")
_PROBE = "c_probe"


@dataclass
class Figures:
    """One window.

    Attributes:
        core: CPU time of the gateway's process a second of wall time.
        lag_p99_ms: how late the tick ran, the bucket's bound.
        gaps: underruns, late blocks and stalls of the audio clock.
        update_ms: the slowest update on its way to the last page.
    """

    pages: int
    core: float
    lag_p99_ms: float
    gaps: int
    update_ms: float | None
    updates: int


class OtherNode:
    """Calls of another node, that go on."""

    def __init__(self, redis_url: str, calls: int) -> None:
        settings = RedisSettings(flush_ms=20)
        self.store = CallStore(settings, redis_url, "node-b", clock=SystemClock())
        self._ids = [f"c_other{number}" for number in range(calls)]
        self._chosen = random.Random(1)

    async def begin(self) -> None:
        await self.store.open()
        now_ms = time.time_ns() // 1_000_000
        for number, call_id in enumerate([_PROBE, *self._ids]):
            self._begin(call_id, number, now_ms)
        for number in range(ENDED_CALLS):
            call_id = f"c_over{number}"
            self._begin(call_id, number, now_ms - 1_000_000)
            self.store.event(call_id, "ended", {"reason": "caller_hung_up", "turns": 6})
            self.store.end(call_id, {"outcome": "completed", "fault": "none", "ended_at": now_ms})
        await wait_until(lambda: self.store.stats.pending == 0, "writes are pending")

    def _begin(self, call_id: str, number: int, now_ms: int) -> None:
        fields: dict[str, str | int] = {
            "dialplan": "bench",
            "arm": "light",
            "state": "listening",
            "health": 100,
        }
        times = {"started_at": now_ms - number * 1000, "answered_at": now_ms}
        names = {"from": f"sip:+1555{number:07}@x", "to": "sip:+15550100@x"}
        self.store.begin(call_id, {**fields, **times, **names})

    async def go_on(self) -> None:
        """Change for ever."""
        if not self._ids:
            return
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for number in itertools.count(1):
            now_ms = time.time_ns() // 1_000_000
            state = self._chosen.choice(_STATES)
            changed: dict[str, str | int] = {"state": state, "state_since_at": now_ms}
            if state == "speaking":
                changed["last_turn_ms"] = self._chosen.randint(500, 1500)
            self.store.update(self._chosen.choice(self._ids), changed)
            due_s = begun_s + number / (len(self._ids) * CHANGES_A_CALL_S)
            await asyncio.sleep(max(0.0, due_s - loop.time()))


class Readers:
    """Pages that watch; tells when each of them has seen an update."""

    def __init__(self, url: str, cookie: str) -> None:
        self._url = url
        self._cookie = cookie
        self._seen: dict[int, list[float]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None
        self._changed = asyncio.Event()

    async def open(self, pages: int) -> None:
        """Have so many pages open, each with its first list."""
        self._http = aiohttp.ClientSession(
            self._url,
            headers={"Cookie": f"bridge_session={self._cookie}"},
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**20,
        )
        begun = [asyncio.Event() for _ in range(pages)]
        self._tasks = [asyncio.create_task(self._follow(each)) for each in begun]
        self._tasks += [asyncio.create_task(self._ask()) for _ in range(pages // 2)]
        await asyncio.gather(*(each.wait() for each in begun))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._http is not None:
            await self._http.close()

    async def seen(self, number: int, pages: int) -> float:
        """Return when (monotonic) the last page has seen this update."""
        async with asyncio.timeout(10):
            while len(self._seen.get(number, ())) < pages:
                self._changed.clear()
                await self._changed.wait()
        return max(self._seen[number])

    async def _follow(self, begun: asyncio.Event) -> None:
        assert self._http is not None
        mark = f'"call_id": "{_PROBE}"'.encode()
        async with self._http.get("/api/v1/calls/stream") as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                at_s = time.monotonic()
                if line.startswith(b"data:"):
                    begun.set()
                    if mark in line:
                        self._note(line, at_s)

    def _note(self, line: bytes, at_s: float) -> None:
        for row in json.loads(line[5:])["rows"]:
            if row["call_id"] == _PROBE and "last_turn_ms" in row:
                self._seen.setdefault(row["last_turn_ms"], []).append(at_s)
                self._changed.set()

    async def _ask(self) -> None:
        assert self._http is not None
        while True:
            async with self._http.get("/api/v1/wallboard") as answer:
                await answer.read()
            await asyncio.sleep(WALLBOARD_EVERY_S)


class Bench:
    """One run."""

    def __init__(
        self, target: BenchTarget, node: OtherNode, readers: Readers, seconds: float
    ) -> None:
        self._target = target
        self._node = node
        self._readers = readers
        self._seconds = seconds
        self._updates = itertools.count(10_000)

    async def window(self, pages: int) -> Figures:
        """Measure with so many pages."""
        if pages:
            await self._readers.open(pages)
        await asyncio.sleep(2)
        before, began = await self._target.scrape(), time.monotonic()
        used = self._target.usage().cpu_s
        ways = [each async for each in self._updated(pages, began + self._seconds)]
        await asyncio.sleep(max(0.0, began + self._seconds - time.monotonic()))
        core = (self._target.usage().cpu_s - used) / (time.monotonic() - began)
        after = await self._target.scrape()
        assert before is not None
        assert after is not None
        if pages:
            await self._readers.close()
        spent = after.since(before)
        gaps = ("playout_underruns", "playout_late_blocks", "audio_thread_overruns")
        return Figures(
            pages,
            round(core, 4),
            round(spent.quantile_s("bridge_loop_lag_seconds", 0.99) * 1000, 2),
            round(sum(spent.value(f"bridge_{name}_total") for name in gaps)),
            round(max(ways), 1) if ways else None,
            len(ways),
        )

    async def _updated(self, pages: int, until_s: float) -> AsyncIterator[float]:
        while pages and time.monotonic() < until_s - 1.5:
            number, at_s = next(self._updates), time.monotonic()
            self._node.store.update(_PROBE, {"last_turn_ms": number})
            yield (await self._readers.seen(number, pages) - at_s) * 1000
            await asyncio.sleep(0.1)


async def measure(
    pages: list[int], seconds: float, calls: int, parts: BenchParts, redis_url: str
) -> dict[str, Any]:  # Any: JSON
    peer = await parts.peer()
    place = parts.directory("bridge-bench-")
    dialplan = {
        "schema": "dialplan/v1",
        "name": "bench",
        "match": [{"called": "*"}],
        "arm": "light",
        "agent": {"instructions": "Be brief.", "language": "en"},
        "recording": {"enabled": False},
    }
    arm = {"dialect": "ga", "url": peer.url, "api_key_env": "BENCH_REALTIME_KEY"}
    target = await parts.target(place, [dialplan], {"light": arm}, {"REDIS_URL": redis_url})
    held = min(calls, target.max_calls)
    node = OtherNode(redis_url, calls - held)
    await node.begin()
    callers = await parts.callers(target)
    await callers.hold(held, 20)
    assert target.http is not None
    cookie, _ = await sign_in(redis_url, "wall")
    bench = Bench(target, node, Readers(target.http, cookie), seconds)
    going_on = asyncio.create_task(node.go_on())
    found = [await bench.window(each) for each in [*pages, 0]]
    going_on.cancel()
    await callers.end()
    await node.store.aclose()
    idle = [each.core for each in found if not each.pages]
    base = sum(idle) / len(idle)
    return {
        "calls": calls,
        "with_audio": held,
        "ports": target.ports,
        "windows": [{**asdict(each), "pages_core": round(each.core - base, 4)} for each in found],
    }


async def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--pages", default="0,1,5,20")
    told.add_argument("--seconds", type=float, default=10.0)
    told.add_argument("--calls", type=int, default=200)
    told.add_argument("--json", action="store_true")
    given = told.parse_args()
    pages = [int(each) for each in given.pages.split(",")]
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(start_local_redis())
        parts = BenchParts(os.environ, stack)
        found = await measure(pages, given.seconds, given.calls, parts, redis.url)
    if given.json:
        print(json.dumps(found))
        return
    print(f"{found['calls']} calls, {found['with_audio']} with audio here ({found['ports']} ports)")
    for each in found["windows"]:
        way = "-" if each["update_ms"] is None else f"{each['update_ms']:.0f} ms"
        print(
            f"{each['pages']:3} pages: {each['pages_core']:6.1%} of a core ({each['core']:.1%} in"
            f" all), slowest update {way} of {each['updates']}, tick late by at most"
            f" {each['lag_p99_ms']:g} ms (p99), {each['gaps']} gaps in audio"
        )


if __name__ == "__main__":
    asyncio.run(main())
