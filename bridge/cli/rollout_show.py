"""`bridge rollout status` and `history`: the state of each rollout, its verdict, its changes."""

import json
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bridge.cli.errors import exits_cleanly
from bridge.cli.rollout_store import address_of, plan_of, reads_redis, with_store
from bridge.cli.running import wide_console
from bridge.config.loading import load_settings
from bridge.config.settings import Settings
from bridge.store.reader import CallReader
from bridge.store.rollout_status import calls_by_arm, change_of, rollout_status
from bridge.store.rollouts import RolloutStore

Shown = Mapping[str, Any]  # what `--json` prints


@click.command("status")
@click.argument("flag", required=False)
@reads_redis
@exits_cleanly
def show_status(flag: str | None, config: Path | None, url: str | None, as_json: bool) -> None:
    """Show what is in force, what is held of the new arm, and why no step is taken."""
    settings = load_settings(config, os.environ)
    flags = list(settings.rollouts) if flag is None else [flag]
    found = with_store(settings, url, lambda store: _status(store, settings, flags, config, url))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print_status(found)


@click.command("history")
@click.argument("flag")
@click.option("--limit", default=20, show_default=True, help="Changes at most.")
@reads_redis
@exits_cleanly
def show_history(
    flag: str, limit: int, config: Path | None, url: str | None, as_json: bool
) -> None:
    """Show what was changed, by whom, why, and on which evidence; the latest first."""
    settings = load_settings(config, os.environ)
    plan_of(settings, flag)
    entries = with_store(settings, url, lambda store: store.history(flag, limit))
    rows = [change_of(fields) for _, fields in entries]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_history(rows)


async def _status(
    store: RolloutStore, settings: Settings, flags: list[str], config: Path | None, url: str | None
) -> list[dict[str, object]]:
    plans = {flag: plan_of(settings, flag) for flag in flags}
    calls = await _calls_now(settings, url)
    given = {"--config": config, "--redis": url}
    options = shlex.join(
        word for name, value in given.items() if value is not None for word in (name, str(value))
    )
    now_ms = time.time_ns() // 1_000_000
    return await rollout_status(store, plans, calls, now_ms, options=options)


async def _calls_now(settings: Settings, url: str | None) -> Mapping[str, int]:
    async with CallReader(settings.redis, address_of(settings, url)) as reader:
        return calls_by_arm(await reader.calls(await reader.active()))


def _print_status(flags: Sequence[Shown]) -> None:
    """Print each flag: arms, verdict with its evidence, latest changes."""
    console = wide_console()
    if not flags:
        console.print("the settings have no rollouts")
    for flag in flags:
        console.print(f"[bold]{flag['flag']}[/bold]  version {flag['version']}")
        table = Table(box=None, header_style="bold")
        for column in ("arm", "", "share", "calls now", "at most", "bad / calls", "state"):
            table.add_column(column, no_wrap=True)
        verdict = flag["verdict"] or {}
        for arm, state in flag["arms"].items():
            rate = verdict.get(state["role"])
            table.add_row(
                arm,
                state["role"],
                f"{state['percent']:g}%",
                str(state["calls_now"]),
                "-" if state["cap"] is None else str(state["cap"]),
                f"{rate['bad']} / {rate['calls']}" if rate else "-",
                "OFF" if state["stopped"] else "",
            )
        console.print(table)
        for line in _notes(flag, verdict):
            console.print(f"  {line}", highlight=False)
        _print_history(flag["changes"], console)


def _print_history(rows: Sequence[Shown], console: Console | None = None) -> None:
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
    (console or wide_console()).print(table if rows else "  no change yet")


def _notes(flag: Shown, verdict: Shown) -> list[str]:
    notes = []
    if flag["ai_off"]:
        notes.append("THE AI IS OFF: calls get the fallback")
    if flag["overrides"]:
        overridden = ", ".join(f"{each['calls']} {each['arm']}" for each in flag["overrides"])
        notes.append(f"not drawn: {overridden}")
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
