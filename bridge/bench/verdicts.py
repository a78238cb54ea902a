"""Holds the benchmark's figures against their bounds. Pure.

The bounds are those of issue 4 and of `NEEDS.md` section 5.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from bridge.bench.figures import (
    BenchResult,
    CallSetups,
    FigureVerdict,
    HeardWindow,
    ServingWay,
    Soak,
)

FEWEST_TO_JUDGE = 50
"""With fewer calls the process's own share (tick, Redis, metrics) hides what a call costs."""

CPU_PERCENT_PER_CALL = 0.40
TIMES_THE_FLOOR = 3.0
TIMES_THE_PLAIN_WAY = 10.0
TIMES_PLAIN_RTP = 1.15
"""CPU of calls over TLS and SRTP (issue 17)."""
TIMES_PCM = 0.6
"""CPU of calls whose arm has G.711 (issue 18)."""
TIMES_UNTRACED = 1.1
"""CPU of traced calls; 1.02 was measured (`deploy/handbook/TRACING.md`)."""


class _Compared(NamedTuple):
    """A way that is measured in pairs with the ordinary one."""

    ratio: str
    figure: str
    bound: float


_COMPARED = {
    "secure": _Compared(
        "secure_cpu_to_plain_cpu", "CPU with TLS and SRTP, times without", TIMES_PLAIN_RTP
    ),
    "traced": _Compared(
        "traced_cpu_to_untraced_cpu", "CPU of traced calls, times others'", TIMES_UNTRACED
    ),
    **{
        law: _Compared(f"{law}_cpu_to_pcm24k_cpu", f"CPU with {law}, times pcm24k's", TIMES_PCM)
        for law in ("pcmu", "pcma")
    },
}

UP_P95_MS = 60.0
LAG_P99_MS = 40.0
SETUP_P95_MS = 250.0
BYTES_PER_CALL = 1024 * 1024
SOAK_GROWTH_PERCENT = 3.0
BAD_PACKETS_SHARE = 0.001

_CPU_FIGURE = "CPU per call"

WELL_SERVED_SHARE = 0.005
"""Of the packets may be lost or late in a step of a climb: what a phone's concealment hides."""

WELL_SERVED_DROPOUTS = 2.0
"""Holes in the answers, a minute of call."""

WELL_SERVED_UPLINK = 0.98
_SEND_LAG_P99_MS = 20.0


def complaint(window: HeardWindow, setup: CallSetups, uplink_share: float | None) -> str:
    """Return what callers would complain of, "" if they were well served."""
    minutes = window.calls * window.seconds / 60
    dropouts = window.dropouts / minutes if minutes else 0.0
    complaints = {
        f"{len(setup.refused)} calls did not come up": bool(setup.refused),
        f"{window.dropped_calls} calls were dropped": window.dropped_calls > 0,
        f"{window.bad_share:.1%} of the packets lost or late": window.bad_share > WELL_SERVED_SHARE,
        f"{dropouts:.1f} holes a minute in the answers": dropouts > WELL_SERVED_DROPOUTS,
        f"{uplink_share or 0:.1%} of the caller's audio arrived": uplink_share is not None
        and uplink_share < WELL_SERVED_UPLINK,
    }
    return ", ".join(what for what, holds in complaints.items() if holds)


def ratios_of(
    ways: Mapping[str, ServingWay], pairs: Sequence[tuple[float, float]] = ()
) -> dict[str, float]:
    """Compare the ways that were measured; of pairs, ordinary and other, the median counts."""
    ratios = {}
    for name in _COMPARED.keys() & ways.keys():
        ratio = statistics.median(other / ordinary for ordinary, other in pairs)
        ratios[_COMPARED[name].ratio] = round(ratio, 3)
    bridge, floor, plain = (ways.get(name) for name in ("bridge", "floor", "plain"))
    if bridge and floor and floor.spent.cpu_percent:
        ratio = bridge.spent.cpu_percent_per_call / floor.spent.cpu_percent_per_call
        ratios["bridge_cpu_to_floor_cpu"] = round(ratio, 2)
    if bridge and plain and bridge.climb and plain.climb and plain.climb.most:
        ratio = bridge.climb.most / plain.climb.most
        ratios["bridge_calls_to_plain_calls"] = round(ratio, 2)
    return ratios


