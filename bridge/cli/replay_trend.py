"""Prints the trend of each script and arm over the last runs of `bridge replay`, as bars."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.replay.results.history import Trend

_BARS = "▁▂▃▄▅▆▇█"
_UNKNOWN = "·"


def sparkline(values: Sequence[float | None], *, top: float | None = None) -> str:
    """Draw values as bars, a character a value; what is not known is a dot.

    Args:
        values: 0 and more.
        top: what a full bar stands for; the largest value unless given.
    """
    highest = max((value for value in values if value is not None), default=0.0)
    full = top or highest or 1.0
    return "".join(
        _UNKNOWN if value is None else _BARS[min(len(_BARS) - 1, int(value / full * len(_BARS)))]
        for value in values
    )


def print_trends(trends: Sequence[Trend], console: Console | None = None) -> None:
    """Print a table of trends, the oldest run first in each line of bars."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("script", "arm", "passed", "", "p95, ms", "", "stop, ms", ""):
        table.add_column(column, no_wrap=True)
    for trend in trends:
        table.add_row(*_cells(trend))
    (console or Console(highlight=False)).print(table)


def _cells(trend: Trend) -> tuple[Text, ...]:
    runs = [point.summary for point in trend.points]
    newest = runs[-1]
    rate = newest.pass_rate
    return (
        Text(trend.script, style="bold"),
        Text(trend.arm),
        Text(
            sparkline([run.pass_rate for run in runs], top=1.0),
            style="green" if rate == 1.0 else "red" if rate is not None else "dim",
        ),
        Text(newest.row.verdict.value if rate is None else f"{rate:.0%}"),
        Text(sparkline([run.timing.p95_ms for run in runs]), style="cyan"),
        Text(_ms(newest.timing.p95_ms)),
        Text(_ms(newest.timing.stop_ms)),
        Text(_told(trend), style="red" if trend.regression is not None else "dim"),
    )


def _told(trend: Trend) -> str:
    again = trend.points[-1].summary.row.placed_again
    told = ["✕ worse"] if trend.regression is not None else []
    if again:
        told.append(f"{again} placed again")
    return ", ".join(told)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
