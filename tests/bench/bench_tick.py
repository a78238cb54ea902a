"""What a call costs from ring to websocket frame and back, by stage.

Claim: 200 calls in one process leave room on one core: everything between PJSIP's rings and the
socket, asyncio and websockets included, costs at most 0.26% of a core per call (0.40% less PJSIP's
own 0.14%, ``PJSIP.md``).

    python -m tests.bench.bench_tick [--calls 200] [--append-ms 40] [--json] [--profile]

Real call runners and sessions over real websockets to a light service in a process of its own
(:mod:`tests.bench.tone_server`); the audio clock is the wall clock. Measured twice: once as it is,
for the CPU, and once with every stage timed, for its share. About a minute.
"""

import os

# numpy's BLAS reads these when it is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import asyncio
import cProfile
import json
import logging
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import uvloop
from websockets.asyncio.connection import Connection as Socket

from bridge.audio.formats import FromRing, ToRing
from bridge.audio.ledger import PlayoutLedger
from bridge.engine.core import CallCore
from bridge.live.audio import CallAudio
from bridge.live.driver import CoreDriver
from bridge.live.upstream.sessions import Upstream
from bridge.realtime.ga import GaDialect
from bridge.session.connection import Connection
from bridge.session.realtime import RealtimeSession
from bridge.telephony import downlink, pump, taps
from bridge.telephony.downlink import Downlink
from bridge.telephony.playout import Playout
from bridge.telephony.pump import Pump, Uplink
from bridge.telephony.recorder import RecordingDesk
from bridge.telephony.taps import Levels, Taps
from tests.bench.lines import FRAME_NS, Lines, MeasuredListener

SETTLE_S = 3.0
STAGES: tuple[tuple[str, object, str], ...] = (
    ("gather", pump, "gather"),
    ("to the session's format", FromRing, "__call__"),
    ("pump, up", Uplink, "move"),
    ("call audio, up", CallAudio, "on_caller_audio"),
    ("upstream append", Upstream, "append"),
    ("session send", RealtimeSession, "send"),
    ("encode", GaDialect, "encode"),
    ("queue", Connection, "send_audio"),
    ("frame out", Socket, "send_data"),
    ("frame in", Socket, "data_received"),
    ("decode", GaDialect, "decode"),
    ("session in", RealtimeSession, "_on_frame"),
    ("upstream in", Upstream, "on_event"),
    ("driver, feed", CoreDriver, "feed"),
    ("core", CallCore, "feed"),
    ("pump.play", Downlink, "play"),
    ("playout queue", Playout, "queue"),
    ("playout take", Playout, "take_block"),
    ("pump, down", Downlink, "move"),
    ("lay", Downlink, "_lay"),
    ("to the ring's samples", ToRing, "__call__"),
    ("scatter", downlink, "scatter"),
    ("ledger", PlayoutLedger, "append"),
    ("ledger", PlayoutLedger, "queue"),
    ("ledger", PlayoutLedger, "advance"),
    ("playout report", Downlink, "report"),
    ("taps", Taps, "move"),
    ("taps, gather", taps, "gather"),
    ("levels", Levels, "measure"),
    ("record", RecordingDesk, "append"),
    ("tick, rest", Pump, "tick"),
)
"""Functions whose own time (without that of others in here) is a stage's."""


class Probe:
    """Own time of each stage, ns."""

    def __init__(self) -> None:
        self.own_ns: dict[str, int] = {}
        self._within: list[int] = []

    def watch(self, stage: str, owner: Any, name: str) -> None:  # a class or a module
        """Time a function from now on."""
        function = getattr(owner, name, None)
        if function is None:
            return
        self.own_ns.setdefault(stage, 0)

        def timed(*args: object, **kwargs: object) -> object:
            begun_ns = time.thread_time_ns()
            self._within.append(0)
            try:
                return function(*args, **kwargs)
            finally:
                took_ns = time.thread_time_ns() - begun_ns
                self.own_ns[stage] += took_ns - self._within.pop()
                if self._within:
                    self._within[-1] += took_ns

        setattr(owner, name, timed)


@dataclass(frozen=True, slots=True)
class Result:
    """One run. Times are CPU, in microseconds for 20 ms of one call.

    Attributes:
        core_percent: of one core for each call, the fake clock's share taken off.
        threads_us: spent in other threads than the loop's.
        uplink_p95_ms: from the first sample of an append in the ring to the socket.
    """

    calls: int
    append_ms: int
    core_percent: float
    loop_us: float
    threads_us: float
    uplink_p95_ms: float
    lag_p50_ms: float
    lag_p99_ms: float
    underruns: int
    stages_us: dict[str, float]


