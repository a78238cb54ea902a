"""`bridge bench`: measures calls and their cost, beside PJSIP's floor and the plain way."""

import json
import os
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path

import click

from bridge.bench.callers import run_callers, run_talkers
from bridge.bench.figures import BenchPlan, BenchResult
from bridge.bench.lanes import MOST_CALLS
from bridge.bench.parts import CALLED, KEY
from bridge.bench.plot import check_can_plot, plot
from bridge.bench.ready import Ready
from bridge.bench.run import run_bench
from bridge.bench.view import BenchScreen, print_result
from bridge.bench.wires import check_can_secure
from bridge.cli.errors import exits_cleanly
from bridge.cli.running import (
    finished,
    make_directory,
    run,
    until_done_or_signalled,
    until_signalled,
)
from bridge.config.settings import TelemetrySettings
from bridge.errors import ConfigError
from bridge.realtime.dialects import DIALECTS, SPELLINGS
from bridge.simulator.light import LightServer
from bridge.telemetry.logs import configure

_FAILED, _INCONCLUSIVE = 1, 2
_PNG = click.Path(dir_okay=False, path_type=Path)
_DIALECT = click.Choice(sorted(DIALECTS))


@click.group(invoke_without_command=True)
@click.option(
    "--calls",
    type=click.IntRange(1, MOST_CALLS),
    help="Calls at once.  [default: 200, or all that the loaded PJSIP holds]",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 200),
    default=20.0,
    show_default=True,
    help="Calls a second in a ramp.",
)
@click.option(
    "--hold-s",
    type=click.FloatRange(1, 3600),
    default=20.0,
    show_default=True,
    help="How long the steady state is measured.",
)
@click.option(
    "--dialect",
    type=_DIALECT,
    default="ga",
    show_default=True,
    help="Of the gateway's arm; live is GPT-Live, and the plain way speaks ga then.",
)
@click.option(
    "--climb/--no-climb",
    default=True,
    show_default=True,
    help="Find out how many calls the bridge and the plain way hold.",
)
@click.option(
    "--soak",
    type=click.IntRange(10, 1_000_000),
    metavar="CALLS",
    help="Instead of all that: so many short calls at --rate, and what they leave.",
)
@click.option(
    "--secure",
    is_flag=True,
    help="Instead of all that: calls over TLS and SRTP beside plain ones, in four pairs.",
)
@click.option(
    "--audio",
    type=click.Choice(["pcmu", "pcma"]),
    help="Instead of all that: calls whose arm has G.711 beside ones of 24 kHz PCM, in four pairs.",
)
@click.option(
    "--traces",
    metavar="URL",
    help="Instead of all that: calls traced to this collector beside others, in four pairs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("--plot", "png", type=_PNG, help="Draw a PNG (needs the extra `bench`).")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write bench.json, and bench.png if it can be drawn, into this directory.",
)
@click.pass_context
@exits_cleanly
def bench(
    ctx: click.Context,
    calls: int | None,
    rate: float,
    hold_s: float,
    dialect: str,
    climb: bool,
    soak: int | None,
    secure: bool,
    audio: str | None,
    traces: str | None,
    as_json: bool,
    png: Path | None,
    report: Path | None,
) -> None:
    """Measure the gateway under real SIP calls with real RTP, all on this machine.

    Three ways serve the same calls, one after the other: `floor`, PJSIP and its media ports with no
    bridge; `bridge`, the gateway with a Redis and a Realtime server that answers with tones; and
    `plain`, a naive gateway on 24 kHz AudioMediaPort callbacks. The callers are a process of their
    own, and measure what they hear.

    Take ratios from it, not absolutes: everything shares this machine. Let nothing else run.

    \b
    Examples:
      bridge bench
      bridge bench --calls 50 --hold-s 10 --no-climb
      bridge bench --report bench-report --dialect beta
      bridge bench --dialect live --no-climb
      bridge bench --soak 2000 --rate 20
      bridge bench --secure
      bridge bench --audio pcmu
      bridge bench --traces http://127.0.0.1:4318/v1/traces

    \b
    Exit codes:
      0  every figure is as it should be
      1  one is not
      2  bad input, or inconclusive: the callers themselves were too slow
      3  infrastructure
    """
    if ctx.invoked_subcommand is not None:
        return
    configure(TelemetrySettings(log_level="warning"))
    if png is not None:
        check_can_plot()
    asked = {"--secure": secure, "--soak": soak, "--audio": audio, "--traces": traces}
    several = [option for option, given in asked.items() if given]
    if len(several) > 1:
        raise ConfigError(
            f"{' and '.join(several)} measure different calls",
            remedy="give one of them, then the other",
        )
    if secure:
        check_can_secure()
    make_directory(report)
    compared = secure, audio or "", traces or ""
    plan = BenchPlan(calls, rate, hold_s, dialect, climb, soak or 0, *compared)
    with BenchScreen() as screen:
        done = run(until_done_or_signalled(run_bench(plan, os.environ, screen), "bench"))
    result = finished(done)
    _publish(result, as_json=as_json, png=png, report=report)
    if result.doubts:
        raise SystemExit(_INCONCLUSIVE)
    if not result.ok:
        raise SystemExit(_FAILED)


def _publish(result: BenchResult, *, as_json: bool, png: Path | None, report: Path | None) -> None:
    text = json.dumps(result.to_json())
    if report is not None:
        (report / "bench.json").write_text(text + "\n", encoding="utf-8")
        if result.ways and _can_plot():
            plot(result, report / "bench.png")
    if png is not None and result.ways:
        plot(result, png)
    if as_json:
        click.echo(text)
    else:
        print_result(result)


def _can_plot() -> bool:
    try:
        check_can_plot()
    except ConfigError as error:
        click.echo(f"no plot: {error}", err=True)
        return False
    return True


# The parts, each a process of its own. They say where they listen in one JSON line.


@bench.command(hidden=True)
@click.argument("server")
@click.option("--called", default=CALLED, help="Whom they call.")
@click.option("--each-another", is_flag=True, help="Every call is from a number of its own.")
@click.option("--talking", is_flag=True, help="They say something, and not only listen.")
@click.option("--secure", is_flag=True, help="SIP over TLS, and SRTP.")
@exits_cleanly
def callers(server: str, called: str, each_another: bool, talking: bool, secure: bool) -> None:
    """Place calls to SERVER (host:port) as ordered on stdin."""
    host, _, port = server.rpartition(":")
    if talking:
        run_talkers((host, int(port)), called)
        return
    run_callers((host, int(port)), called, each_another=each_another, secure=secure)


@bench.command(hidden=True)
@exits_cleanly
def peer() -> None:
    """Run the light Realtime server."""
    run(_serve_peer())


@bench.command(hidden=True)
@exits_cleanly
def floor() -> None:
    """Take calls with PJSIP alone."""
    from bridge.bench.floor import run_floor

    configure(TelemetrySettings(log_level="warning"))
    run(run_floor(_announce, until_signalled()))


@bench.command(hidden=True)
@click.option("--url", required=True)
@click.option("--dialect", type=click.Choice(SPELLINGS), required=True)
@exits_cleanly
def plain(url: str, dialect: str) -> None:
    """Take calls the plain way."""
    from bridge.bench.plain import run_plain

    run(run_plain(url, dialect, KEY, _announce, until_signalled()))


async def _serve_peer() -> None:
    server = LightServer()
    click.echo(json.dumps({"url": await server.start()}))
    async with aclosing(server):
        await until_signalled()


def _announce(ready: Ready) -> None:
    click.echo(json.dumps(asdict(ready)))
