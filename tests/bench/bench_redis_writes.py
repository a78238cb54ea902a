"""What one talking call costs Redis, and what it holds in the gateway: inputs of `SCALING.md`.

    python -m tests.bench.bench_redis_writes [--seconds 60] [--calls 4]

Real gateway, simulator and Redis; each caller asks a question every eight seconds, the agent
answers. Commands are the server's own count (INFO commandstats), less those of an idle gateway over
the same time.
"""

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from bridge.audio.resample import downsample_whole
from bridge.config.settings import RedisSettings
from bridge.speech.synthesis import Synthesizer
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from bridge.store.local import LocalRedis, start_local_redis
from tests.support.gateways import CallsInRedis, Gateway, serving, write_dialplan
from tests.support.processes import simulating
from tests.support.rtp_caller import RtpCaller

QUESTION_EVERY_S = 8.0
_OVERHEAD = frozenset({"info", "config|resetstat", "config", "select", "ping", "client|setinfo"})


async def commands(link: RedisLink, seconds: float) -> dict[str, int]:
    """Count the commands that the server runs in a time."""
    await link.ask(["CONFIG", "RESETSTAT"])
    await asyncio.sleep(seconds)
    found = {}
    for line in str(await link.ask(["INFO", "commandstats"])).split():
        name, colon, counts = line.partition(":")
        if colon and name.startswith("cmdstat_"):
            found[name.removeprefix("cmdstat_")] = int(counts.split("=")[1].split(",")[0])
    net = dict(
        line.split(":")
        for line in str(await link.ask(["INFO", "stats"])).split()
        if line.startswith("total_net_")
    )
    found["bytes in"] = int(net["total_net_input_bytes"])
    return {name: count for name, count in found.items() if name not in _OVERHEAD}


async def talk(caller: RtpCaller, seconds: float) -> None:
    """Ask again and again."""
    question = downsample_whole(Synthesizer("en-us", 150).say("Where is my order?"))
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        caller.speak(question)
        await asyncio.sleep(QUESTION_EVERY_S)


async def kept_bytes(link: RedisLink, call_id: str) -> dict[str, int]:
    """Return what a call's keys take in Redis, and its events."""
    keys = Keys("bridge:")
    usage = {
        name: int(str(await link.ask(["MEMORY", "USAGE", key, "SAMPLES", 0])))
        for name, key in (("hash", keys.call(call_id)), ("events", keys.events(call_id)))
    }
    return {**usage, "event count": int(str(await link.ask(["XLEN", keys.events(call_id)])))}


def holds(process: psutil.Process) -> dict[str, int]:
    """Return what a process holds."""
    return {
        "fds": process.num_fds(),
        "udp": sum(each.type == 2 for each in process.net_connections("inet")),
        "rss KiB": process.memory_info().rss // 1024,
    }


async def measure(
    gateway: Gateway, redis: LocalRedis, seconds: float, count: int
) -> dict[str, object]:
    """Place the calls; return what they cost."""
    link = RedisLink(redis.url, timeout_s=5)
    process = psutil.Process(gateway.process.pid)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(link.aclose)
        warm = await stack.enter_async_context(RtpCaller(gateway.sip_port))
        await warm.call()
        await warm.hang_up()
        await asyncio.sleep(1)
        before, idle = holds(process), await commands(link, seconds)
        callers = []
        for _ in range(count):
            callers.append(await stack.enter_async_context(RtpCaller(gateway.sip_port)))
            await callers[-1].call()
        talking = [asyncio.create_task(talk(caller, seconds)) for caller in callers]
        busy = await commands(link, seconds)
        during = holds(process)
        await asyncio.gather(*talking)
        reader = await stack.enter_async_context(CallsInRedis(redis.url))
        kept = await kept_bytes(link, (await reader.reader.active())[0])
        rates = {
            name: round((busy[name] - idle.get(name, 0)) / seconds / count, 3) for name in busy
        }
    return {
        "calls": count,
        "seconds": seconds,
        "heartbeat_ms": RedisSettings().heartbeat_ms,
        "idle node, per s": {name: round(n / seconds, 3) for name, n in idle.items()},
        "a call, per s": rates,
        "a call, kept bytes": kept,
        "a call holds": {name: (during[name] - before[name]) / count for name in before},
    }


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--calls", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/tmp") as name, start_local_redis() as redis:
        directory = Path(name)
        dialplans = write_dialplan(directory / "dialplans")
        with (
            simulating(directory) as url,
            serving(directory, url, dialplans, redis_url=redis.url) as gateway,
        ):
            found = asyncio.run(measure(gateway, redis, options.seconds, options.calls))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
