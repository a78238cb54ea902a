"""A soak's result on the screen."""

from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from bridge.bench.soak.figures import SoakResult, calls_of, heard, silences_of
from bridge.bench.view import print_verdicts


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
