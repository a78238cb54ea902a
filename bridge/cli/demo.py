"""`bridge demo`: a phone call from end to end, with everything local."""

import contextlib
import json
import os
import sys
from functools import partial
from pathlib import Path

import click

import bridge
from bridge.bench.rollout_demo import run_rollout_demo
from bridge.bench.rollout_stories import RolloutPlan
from bridge.bench.view import BenchScreen, print_rollout
from bridge.cli.errors import exits_cleanly
from bridge.cli.running import STOPPING, finished, run, until_done_or_signalled
from bridge.demo.console import run_console_demo
from bridge.demo.result import DemoResult
from bridge.demo.run import DemoPlan, StartedGateway, run_demo
from bridge.demo.view import View, make_view
from bridge.errors import BridgeError, ConfigError, InfrastructureError
from bridge.realtime.dialects import DIALECTS
from bridge.replay.script import CallScript, Utterance, load_script
from bridge.store.local import start_local_redis

_SCRIPT = Path("call_scripts") / "support_demo.yaml"
_DIALPLANS = Path("dialplans")
_MARGIN_S = 30.0
"""For the caller's speech engines to start and to end, beyond the call itself."""

_FAILED = 1
_PIPE_CHARS = 150


@click.command()
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    help=f"Call script for the caller.  [default: {_SCRIPT}]",
)
@click.option(
    "--dialplans",
    type=click.Path(path_type=Path),
    help=f"Dialplans for the gateway; they use the arm 'local'.  [default: {_DIALPLANS}/]",
)
@click.option(
    "--scenario",
    type=click.Path(path_type=Path),
    help="What the AI hears and says, for the local Realtime server.  [default: a support line]",
)
@click.option(
    "--recordings",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("recordings"),
    show_default=True,
    help="Where recordings and call records go.",
)
@click.option(
    "--dialect",
    type=click.Choice(sorted(DIALECTS)),
    default="ga",
    show_default=True,
    help="Between the gateway and the local Realtime server; live is GPT-Live.",
)
@click.option(
    "--rollout",
    is_flag=True,
    help="Show instead how calls move to a new arm, and back when it fails: four rollouts.",
)
@click.option(
    "--rollout-calls",
    default=4,
    show_default=True,
    help="Calls at once in a rollout; the pip wheel of PJSIP holds 4.",
)
@click.option(
    "--rollout-step-s",
    default=1.0,
    show_default=True,
    help="Least time of a rollout's step; 600 s in earnest.",
)
@click.option(
    "--console",
    is_flag=True,
    help="Open the supervisor's console on live demo calls; Ctrl-C ends them.",
)
@click.option(
    "--callers",
    default=3,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Callers at once, with --console; the pip wheel of PJSIP holds 4.",
)
@click.option("--plain", is_flag=True, help="Plain lines, also on a terminal (as NO_COLOR=1).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@exits_cleanly
def demo(
    script: Path | None,
    dialplans: Path | None,
    scenario: Path | None,
    recordings: Path,
    dialect: str,
    rollout: bool,
    rollout_calls: int,
    rollout_step_s: float,
    console: bool,
    callers: int,
    plain: bool,
    as_json: bool,
) -> None:
    """Place a real phone call, all on this machine, and check that both sides were understood.

    It starts Redis (or uses BRIDGE_REDIS_URL), a local Realtime server, the gateway and, as a
    process of its own, a caller: a SIP phone that dials the gateway, speaks, listens and
    interrupts. Ports are free ones of the loopback. You see the call as it happens; its stereo
    recording and its JSON stay, everything else is gone afterwards.

    The call is good if the caller's own speech recognition heard what the agent said, and the
    gateway's transcript has what the caller said.

    \b
    Try:
      bridge demo
      bridge demo --dialect beta
      bridge demo --dialect live
      bridge demo --rollout
      bridge demo --console
      bridge demo --json | python -m json.tool
      bridge demo --script my_call.yaml --scenario my_agent.yaml

    Exit codes: 0 good, 1 the call failed its check, 2 bad input, 3 infrastructure.
    """
    if rollout:
        _show_rollouts(RolloutPlan(calls=rollout_calls, min_time_s=rollout_step_s), as_json=as_json)
        return
    view = make_view(as_json=as_json, plain=plain, no_color=bool(os.environ.get("NO_COLOR")))
    if console:
        plan = _plan(script, dialplans, scenario, recordings, dialect)
        _keep_console(plan, view, callers, as_json=as_json)
        return
    try:
        plan = _plan(script, dialplans, scenario, recordings, dialect)
        result = _show(plan, view)
    except (BridgeError, KeyboardInterrupt, SystemExit):
        if as_json:
            click.echo(json.dumps({"ok": False, "calls": []}))
        raise
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False))
        for fault in result.faults:
            click.echo(f"fault: {fault}", err=True)
    if not result.ok:
        raise SystemExit(_FAILED)


