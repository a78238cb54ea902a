"""How soon the agent falls silent for its caller, and how often for nothing, over real SIP and RTP.

    python -m tests.bench.bench_barge_in --count 50 --dialect ga

Calls are placed by :class:`RtpCaller` to `bridge serve` with `bridge simulate` behind it, three at
a time. Each one asks for a long answer and speaks over it, again and again:

    total   the caller's first loud packet sent -> the agent's last loud packet heard to its end
    share   the bridge's decision to yield (its log line) -> the same; the guard is not in it
    false   backchannels of 300 to 400 ms for which the agent's answer was cut off

Exit code 1 where a figure misses its limit (`NEEDS.md` section 5, issue 5).
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from tests.support.gateways import PLAIN_AGENT, Gateway, serving, write_dialplan
from tests.support.processes import simulating
from tests.support.rtp_caller import FRAME_SAMPLES, RtpCaller

QUESTION = "What is your return policy?"
INTERRUPTIONS = (
    "Wait a moment, please.",
    "Stop, I have another question.",
    "Sorry, let me interrupt you there.",
)
BACKCHANNELS = ("Yeah.", "Right.", "Uh huh.", "Okay.")
FRAME_MS = 20
CALLS = 3
LOUD = 500
TOTAL_P95_MS, SHARE_P95_MS, FALSE_SHARE = 500.0, 60.0, 0.05

Sound = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Stop:
    """One barge-in, ms."""

    total_ms: float
    silent_ns: int


@dataclass(slots=True)
class Found:
    """All that was measured."""

    dialect: str
    stops: list[Stop] = field(default_factory=list)
    shares_ms: list[float] = field(default_factory=list)
    missed: int = 0
    backchannels: int = 0
    false_stops: int = 0

    def figures(self) -> dict[str, float | int | str]:
        totals = [stop.total_ms for stop in self.stops]
        return {
            "dialect": self.dialect,
            "barge_ins": len(totals),
            "missed": self.missed,
            "total_p50_ms": quantile(totals, 50),
            "total_p95_ms": quantile(totals, 95),
            "share_p95_ms": quantile(self.shares_ms, 95),
            "backchannels": self.backchannels,
            "false_stops": self.false_stops,
        }

    @property
    def good(self) -> bool:
        figures = self.figures()
        return (
            not self.missed
            and float(figures["total_p95_ms"]) < TOTAL_P95_MS
            and float(figures["share_p95_ms"]) < SHARE_P95_MS
            and self.false_stops < FALSE_SHARE * max(self.backchannels, 1)
        )


def quantile(values: Sequence[float], percent: float) -> float:
    return round(float(np.percentile(values, percent)), 1) if values else float("nan")


def speech(text: str, words_per_minute: int = 165) -> Sound:
    return downsample_whole(Synthesizer("en-us", words_per_minute).say(text))


def first_loud_frame(sound: Sound) -> int:
    """Return the number of the packet in which the caller's sound begins."""
    return int(np.flatnonzero(np.abs(sound.astype(np.int32)) > LOUD)[0]) // FRAME_SAMPLES


async def heard_for(caller: RtpCaller, ms: float) -> None:
    """Wait until so much more of the agent was heard."""
    before, wanted = len(caller.heard), round(ms / FRAME_MS)
    await caller.until(lambda: sum(each.loud for each in caller.heard[before:]) >= wanted)


async def silent_for(caller: RtpCaller, ms: float, timeout_s: float = 60.0) -> None:
    """Wait until the agent has been silent for so long."""
    packets = round(ms / FRAME_MS)
    await caller.until(
        lambda: (
            len(caller.heard) > packets and not any(each.loud for each in caller.heard[-packets:])
        ),
        timeout_s,
    )


async def barge_in(caller: RtpCaller, sound: Sound) -> Stop | None:
    """Speak over the agent; None where it went on for two seconds."""
    spoken = len(caller.spoken_ns)
    caller.speak(sound)
    try:
        await silent_for(caller, 600, 2.0 + len(sound) / 8000)
    except TimeoutError:
        return None
    onset_ns = caller.spoken_ns[spoken + first_loud_frame(sound)]
    silent_ns = max(each.arrived_ns for each in caller.heard if each.loud) + FRAME_MS * 1_000_000
    return Stop((silent_ns - onset_ns) / 1e6, silent_ns)


