"""`bridge rollout`: shows and sets the share of calls on the new arm, and the kill switches."""

import json
import os
import time
from pathlib import Path

import click

from bridge.app.rollouts.secret import read_secret
from bridge.cli.errors import exits_cleanly
from bridge.cli.rollout_changes import pause, rearm, resume, rollback, set_share
from bridge.cli.rollout_show import show_history, show_status
from bridge.cli.rollout_store import plan_of, reads_redis, with_store
from bridge.config.loading import load_settings
from bridge.errors import ConfigError
from bridge.routing.numbers import normalise_called, shown_number
from bridge.routing.rollout.decision import CallFacts, decide
from bridge.routing.rollout.draw import targeting_key
from bridge.routing.rollout.signed_arm import HEADER, sign_arm
from bridge.routing.rollout.state import RolloutState, flag_of


@click.group()
def rollout() -> None:
    """Move calls from an old arm to a new one, step by step, and back within seconds.

    \b
    bridge rollout status                             every flag: share, verdict, evidence
    bridge rollout set new-model --percent 1          begin; steps follow by themselves
    bridge rollout set new-model --arm new=off        kill switch of an arm
    bridge rollout set new-model --ai off             kill switch of the AI: people, voicemail
    bridge rollout set new-model --cap new=20         calls at once; --override: no draw
    bridge rollout rollback new-model --reason "..."  new calls to the old arm; calls go on
    bridge rollout rearm new-model                    after a rollback, once it is repaired
    bridge rollout explain new-model --from +1555...  which arm a caller gets, and why

    Every node follows within a second. Exit codes: 0 good, 2 bad input, 3 no Redis.
    """


for _command in (show_status, set_share, pause, resume, rollback, rearm, show_history):
    rollout.add_command(_command)


@rollout.command()
@click.argument("flag")
@click.option("--from", "caller", default="", help="Who calls; without: a withheld number.")
@click.option("--to", "called", default="", help="Who is called.")
@click.option("--route", default="", help="The dialplan.")
@click.option("--trunk", default="", help="Name of the trunk (sip.trunks).")
@click.option("--call-id", default="", help="SIP Call-ID, for a withheld number.")
@reads_redis
@exits_cleanly
def explain(
    flag: str,
    caller: str,
    called: str,
    route: str,
    trunk: str,
    call_id: str,
    config: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Say which arm a call would get now, and step by step why."""
    settings = load_settings(config, os.environ)
    plan = plan_of(settings, flag)
    secret = read_secret(settings.rollout_key_env, os.environ)
    states = with_store(settings, url, lambda store: store.read([flag]))
    number = shown_number(caller)
    facts = CallFacts(
        key=targeting_key(secret, number, call_id),
        caller=number,
        called=normalise_called(called),
        route=route,
        trunk=trunk,
    )
    decision = decide(flag_of(flag, plan, states.get(flag, RolloutState())), facts)
    if as_json:
        found = {"arm": decision.arm, "reason": decision.reason, "version": decision.version}
        click.echo(json.dumps({**found, "steps": decision.steps}))
        return
    for step in decision.steps:
        click.echo(f"  {step}")
    click.echo(f"{decision.arm or 'no arm: the fallback'} ({decision.reason})")


@rollout.command()
@click.argument("flag")
@click.argument("arm")
@click.option("--valid-s", default=3600, show_default=True, help="For how long.")
@click.option("--config", type=click.Path(path_type=Path), help="YAML settings.")
@exits_cleanly
def sign(flag: str, arm: str, valid_s: int, config: Path | None) -> None:
    """Print the SIP header that gives a test call an arm; keep it to yourself."""
    settings = load_settings(config, os.environ)
    plan = plan_of(settings, flag)
    if arm not in plan.arms:
        raise ConfigError(f"no arm '{arm}'", remedy=f"the arms are {' and '.join(plan.arms)}")
    secret = read_secret(settings.rollout_key_env, os.environ)
    click.echo(f"{HEADER}: {sign_arm(secret, flag, arm, int(time.time()) + valid_s)}")
