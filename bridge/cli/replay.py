"""`bridge replay`: call scripts played on every arm, judged and compared."""

import json
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bridge.cli.errors import exits_cleanly
from bridge.cli.replay_import import fix_persona, import_recorded
from bridge.cli.replay_plan import (
    JOBS_A_CPU,
    JOBS_AT_A_TARGET,
    MOST_JOBS,
    PlayOptions,
    make_plan,
)
from bridge.cli.replay_trend import HISTORY, show_trend
from bridge.cli.replay_view import ReplayScreen, print_results, write_outcome
from bridge.cli.running import make_directory, run, until_done_or_signalled
from bridge.config.models import load_models
from bridge.config.settings import TelemetrySettings
from bridge.replay.call.process import take_orders
from bridge.replay.environment.startup import Startup
from bridge.replay.environment.tool_mocks import ToolMocks
from bridge.replay.results.files import REPORT_FILE
from bridge.replay.results.run import Results, RunVerdict, overall
from bridge.replay.runs.plan import ReplayPlan
from bridge.replay.runs.runner import ReplayRun
from bridge.replay.script.packs import built_in_packs, choose_packs
from bridge.store.local import start_local_redis
from bridge.telemetry.logs import configure

_EXIT_CODES = {
    RunVerdict.PASS: 0,
    RunVerdict.FAIL: 1,
    RunVerdict.INCONCLUSIVE: 2,
    RunVerdict.INFRASTRUCTURE: 3,
}


class _ScriptsOrCommand(click.Group):
    """A group whose command `play` needs no name: what is no subcommand is a script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `play` before scripts and options."""
        if not args or args[0] not in self.commands:
            args = ["play", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ScriptsOrCommand)
def replay() -> None:
    """Play call scripts on every arm, judge the calls and compare the arms."""


