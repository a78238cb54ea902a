"""`bridge replay trend`: the trend of each script and arm over the last runs, as bars."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.cli.errors import exits_cleanly
from bridge.errors import ConfigError
from bridge.replay.results.history import Trend, read_history, trends

HISTORY = Path(".bridge") / "replay"
"""Where `bridge replay` keeps a summary of each run."""

_BARS = "▁▂▃▄▅▆▇█"
_UNKNOWN = "·"


@click.command("trend")
@click.argument("script", required=False)
@click.option("--last", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option(
    "--history",
    type=click.Path(file_okay=False, path_type=Path),
    default=HISTORY,
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@exits_cleanly
def show_trend(script: str | None, last: int, history: Path, as_json: bool) -> None:
    """Show how scripts, or SCRIPT alone, did over the last runs.

    The newest run is a regression if fewer of its calls passed than before, or if its p95 is over
    that of the last five runs (their median) by 20% and by 150 ms.

    \b
    Exit codes: 0 nothing got worse, 1 something did (and what), 2 there is no history.
    """
    found = trends(read_history(history), script=script, last=last)
    if not found:
        what = "no run" if script is None else f"no run of '{script}'"
        raise ConfigError(
            f"the history has {what}",
            path=str(history),
            remedy="bridge replay keeps each run there",
        )
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found]))
    else:
        print_trends(found)
    worse = [each.regression for each in found if each.regression is not None]
    for why in worse:
        click.echo(f"regression: {why}", err=True)
    raise SystemExit(1 if worse else 0)


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


def print_trends(found: Sequence[Trend], console: Console | None = None) -> None:
    """Print a table of trends, the oldest run first in each line of bars."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("script", "arm", "passed", "", "p95, ms", "", "stop, ms", ""):
        table.add_column(column, no_wrap=True)
    for trend in found:
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
        Text(_remarks(trend), style="red" if trend.regression is not None else "dim"),
    )


def _remarks(trend: Trend) -> str:
    again = trend.points[-1].summary.row.placed_again
    remarks = ["✕ worse"] if trend.regression is not None else []
    if again:
        remarks.append(f"{again} placed again")
    return ", ".join(remarks)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