def _show_rollouts(plan: RolloutPlan, *, as_json: bool) -> None:
    """Run the demo of `--rollout`, print its table, and exit with 1 where a rollout went wrong.

    Raises:
        InfrastructureError: a part did not start, or this is no Linux.
    """
    if sys.platform != "linux":
        raise InfrastructureError(
            "the callers of the rollout demo need Linux", remedy="run it in a container"
        )
    # Its own Redis, whatever BRIDGE_REDIS_URL says: the demo's flags are nobody else's.
    with start_local_redis() as redis, BenchScreen() as screen:
        work = run_rollout_demo(plan, redis.url, os.environ, screen)
        done = run(until_done_or_signalled(work, "demo", partial(screen.doing, STOPPING)))
    result = finished(done)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    else:
        print_rollout(result, None if sys.stdout.isatty() else _PIPE_CHARS)
    if not result.ok:
        raise SystemExit(_FAILED)


def _keep_console(plan: DemoPlan, view: View, callers: int, *, as_json: bool) -> None:
    """Show the console until a signal comes: that is how this demo ends."""

    def announce(gateway: StartedGateway) -> None:
        if as_json:
            found = {"sip": gateway.sip, "http": gateway.http, "admin_link": gateway.admin_link}
            click.echo(json.dumps(found))

    with view, contextlib.ExitStack() as stack:
        url = os.environ.get("BRIDGE_REDIS_URL") or stack.enter_context(start_local_redis()).url
        work = run_console_demo(plan, url, os.environ, view, callers, announce)
        run(until_done_or_signalled(work, "demo", partial(view.doing, STOPPING)))
    click.echo("the demo is over; nothing is left running", err=True)


def _show(plan: DemoPlan, view: View) -> DemoResult:
    with view, contextlib.ExitStack() as stack:
        if url := os.environ.get("BRIDGE_REDIS_URL"):
            view.step("Redis", "the one that BRIDGE_REDIS_URL names")
        else:  # before the loop and in the main thread: the kernel ties it to this thread
            url = stack.enter_context(start_local_redis()).url
            view.step("Redis", "a private one, gone with this demo")
        work = run_demo(plan, url, os.environ, view)
        done = run(until_done_or_signalled(work, "demo", partial(view.doing, STOPPING)))
        if isinstance(done, DemoResult):
            stack.close()
            view.result(done)
    return finished(done)


def _plan(
    script_path: Path | None,
    dialplans: Path | None,
    scenario: Path | None,
    recordings: Path,
    dialect: str,
) -> DemoPlan:
    script_path = script_path or _find(_SCRIPT, "call script", "--script")
    script = load_script(script_path)
    return DemoPlan(
        dialplans=dialplans or _find(_DIALPLANS, "dialplans", "--dialplans"),
        script=script_path,
        called=script.called,
        said=_utterances(script),
        dialect=dialect,
        scenario=scenario,
        recordings=recordings,
        call_timeout_s=script.end.max_duration_s + _MARGIN_S,
    )


def _utterances(script: CallScript) -> tuple[str, ...]:
    actions = (step.action for step in script.caller)
    return tuple(action.text for action in actions if isinstance(action, Utterance))


def _find(path: Path, what: str, option: str) -> Path:
    """Find what a clone has at its root: beside the package, or in the working directory."""
    places = [Path(bridge.__file__).resolve().parent.parent, Path.cwd()]
    for place in places:
        if (place / path).exists():
            return place / path
    looked = " nor in ".join(str(place) for place in dict.fromkeys(places))
    raise ConfigError(
        f"the demo's {what} ({path}) is neither in {looked}",
        remedy=f"name one with {option}, or run the demo in a clone of the project",
    )