@replay.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Subcommands: bridge replay trend, import, fix, packs (each has --help).",
)
@click.argument("scripts", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--arm",
    "arms",
    multiple=True,
    metavar="NAME[=recorded:PATH]",
    help="An arm: beta, ga, live or a flavour (the local simulator's), one of --config, or"
    " NAME=recorded:PATH, whose service is played from wire logs. Repeatable."
    "  [default: beta and ga]",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings file whose `arms` are live endpoints; keys come from the environment.",
)
@click.option(
    "--repeat", type=click.IntRange(1, 100), help="Calls on each arm.  [default: as scripts say]"
)
@click.option(
    "--jobs",
    type=click.IntRange(1, MOST_JOBS),
    help=f"Calls at once.  [default: {JOBS_A_CPU} for each CPU; with --target {JOBS_AT_A_TARGET},"
    " with --load 1]",
)
@click.option(
    "--load",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="N other calls go on beside each one, on the same gateway: real SIP calls that talk.",
)
@click.option("--tag", "tags", multiple=True, help="Only scripts with this tag. Repeatable.")
@click.option(
    "--pack",
    "packs",
    multiple=True,
    metavar="NAME|FILE",
    help="Play each script under every item of this pack, too: accents, noises, lines, headset"
    " (bridge replay packs), or a file of your own. Repeatable.",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the report, its data and the calls' recordings.",
)
@click.option("--target", metavar="SIP-URI", help="A running gateway to call, not our own.")
@click.option(
    "--target-rollout",
    metavar="FLAG",
    help="The rollout that chooses its arm, where more than one of --config has the arms.",
)
@click.option(
    "--target-recordings",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Its media.recordings_dir, where it is on this machine: its records are evidence.",
)
@click.option(
    "--target-wire-log",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Its session.wire_log_dir, likewise. Its Redis: BRIDGE_REDIS_URL.",
)
@click.option(
    "--dialplans",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="For our own gateways.  [default: dialplans/ beside the scripts, or the project's]",
)
@click.option(
    "--shadow",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="RECORDINGS",
    help="Play the calls that a gateway recorded yesterday, in the place of scripts.",
)
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="With --shadow: another day than yesterday (UTC).",
)
@click.option("--cost-cap", type=click.FloatRange(0), metavar="USD", help="For live arms.")
@click.option(
    "--transcribe",
    metavar="local|URL",
    help="Write down what the agent says, in any words, as evidence: by the built-in recogniser, or"
    " an OpenAI-compatible /v1/audio/transcriptions (key: BRIDGE_TRANSCRIBE_KEY).",
)
@click.option(
    "--stand-ins",
    is_flag=True,
    help="Play the `script` of personas and judges that have a text model, too: costs nothing, and"
    " says the same each time.",
)
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="JUnit XML.")
@click.option(
    "--history",
    type=click.Path(file_okay=False, path_type=Path),
    default=HISTORY,
    show_default=True,
    help="Where a summary of each run is kept, for `bridge replay trend`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@exits_cleanly
def play(
    report: Path | None,
    junit: Path | None,
    history: Path,
    as_json: bool,
    **options: Any,  # click gives them by the names of PlayOptions
) -> None:
    """Play SCRIPTS (files or directories) on every arm: real calls, through a real gateway.

    It starts what it needs, on free ports of the loopback: Redis, mocks of the tools, and for each
    of --jobs a caller, a gateway, and the local Realtime simulator for the arms `beta`, `ga` and
    `live`, and for those named as a flavour (`qwen`, `xai`, ...), which it then speaks as that
    server. Calls that go on at once share none of them. Everything is gone afterwards. A call is
    judged by its script, and by what holds for every call: no event is unknown, the service refuses
    nothing, the bridge adds little, and an interrupted answer is cut where it was heard to. What
    can't be known is inconclusive, never a pass. What an arm's service has nothing to show with,
    in its own way, is not applicable, with the reason, and a script that needs it for its
    circumstances is not played there. A call that the machine was too busy for is placed once more
    ("again"); if that is no better, it is inconclusive, unless the very same is found.

    NAME=recorded:PATH has no service: it plays what one said in a recorded call, each event once
    the bridge has sent what it had sent before it. PATH is a call's wire log (a run's wire.jsonl,
    or a file of session.wire_log_dir), a directory with a SCRIPT.jsonl for each script, or a former
    --report directory. Where the bridge first sends something else than then, or in another order,
    the call goes off script, and is inconclusive. Such an arm tries the bridge, its decoder first;
    its pass is no pass of the service.

    --target calls a gateway that runs already. On more arms than one, calls ask for theirs by the
    signed test header: the arms are those of a rollout in --config, and its secret is in the
    environment variable that rollout_key_env names there (ROLLOUT_KEY). That the gateway took the
    arm is seen in its record alone, so give --target-recordings, too. What an arm is that --config
    does not have is unknown, but for what a record tells: its dialect and model.

    --shadow makes scripts of recorded calls, for this run alone: of those whose callers agreed, and
    whose time is not over. The others are named, and not played.

    \b
    Examples:
      bridge replay call_scripts
      bridge replay call_scripts/support_demo.yaml --arm beta --arm ga --repeat 5 --report out
      bridge replay call_scripts --tag smoke --pack noises --pack headset
      bridge replay call_scripts --arm ga --load 2
      bridge replay call_scripts --config bridge.yaml --arm ga --arm new --cost-cap 2
      bridge replay call_scripts --arm ga --arm beta=recorded:out/july
      bridge replay call_scripts --target sip:192.0.2.7:5060 --arm ga
      bridge replay call_scripts --target sip:192.0.2.7 --config bridge.yaml --arm old --arm new
      bridge replay --shadow recordings --dialplans dialplans --arm ga --config new.yaml
      bridge replay trend support_demo

    \b
    Exit codes:
      0  every script passed on every arm
      1  one failed, or the arms' protocols differ where they must not
      2  bad input, or inconclusive, or stopped at the cost cap
      3  something around it could not be had
      130, 143  ended by Ctrl-C, SIGTERM; what was played is written
    """
    configure(TelemetrySettings(log_level="warning"))
    make_directory(report)
    with ExitStack() as stack:
        results_dir = report or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asked = PlayOptions(**options)
        plan = make_plan(asked, results_dir.absolute(), stack)
        redis_url = os.environ.get("BRIDGE_REDIS_URL")
        if redis_url is None:
            redis_url = stack.enter_context(start_local_redis()).url
        results, replayed, exit_code = play_plan(plan, redis_url, os.environ)
        kept = history if asked.shadow is None else None  # tomorrow's calls are others
        write_outcome(plan, results, replayed, junit, kept, with_report=report is not None)
        _print(results, report, as_json=as_json)
        raise SystemExit(exit_code or _EXIT_CODES[overall(results)])


def play_plan(
    plan: ReplayPlan, redis_url: str, environ: Mapping[str, str]
) -> tuple[Results, ReplayRun, int]:
    """Play; return what came of it, and the exit code of the signal that ended it, or 0."""
    mocks = ToolMocks()
    with (
        ReplayScreen(len(plan.play_list())) as screen,
        tempfile.TemporaryDirectory(prefix="bridge-replay-") as place,
    ):
        startup = Startup(environ, redis_url, Path(place), mocks, plan.dialplans, plan.load)
        replayed = ReplayRun(plan, load_models(), startup, screen)

        async def work() -> None:
            async with mocks:
                await replayed.play()

        signalled = run(until_done_or_signalled(work(), "replay"))
    return (
        replayed.conclude(signalled),
        replayed,
        0 if signalled is None else 128 + signal.Signals[signalled],
    )


def _print(results: Results, report: Path | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(results), ensure_ascii=False))
        return
    print_results(results)
    if report is not None:
        click.echo(f"report: {report / REPORT_FILE}")


@replay.command("packs")
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@exits_cleanly
def list_packs(names: tuple[str, ...], as_json: bool) -> None:
    """List packs: named accents, noises, lines and headsets that scripts can be played under.

    `bridge replay SCRIPTS --pack noises` plays each script as it is, and once for every item of the
    pack; `target: {packs: [noises]}` in a script does it for that one. A FILE (.yaml) has packs of
    your own, in the form of bridge/replay/script/packs.yaml; `bridge check FILE` checks it.

    \b
    Examples:
      bridge replay packs
      bridge replay packs headset --json
      bridge replay call_scripts --tag smoke --pack accents --pack my-packs.yaml

    \b
    Exit codes: 0 listed, 2 there is no such pack.
    """
    packs = choose_packs(names) if names else built_in_packs()
    if as_json:
        found = {
            name: pack.model_dump(mode="json", exclude_unset=True) for name, pack in packs.items()
        }
        click.echo(json.dumps(found))
        return
    table = Table("pack", "item", "what it is")
    for name, pack in packs.items():
        table.add_row(name, "", pack.about, style="bold")
        for item_name, item in pack.items.items():
            table.add_row("", item_name, item.about)
    Console(highlight=False).print(table)


@replay.command(hidden=True)
def caller() -> None:
    """Be a caller, as ordered on stdin."""
    configure(TelemetrySettings(log_level="warning"))
    take_orders(run)


replay.add_command(show_trend)
replay.add_command(fix_persona)
replay.add_command(import_recorded)