async def interrupt(port: int, count: int, seed: int, found: Found) -> None:
    """Place a call and speak over the agent ``count`` times."""
    draw = random.Random(seed)
    async with RtpCaller(port) as caller:
        assert await caller.call() == 200
        for number in range(count):
            caller.speak(speech(QUESTION))
            await heard_for(caller, draw.uniform(800, 2_500))
            stop = await barge_in(caller, speech(INTERRUPTIONS[number % len(INTERRUPTIONS)]))
            if stop is None:
                found.missed += 1
            else:
                found.stops.append(stop)
            await heard_for(caller, 400)
            await silent_for(caller, 1_000)
        await caller.hang_up()


async def agree(port: int, count: int, seed: int, found: Found) -> None:
    """Place calls and say "yeah" and the like into long answers, ``count`` times."""
    draw = random.Random(seed)
    left = count
    while left:
        async with RtpCaller(port) as caller:
            assert await caller.call() == 200
            caller.speak(speech(QUESTION))
            await heard_for(caller, 500)
            for _ in range(min(left, 6)):
                await heard_for(caller, draw.uniform(300, 900))
                caller.speak(speech(draw.choice(BACKCHANNELS), 205))
                await heard_for(caller, 900)
                left -= 1
                found.backchannels += 1
            await caller.hang_up()


def logged_ns(gateway: Gateway, event: str) -> list[int]:
    """Return when the gateway logged an event, monotonic."""
    to_monotonic_ns = time.monotonic_ns() - time.time_ns()
    return sorted(
        round(datetime.fromisoformat(str(line["timestamp"])).timestamp() * 1e6) * 1_000
        + to_monotonic_ns
        for line in gateway.process.logged
        if line["event"] == event
    )


def shares_ms(stops: Sequence[Stop], decisions_ns: Sequence[int]) -> list[float]:
    """Join each stop with the decision nearest to it; an agent who drew breath was silent before.

    Calls run beside each other, but a stop is seconds away from the decisions of the others far
    more often than not.
    """
    nearest = (min(decisions_ns, key=lambda at_ns: abs(stop.silent_ns - at_ns)) for stop in stops)
    return [
        max(stop.silent_ns - at_ns, 0) / 1e6 for stop, at_ns in zip(stops, nearest, strict=True)
    ]


@contextmanager
def bench_gateway(dialect: str) -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with simulating(directory) as url:
            arm = {"dialect": dialect, "url": url, "api_key_env": "SIM_KEY"}
            dialplans = write_dialplan(directory / "dialplans", PLAIN_AGENT)
            with serving(directory, url, dialplans, arms={"local": arm}) as gateway:
                yield gateway


def parts(count: int) -> list[int]:
    return [count // CALLS + (number < count % CALLS) for number in range(CALLS)]


async def measure(dialect: str, count: int) -> Found:
    """Measure ``count`` barge-ins and ``count`` backchannels."""
    found = Found(dialect)
    with bench_gateway(dialect) as gateway:
        port = gateway.sip_port
        shares = [part for part in parts(count) if part]
        await asyncio.gather(*(interrupt(port, n, s, found) for s, n in enumerate(shares)))
        stopped = len(logged_ns(gateway, "interrupted"))
        found.shares_ms = shares_ms(found.stops, logged_ns(gateway, "agent_yielded"))
        await asyncio.gather(*(agree(port, n, s, found) for s, n in enumerate(shares)))
        await gateway.until_active(0)
        found.false_stops = len(logged_ns(gateway, "interrupted")) - stopped
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--dialect", choices=("ga", "beta"), default="ga")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    chosen = parser.parse_args(arguments)
    found = asyncio.run(measure(chosen.dialect, chosen.count))
    figures = found.figures()
    if not chosen.json:
        for name, value in figures.items():
            print(f"{name:14} {value}")
    each = [asdict(stop)["total_ms"] for stop in found.stops]
    print(json.dumps({**figures, "good": found.good, "total_ms": [round(ms) for ms in each]}))
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