@contextmanager
def tone_server(delta_ms: int) -> Iterator[str]:
    """Run the service; give its URL."""
    command = [sys.executable, "-m", "tests.bench.tone_server", "--delta-ms", str(delta_ms)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"ws://127.0.0.1:{json.loads(process.stdout.readline())['port']}/v1/realtime"
        process.communicate("")


class Meter:
    """CPU and wall time since it was made, ns."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._begun = self._now()

    def _now(self) -> tuple[int, int, int, int]:
        return (
            time.monotonic_ns(),
            time.process_time_ns(),
            time.thread_time_ns(),
            self._lines.ports.stepping_ns,
        )

    def read(self) -> tuple[int, int, int]:
        """Return wall time, CPU of the loop without the fake clock's, and of other threads."""
        wall, cpu, loop, stepping = (
            now - begun for now, begun in zip(self._now(), self._begun, strict=True)
        )
        return wall, loop - stepping, cpu - loop


async def run(options: argparse.Namespace, url: str, probe: Probe | None) -> Result:
    """Make the calls, let them talk, measure."""
    calls, append_ms = options.calls, options.append_ms
    with tempfile.TemporaryDirectory() as place:
        lines = Lines(
            url, calls, Path(place), append_ms=append_ms, recording=not options.no_recording
        )
        await lines.start()
        await asyncio.sleep(SETTLE_S)
        lines.lags_ns.clear()
        MeasuredListener.uplink_ns.clear()
        underruns = lines.pump.stats.underruns
        if probe is not None:
            probe.own_ns = dict.fromkeys(probe.own_ns, 0)
        meter = Meter(lines)
        with profiled(options.profile and probe is None):
            await asyncio.sleep(options.seconds)
        wall_ns, loop_ns, threads_ns = meter.read()
        own_ns = {} if probe is None else dict(probe.own_ns)
        lag_p50_ns, lag_p99_ns = np.percentile(lines.lags_ns, [50, 99])
        uplink_p95_ns = np.percentile(MeasuredListener.uplink_ns, 95)
        underruns = lines.pump.stats.underruns - underruns
        await lines.stop()
    frames = wall_ns / FRAME_NS * calls
    return Result(
        calls=calls,
        append_ms=append_ms,
        core_percent=(loop_ns + threads_ns) / wall_ns / calls * 100,
        loop_us=loop_ns / frames / 1000,
        threads_us=threads_ns / frames / 1000,
        uplink_p95_ms=uplink_p95_ns / 1e6,
        lag_p50_ms=lag_p50_ns / 1e6,
        lag_p99_ms=lag_p99_ns / 1e6,
        underruns=underruns,
        stages_us={stage: ns / frames / 1000 for stage, ns in own_ns.items()},
    )


@contextmanager
def profiled(wanted: bool) -> Iterator[None]:
    """Print cProfile's table of the block, if wanted."""
    if not wanted:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)


def measure(options: argparse.Namespace) -> Result:
    """Measure the whole, and then the stages."""
    with tone_server(options.delta_ms) as url:
        result = uvloop.run(run(options, url, None))
        if options.no_stages:
            return result
        probe = Probe()
        for stage, owner, name in STAGES:
            probe.watch(stage, owner, name)
        return replace(result, stages_us=uvloop.run(run(options, url, probe)).stages_us)


def show(result: Result) -> None:
    """Print the table."""
    print(
        f"{result.calls} calls, appends of {result.append_ms} ms: {result.core_percent:.3f}% of a"
        f" core each ({result.loop_us:.1f} us for 20 ms in the loop, {result.threads_us:.1f} in"
        f" other threads); uplink p95 {result.uplink_p95_ms:.1f} ms; tick lag p50"
        f" {result.lag_p50_ms:.1f} p99 {result.lag_p99_ms:.1f} ms;"
        f" {result.underruns} underruns"
    )
    for stage, us in sorted(result.stages_us.items(), key=lambda pair: -pair[1]):
        print(f"  {stage:<25}{us:>7.2f} us")
    if result.stages_us:
        rest_us = result.loop_us - sum(result.stages_us.values())
        print(f"  {'asyncio, websockets, rest':<25}{rest_us:>7.2f} us")


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--append-ms", type=int, default=40, choices=(20, 40, 60))
    parser.add_argument("--delta-ms", type=int, default=100, help="audio in one delta")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--no-recording", action="store_true")
    parser.add_argument("--no-stages", action="store_true", help="measure the whole alone")
    parser.add_argument("--profile", action="store_true", help="print cProfile's table, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    result = measure(options)
    if options.json:
        print(json.dumps(asdict(result), indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
