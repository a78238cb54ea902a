"""Shows benchmark and soak on the screen: the progress, the findings, the tables at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from bridge.bench.figures import (
    BenchResult,
    CallSetups,
    FigureVerdict,
    HeardWindow,
    Inside,
    ServingWay,
)
from bridge.bench.rollout_stories import RolloutResult
from bridge.bench.soak.figures import SoakResult, calls_of, heard, silences_of

_COLUMNS = (
    *("rollout", "verdict", "what the bridge did", "after", "calls of the new arm"),
    *("callers harmed", "rescued", "to the fallback", "calls", ""),
)

_MARKS = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("not judged", "dim")}


class BenchScreen:
    """Progress on stderr; a moving line on a terminal, nothing moves elsewhere. Use ``with``."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = Status("starting", console=self._console)

    def __enter__(self) -> "BenchScreen":
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._status.stop()

    def doing(self, what: str) -> None:
        """Say it in the moving line."""
        self._status.update(Text(what, style="dim"))

    def step(self, what: str, detail: str) -> None:
        """Print it."""
        self._console.print(Text(f"{what:<8} {detail}"), soft_wrap=True)


def print_result(result: BenchResult) -> None:
    """Print the tables on stdout."""
    console = Console(highlight=False)
    if result.ways:
        console.print(_ways_table(result))
    if result.soak is not None:
        soak = result.soak
        console.print(
            f"{soak.calls} calls at {soak.rate:g}/s: resident {_mib(soak.rss_idle_bytes)} idle, "
            f"{_mib(soak.rss_before_bytes)} after a warm-up of {soak.warm_up_calls} calls, "
            f"{_mib(soak.rss_after_bytes)} at the end ({soak.growth_percent:+.1f}%)"
        )
    print_verdicts(result.verdicts, result.doubts)


def print_verdicts(verdicts: Sequence[FigureVerdict], doubts: Sequence[str]) -> None:
    """Print what was found of what should be, and why that may be doubted."""
    console = Console(highlight=False)
    table = Table("figure", "measured", "wanted", "")
    for verdict in verdicts:
        mark, style = _MARKS[verdict.ok]
        table.add_row(verdict.figure, verdict.value, verdict.wanted, Text(mark, style=style))
    console.print(table)
    for doubt in doubts:
        console.print(Text(f"doubtful: {doubt}", style="yellow"))


def _ways_table(result: BenchResult) -> Table:
    """Rows are figures, columns ways."""
    columns = [
        [*_spent(way), *_heard(way.window), *_setup(way.setup), *_inside(way.inside)]
        for way in result.ways.values()
    ]
    table = Table("", *result.ways)
    for cells in zip(*columns, strict=True):
        table.add_row(cells[0][0], *(value for _, value in cells))
    return table


def _spent(way: ServingWay) -> list[tuple[str, str]]:
    spent = way.spent
    share = spent.uplink_share
    each = spent.bytes_per_call
    return [
        ("calls", f"{spent.calls}"),
        ("most calls", "-" if way.climb is None else f"{way.climb.most}"),
        ("CPU, % of a core", f"{spent.cpu_percent:.1f}"),
        ("CPU per call, % of a core", f"{spent.cpu_percent_per_call:.3f}" if spent.calls else "-"),
        ("resident", _mib(spent.rss_bytes)),
        ("memory per call", "-" if each is None else f"{each / 1024:.0f} KiB"),
        ("caller audio that arrived", "-" if share is None else f"{share:.1%}"),
    ]


def _heard(window: HeardWindow) -> list[tuple[str, str]]:
    return [
        ("packets heard", f"{window.packets}"),
        ("lost / late", f"{window.lost} / {window.late}"),
        ("gaps over 60 ms, longest", f"{window.gaps}, {window.longest_gap_ms:.0f} ms"),
        ("holes in answers", f"{window.dropouts}"),
    ]


def _setup(setup: CallSetups) -> list[tuple[str, str]]:
    return [
        ("setup p50 / p95 / max", _ms(setup.setup_p50_ms, setup.setup_p95_ms, setup.setup_max_ms))
    ]


