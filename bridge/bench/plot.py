"""The plot of a run (PNG), by matplotlib: the extra `bench`.

matplotlib is heavy (30 MB) and nothing else needs it, so it is no dependency of the bridge.
"""

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.bench.figures import BenchResult, Inside, ServingWay
from bridge.bench.verdicts import CPU_PERCENT_PER_CALL, UP_P95_MS
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_can_plot() -> None:
    """Find out before the work that a plot can be drawn after it.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "a plot needs matplotlib, which is not installed",
            remedy="pip install 'telephony-bridge[bench]', or ask for no plot",
        )


def plot(result: BenchResult, path: Path) -> None:
    """Draw CPU and memory over time, CPU per call, latencies, and the most calls.

    Args:
        result: of a run that measured the ways.
        path: PNG file.

    Raises:
        ConfigError: the file can't be written.
    """
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    over_time, per_call, latencies, most = figure.subplots(2, 2).flat

    def bars(axes: Axes, values: dict[str, float], title: str, unit: str) -> None:
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        drawn = axes.bar(list(known), list(known.values()))
        axes.bar_label(drawn, fmt="%.3g")
        axes.set_title(title)
        axes.set_ylabel(unit)

    ways = result.ways
    _draw_curve(over_time, ways.get("bridge"))
    cpu = {name: way.spent.cpu_percent_per_call for name, way in ways.items() if way.spent.calls}
    bars(per_call, cpu, "CPU per call", "% of a core")
    per_call.axhline(CPU_PERCENT_PER_CALL, linestyle="--", color="grey")
    bridge = ways.get("bridge")
    if bridge is not None and bridge.inside is not None:
        bars(latencies, _latencies(bridge.inside), "What the bridge adds (at most)", "ms")
        latencies.axhline(UP_P95_MS, linestyle="--", color="grey")
    climbs = {name: float(way.climb.most) for name, way in ways.items() if way.climb is not None}
    bars(most, climbs, "Most calls, all well served", "calls")
    save(figure, path)


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        ConfigError: the file can't be written.
    """
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise ConfigError(
            f"the plot cannot be written: {error.strerror}",
            path=str(path),
            remedy="name a file in a folder that you may write to",
        ) from error


def _draw_curve(axes: object, way: ServingWay | None) -> None:
    from matplotlib.axes import Axes

    if way is None or not way.curve or not isinstance(axes, Axes):
        return
    at_s, cpu_percent, rss_bytes = zip(*way.curve, strict=True)
    axes.plot(at_s, cpu_percent, color="tab:blue")
    axes.set_title(f"The gateway: one call, then {way.spent.calls}")
    axes.set_xlabel("s")
    axes.set_ylabel("CPU, % of a core (blue)")
    memory = axes.twinx()
    memory.plot(at_s, [each / 2**20 for each in rss_bytes], color="tab:orange")
    memory.set_ylabel("resident, MiB (orange)")
    memory.set_ylim(bottom=0)


def _latencies(inside: Inside) -> dict[str, float]:
    return {
        "up\np50": inside.up_p50_ms,
        "up\np95": inside.up_p95_ms,
        "up\np99": inside.up_p99_ms,
        "down\np50": inside.down_p50_ms,
        "down\np95": inside.down_p95_ms,
        "down\np99": inside.down_p99_ms,
        "lag\np99": inside.lag_p99_ms,
    }
