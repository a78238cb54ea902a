"""Cost of resampling 20 ms of one call: ours beside ``soxr`` and ``audioop.ratecv``.

Claim: with tens of calls, one batched product costs less per call than one library call each.

    python -m tests.bench.bench_resample [--json]

``soxr`` streams with its default quality; it works in bursts (nothing for two frames, then three),
so its mean tells more than its p50, and its p95 is what a tick feels. ``audioop.ratecv`` only
interpolates linearly: it is the cheapest thing that changes the rate, not an alternative. One BLAS
thread. About ten seconds.
"""

import os

# numpy's BLAS reads these when it is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from bridge.audio.resample import PHONE_HZ, REALTIME_HZ, BlockResampler

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

CALLS = (1, 4, 50, 200)
FRAME_SAMPLES = 160
BUDGET_NS = 350_000_000
"""Time given to each of the 24 measurements."""


@dataclass(frozen=True, slots=True)
class Result:
    """Microseconds for 20 ms of one call."""

    direction: str
    calls: int
    method: str
    mean_us: float
    p50_us: float
    p95_us: float
    ratio: float
    """This method's mean over ours."""


def measure(run: Callable[[], object], calls: int) -> tuple[float, float, float]:
    """Return mean, p50 and p95 in microseconds a call of one round over all calls."""
    for _ in range(5):
        run()
    rounds: list[int] = []
    end_ns = time.perf_counter_ns() + BUDGET_NS
    while time.perf_counter_ns() < end_ns:
        start_ns = time.perf_counter_ns()
        run()
        rounds.append(time.perf_counter_ns() - start_ns)
    p50_ns, p95_ns = np.percentile(rounds, [50, 95])
    mean_us, p50_us, p95_us = (
        float(cost_ns) / calls / 1000 for cost_ns in (np.mean(rounds), p50_ns, p95_ns)
    )
    return mean_us, p50_us, p95_us


def ours(signal: NDArray[np.int16], *, up: bool) -> Callable[[], object]:
    rates_hz = (PHONE_HZ, REALTIME_HZ) if up else (REALTIME_HZ, PHONE_HZ)
    resampler = BlockResampler(FRAME_SAMPLES, PHONE_HZ, *rates_hz)
    windows = np.pad(signal, ((0, 0), (resampler.history_samples, 0)))
    return lambda: resampler(windows)


def with_soxr(signal: NDArray[np.int16], from_hz: int, to_hz: int) -> Callable[[], object]:
    streams = [soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16") for _ in signal]
    pairs = list(zip(streams, signal, strict=True))
    return lambda: [stream.resample_chunk(frame) for stream, frame in pairs]


def with_ratecv(signal: NDArray[np.int16], from_hz: int, to_hz: int) -> Callable[[], object]:
    frames = [frame.tobytes() for frame in signal]
    states = [audioop.ratecv(frame, 2, 1, from_hz, to_hz, None)[1] for frame in frames]
    pairs = list(zip(frames, states, strict=True))
    return lambda: [audioop.ratecv(frame, 2, 1, from_hz, to_hz, state) for frame, state in pairs]


def bench() -> list[Result]:
    """Measure every method in both directions for every batch size."""
    results: list[Result] = []
    rng = np.random.default_rng(1)
    for up in (True, False):
        from_hz, to_hz = (8_000, 24_000) if up else (24_000, 8_000)
        for calls in CALLS:
            samples = FRAME_SAMPLES * from_hz // 8_000
            signal = rng.integers(-20_000, 20_000, (calls, samples)).astype(np.int16)
            methods = {
                "bridge": ours(signal, up=up),
                "soxr": with_soxr(signal, from_hz, to_hz),
                "ratecv": with_ratecv(signal, from_hz, to_hz),
            }
            costs = {name: measure(run, calls) for name, run in methods.items()}
            direction = f"{from_hz // 1000}->{to_hz // 1000} kHz"
            results += [
                Result(direction, calls, name, mean, p50, p95, mean / costs["bridge"][0])
                for name, (mean, p50, p95) in costs.items()
            ]
    return results


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    options = parser.parse_args()
    results = bench()
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    print("us for 20 ms of one call    calls  method     mean      p50      p95   x ours")
    for result in results:
        print(
            f"{result.direction:<26} {result.calls:>6}  {result.method:<8}"
            f"{result.mean_us:>7.2f}  {result.p50_us:>7.2f}  {result.p95_us:>7.2f}"
            f"  {result.ratio:>6.2f}"
        )


if __name__ == "__main__":
    main()
