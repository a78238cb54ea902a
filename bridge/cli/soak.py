"""`bridge soak`: callers for a long time, while everything around the gateway goes wrong."""

import json
import os
import secrets
from pathlib import Path

import click

from bridge.bench.soak.crowd import run_crowd
from bridge.bench.soak.figures import SoakPlan, SoakResult
from bridge.bench.soak.run import run_soak
from bridge.bench.view import BenchScreen, print_soak
from bridge.cli.errors import exits_cleanly
from bridge.cli.running import finished, make_directory, run, until_done_or_signalled
from bridge.config.settings import TelemetrySettings
from bridge.telemetry.logs import configure

_FAILED, _INCONCLUSIVE = 1, 2
_BOTH = ("ga", "beta")


@click.group(invoke_without_command=True)
@click.option("--minutes", type=click.FloatRange(0.1, 24 * 60), default=30.0, show_default=True)
@click.option(
    "--calls",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    help="Calls at once; the pip wheel's PJSIP holds 4.",
)
@click.option("--seed", type=click.IntRange(0), help="Of every choice.  [default: a new one]")
@click.option("--dialect", type=click.Choice([*_BOTH, "both"]), default="both", show_default=True)
@click.option(
    "--warm-up-s",
    type=click.FloatRange(2, 600),
    default=25.0,
    show_default=True,
    help="Before the trouble: what the gateway makes with its first calls and keeps.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write soak.json, the gateway's log and the records of the worst calls into it.",
)
@click.pass_context
@exits_cleanly
def soak(
    ctx: click.Context,
    minutes: float,
    calls: int,
    seed: int | None,
    dialect: str,
    warm_up_s: float,
    as_json: bool,
    report: Path | None,
) -> None:
    """Wear the gateway out: real calls with speech, and trouble on every side.

    Callers talk, interrupt, hold, press keys, and hang up at any moment, before the answer
    included. Meanwhile the Realtime server (the simulator) drops and stalls connections and sends
    rubbish, the tools' webhook fails, and Redis is stopped, killed, frozen, slow and full. All of
    it follows from the seed.

    At the end the gateway must hold what it held before: tasks, files, sockets, rows of the rings,
    conference ports. Every call must have one record with an outcome, and its end in Redis.

    \b
    Examples:
      bridge soak
      bridge soak --minutes 1 --calls 4 --seed 7
      bridge soak --dialect beta --report soak-report

    \b
    Exit codes:
      0  everything is as it should be
      1  something is not
      2  bad input, or inconclusive: the callers themselves were too slow
      3  infrastructure
    """
    if ctx.invoked_subcommand is not None:
        return
    configure(TelemetrySettings(log_level="warning"))
    make_directory(report)
    chosen = secrets.randbelow(1 << 32) if seed is None else seed
    plan = SoakPlan(minutes, warm_up_s, calls, _BOTH if dialect == "both" else (dialect,), chosen)
    with BenchScreen() as screen:
        done = run(until_done_or_signalled(run_soak(plan, os.environ, screen, report), "soak"))
    result = finished(done)
    _publish(result, as_json=as_json, report=report)
    if not result.ok:
        raise SystemExit(_FAILED)
    if result.doubts:
        raise SystemExit(_INCONCLUSIVE)


def _publish(result: SoakResult, *, as_json: bool, report: Path | None) -> None:
    text = json.dumps(result.to_json())
    if report is not None:
        (report / "soak.json").write_text(text + "\n", encoding="utf-8")
    if as_json:
        click.echo(text)
    else:
        print_soak(result)


@soak.command(hidden=True)
@click.argument("server")
@exits_cleanly
def callers(server: str) -> None:
    """Be people who call SERVER (host:port), as ordered on stdin."""
    host, _, port = server.rpartition(":")
    run_crowd((host, int(port)))
