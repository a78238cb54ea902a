"""The waterfall of a call's turns as a PNG, by matplotlib: the extra `bench`."""

from collections.abc import Sequence
from pathlib import Path

from bridge.bench.plot import check_can_plot, save
from bridge.errors import ConfigError
from bridge.telemetry.labels import Stage
from bridge.telemetry.turn_latency import TurnLatency

_COLOURS = {
    Stage.CAPTURE: "tab:olive",
    Stage.UPLINK: "gold",
    Stage.ENDPOINT: "tab:cyan",
    Stage.MODEL: "tab:blue",
    Stage.TOOL: "tab:purple",
    Stage.FIRST_DELTA: "navy",
    Stage.DOWNLINK: "tab:green",
    Stage.PLAYBACK: "limegreen",
}
_TURN_INCHES, _REST_INCHES = 0.3, 1.6


def plot_waterfall(title: str, turns: Sequence[TurnLatency], path: Path) -> None:
    """Draw every measured turn, the first on top.

    Args:
        title: of the plot.
        turns: at least one of them measured.
        path: PNG file.

    Raises:
        ConfigError: matplotlib is missing, no turn was measured, or the file can't be written.
    """
    check_can_plot()
    measured = [turn for turn in turns if turn.stages_ms]
    if not measured:
        raise ConfigError(
            "the call has no measured turn to plot", remedy="leave --png out, or name another call"
        )
    from matplotlib.figure import Figure

    size = (12, _REST_INCHES + _TURN_INCHES * len(measured))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    spent_ms = [0.0] * len(measured)
    for stage, colour in _COLOURS.items():
        took_ms = [turn.stages_ms.get(stage, 0.0) for turn in measured]
        axes.barh(range(len(measured)), took_ms, left=spent_ms, color=colour, label=stage.value)
        spent_ms = [before + took for before, took in zip(spent_ms, took_ms, strict=True)]
    axes.set_yticks(range(len(measured)), [f"{turn.at_ms / 1000:.1f} s" for turn in measured])
    axes.invert_yaxis()
    axes.set_xlabel("ms since the caller's last sound")
    axes.set_title(title)
    figure.legend(ncols=len(_COLOURS), loc="outside lower center")
    save(figure, path)