def verdicts_on(result: BenchResult) -> list[FigureVerdict]:
    """Judge whatever was measured."""
    verdicts: list[FigureVerdict] = []
    if (bridge := result.ways.get("bridge")) is not None:
        verdicts += _of_bridge(bridge)
        verdicts += _of_ratios(result, bridge)
    for name in _COMPARED.keys() & result.ways.keys():
        # What a call costs so is judged beside what it costs otherwise: by the pairs.
        verdicts += [
            replace(each, figure=f"{name}: {each.figure}")
            for each in _of_bridge(result.ways[name])
            if each.figure != _CPU_FIGURE
        ]
    if result.soak is not None:
        verdicts += _of_soak(result.soak)
    return verdicts


def doubts_about(ways: Mapping[str, ServingWay]) -> Sequence[str]:
    """Return why the figures can't be trusted: the callers were themselves too slow."""
    doubts = []
    for name, way in ways.items():
        window = way.window
        if window.overflowed:
            doubts.append(f"{name}: the callers lost {window.overflowed} packets themselves")
        if window.send_lag_p99_ms > _SEND_LAG_P99_MS:
            doubts.append(f"{name}: the callers sent {window.send_lag_p99_ms:.0f} ms late (p99)")
    return doubts


def _of_bridge(way: ServingWay) -> Iterator[FigureVerdict]:
    window, setup, spent, inside = way.window, way.setup, way.spent, way.inside
    enough = spent.calls >= FEWEST_TO_JUDGE
    failed = len(setup.refused) + window.dropped_calls
    yield FigureVerdict("calls refused or dropped", f"{failed}", "0", failed == 0)
    if inside is not None:
        yield FigureVerdict("underruns", f"{inside.underruns}", "0", inside.underruns == 0)
        yield _at_most("RTP in to append, p95", inside.up_p95_ms, UP_P95_MS, "ms")
        yield _at_most("tick lag, p99", inside.lag_p99_ms, LAG_P99_MS, "ms")
    bad = window.bad_share * 100
    yield _at_most("packets lost or late", bad, BAD_PACKETS_SHARE * 100, "%")
    if setup.setup_p95_ms is not None:
        yield _at_most("setup, p95", setup.setup_p95_ms, SETUP_P95_MS, "ms")
    cpu = spent.cpu_percent_per_call
    yield _at_most(_CPU_FIGURE, cpu, CPU_PERCENT_PER_CALL, "% of a core", judged=enough)
    if spent.bytes_per_call is not None:
        kib = spent.bytes_per_call / 1024
        yield _at_most("memory per call", kib, BYTES_PER_CALL / 1024, "KiB", judged=enough)


def _of_ratios(result: BenchResult, bridge: ServingWay) -> Iterator[FigureVerdict]:
    ratio = result.ratios.get("bridge_cpu_to_floor_cpu")
    if ratio is not None:
        enough = bridge.spent.calls >= FEWEST_TO_JUDGE
        yield _at_most("CPU, times the floor's", ratio, TIMES_THE_FLOOR, "x", judged=enough)
    for compared in _COMPARED.values():
        if compared.ratio in result.ratios:
            enough = bridge.spent.calls >= FEWEST_TO_JUDGE
            ratio = result.ratios[compared.ratio]
            yield _at_most(compared.figure, ratio, compared.bound, "x", judged=enough)
    ratio = result.ratios.get("bridge_calls_to_plain_calls")
    plain = result.ways.get("plain")
    if ratio is not None and plain is not None and plain.climb is not None:
        # Where the plain way holds all that this PJSIP can, nothing is said about either.
        ok = None if plain.climb.at_limit else ratio >= TIMES_THE_PLAIN_WAY
        wanted = f"at least {TIMES_THE_PLAIN_WAY:g} x"
        yield FigureVerdict("most calls, times the plain way's", f"{ratio:g} x", wanted, ok)


def _of_soak(soak: Soak) -> Iterator[FigureVerdict]:
    refused = len(soak.setup.refused)
    yield FigureVerdict("soak: calls refused", f"{refused}", "0", refused == 0)
    yield _at_most("soak: memory kept", soak.growth_percent, SOAK_GROWTH_PERCENT, "%")
    if soak.setup.setup_p95_ms is not None:
        yield _at_most("soak: setup, p95", soak.setup.setup_p95_ms, SETUP_P95_MS, "ms")


def _at_most(
    figure: str, value: float, bound: float, unit: str, *, judged: bool = True
) -> FigureVerdict:
    ok = value <= bound if judged else None
    return FigureVerdict(figure, f"{value:.4g} {unit}", f"at most {bound:g} {unit}", ok)
