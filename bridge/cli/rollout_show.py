"""Rollouts on the terminal."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

_PIPE_CHARS = 160

Shown = Mapping[str, Any]  # what `--json` prints


def print_status(flags: Sequence[Shown]) -> None:
    """Print each flag: arms, verdict with its evidence, latest changes."""
    console = _console()
    if not flags:
        console.print("the settings have no rollouts")
    for flag in flags:
        console.print(f"[bold]{flag['flag']}[/bold]  version {flag['version']}")
        table = Table(box=None, header_style="bold")
        for column in ("arm", "", "share", "calls now", "at most", "bad / calls", "state"):
            table.add_column(column, no_wrap=True)
        verdict = flag["verdict"] or {}
        for arm, told in flag["arms"].items():
            rate = verdict.get(told["role"])
            table.add_row(
                arm,
                told["role"],
                f"{told['percent']:g}%",
                str(told["calls_now"]),
                "-" if told["cap"] is None else str(told["cap"]),
                f"{rate['bad']} / {rate['calls']}" if rate else "-",
                "OFF" if told["stopped"] else "",
            )
        console.print(table)
        for line in _notes(flag, verdict):
            console.print(f"  {line}", highlight=False)
        print_history(flag["changes"], console)


def print_history(rows: Sequence[Shown], console: Console | None = None) -> None:
    """Print changes, the latest first."""
    table = Table(box=None, header_style="bold")
    for column in ("when", "version", "action", "new arm", "by", "why"):
        table.add_column(column, no_wrap=column != "why")
    for row in rows:
        table.add_row(
            datetime.fromtimestamp(int(row["at_ms"]) / 1000).strftime("%m-%d %H:%M:%S"),
            row["version"],
            row["action"],
            f"{int(row['was']) / 10:g}% -> {int(row['share']) / 10:g}%",
            row["author"],
            row["reason"],
        )
    (console or _console()).print(table if rows else "  no change yet")


def _notes(flag: Shown, verdict: Shown) -> list[str]:
    notes = []
    if flag["ai_off"]:
        notes.append("THE AI IS OFF: calls get the fallback")
    if flag["overrides"]:
        told = ", ".join(f"{each['calls']} {each['arm']}" for each in flag["overrides"])
        notes.append(f"not drawn: {told}")
    if verdict:
        notes.append(
            f"verdict: {verdict['verdict']}, E = {verdict['e_value']:g} (100 rolls back);"
            f" {'; '.join(verdict['why'])}"
        )
        if verdict["p95_difference_ms"] is not None:
            low, high = verdict["p95_interval_ms"]
            notes.append(
                f"p95 of turns: {verdict['p95_difference_ms']:+d} ms (95%: {low:+d} to {high:+d})"
            )
        reasons = [f"{each['arm']} {each['code']} x{each['calls']}" for each in verdict["reasons"]]
        if reasons:
            notes.append(f"bad calls: {', '.join(reasons)}; {verdict['rescued']} rescued")
    held = flag["held"]
    step = flag["next_step"]
    notes.append(f"held: {held}" if held else f"next step: {step:g}%, once the verdict is healthy")
    notes.append(f"decided on node {flag['leader']}" if flag["leader"] else "no node decides now")
    return notes


def _console() -> Console:
    # What goes into a pipe is not cut off at the width of a terminal that isn't there.
    return Console(width=None if sys.stdout.isatty() else _PIPE_CHARS)