def _inside(inside: Inside | None) -> list[tuple[str, str]]:
    names = (
        "tick lag p50 / p99 / max",
        "RTP in to append p50 / p95 / p99",
        "delta to RTP out p50 / p95 / p99",
        "underruns",
    )
    if inside is None:
        return [(name, "-") for name in names]
    values = (
        "≤ " + _ms(inside.lag_p50_ms, inside.lag_p99_ms, inside.lag_max_ms),
        "≤ " + _ms(inside.up_p50_ms, inside.up_p95_ms, inside.up_p99_ms),
        "≤ " + _ms(inside.down_p50_ms, inside.down_p95_ms, inside.down_p99_ms),
        f"{inside.underruns}",
    )
    return list(zip(names, values, strict=True))


def _ms(*values: float | None) -> str:
    if None in values:
        return "-"
    return " / ".join(f"{value:.0f}" for value in values) + " ms"


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


def print_soak(result: SoakResult) -> None:
    """Print the tables on stdout."""
    console = Console(highlight=False)
    calls = calls_of(result.crowd)
    rows: Mapping[str, Mapping[str, float]] = {
        "calls, by intention": Counter(str(call["kind"]) for call in calls),
        "calls, by outcome": result.outcomes,
        "done": _counts(result.crowd["done"]),
        "went wrong": Counter(each.what for each in result.troubles),
        "webhook": result.tools,
        "counted": {name.removeprefix("bridge_"): n for name, n in result.counted.items()},
        "errors in the log": result.errors,
    }
    table = Table("", f"{len(calls)} calls, seed {result.plan.seed}")
    for name, counts in rows.items():
        table.add_row(name, _in_words(counts) or "-")
    table.add_row("silence until an answer", _silences([ms for ms, _ in silences_of(result.crowd)]))
    ears = heard(result.crowd)
    table.add_row(
        "heard",
        f"{ears['packets']:.0f} packets, {ears['lost']:.0f} lost, {ears['late']:.0f} late, "
        f"longest pause {ears['longest_gap_ms']:.0f} ms",
    )
    grown = (result.rss_after_bytes - result.rss_before_bytes) / 2**20
    table.add_row("resident", f"{result.rss_after_bytes / 2**20:.0f} MiB, {grown:+.0f} MiB")
    console.print(table)
    print_verdicts(result.verdicts, result.doubts)


def _counts(value: object) -> Mapping[str, float]:
    assert isinstance(value, dict)
    return value


def _in_words(counts: Mapping[str, float]) -> str:
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return "; ".join(f"{name} {count:.0f}" for name, count in ordered)


def _silences(ordered: list[float]) -> str:
    if not ordered:
        return "-"
    shares = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    found = {name: ordered[int((len(ordered) - 1) * share)] for name, share in shares.items()}
    return ", ".join(f"{name} {each / 1000:.1f} s" for name, each in found.items())


def rollout_table(result: RolloutResult) -> Table:
    """Return a row a story."""
    table = Table(*_COLUMNS)
    for story in result.stories:
        table.add_row(
            story.title,
            story.verdict,
            story.action,
            "-" if story.seconds is None else f"{story.seconds:.1f} s",
            str(story.new_arm_calls),
            str(story.harmed),
            str(story.rescued),
            str(story.to_fallback),
            str(story.all_calls),
            Text("ok", style="green") if story.ok else Text("FAILED", style="bold red"),
        )
    return table


def print_rollout(result: RolloutResult, width: int | None = None) -> None:
    """Print the table, and why each was decided."""
    console = Console(highlight=False, width=width)
    console.print(rollout_table(result))
    for story in result.stories:
        console.print(f"{story.title}: {story.why}", soft_wrap=True)
    console.print(
        "Short calls and steps of seconds, so that it fits into two minutes; harmed are callers who"
        f" got no agent or a slow one. {result.took_s:.0f} s in all.",
        soft_wrap=True,
    )
