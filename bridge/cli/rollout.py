"""`bridge rollout`: shows and sets the share of calls on the new arm, and the kill switches."""

import asyncio
import getpass
import json
import os
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from bridge.app.rollouts.secret import read_secret
from bridge.cli.errors import exits_cleanly
from bridge.cli.rollout_show import print_history, print_status
from bridge.cli.rollout_words import read_cap, read_override, read_switch
from bridge.cli.running import run
from bridge.config.loading import load_settings
from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import Settings
from bridge.errors import ConfigError
from bridge.routing.numbers import normalise_called, shown_number
from bridge.routing.rollout import changes
from bridge.routing.rollout.decision import CallFacts, decide
from bridge.routing.rollout.draw import targeting_key
from bridge.routing.rollout.signed_arm import HEADER, sign_arm
from bridge.routing.rollout.state import RolloutState, flag_of
from bridge.store.client import RedisLink
from bridge.store.reader import CallReader
from bridge.store.rollout_status import calls_by_arm, change_of, rollout_status
from bridge.store.rollouts import RolloutStore, Signature

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

_ARM = click.option(
    "--arm",
    "arms",
    multiple=True,
    metavar="NAME=on|off",
    help="An arm's kill switch; off: no new call gets it.",
)


def _reads(command: F) -> F:
    """Add the options that say which Redis is meant."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    command = click.option("--redis", "url", help="Redis URL; else that of the settings.")(command)
    return click.option(
        "--config", type=click.Path(path_type=Path), help="YAML settings with the rollouts."
    )(command)


def _changes(command: F) -> F:
    """Add the options of a command that changes something: who, and why."""
    command = click.option("--reason", default="", help="Why; in the history for ever.")(command)
    command = click.option(
        "--author", default=getpass.getuser, show_default="you", help="Who decided it."
    )(command)
    return click.argument("flag")(_reads(command))


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


@rollout.command()
@click.argument("flag", required=False)
@_reads
@exits_cleanly
def status(flag: str | None, config: Path | None, url: str | None, as_json: bool) -> None:
    """Show what is in force, what is held of the new arm, and why no step is taken."""
    settings = load_settings(config, os.environ)
    flags = list(settings.rollouts) if flag is None else [flag]
    found = _with_store(settings, url, lambda store: _status(store, settings, flags, config, url))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_status(found)


@rollout.command("set")
@click.option("--percent", type=float, help="The new arm's share, in steps of 0.1.")
@_ARM
@click.option("--ai", type=click.Choice(["on", "off"]), help="The AI as a whole.")
@click.option(
    "--cap",
    "caps",
    multiple=True,
    metavar="NAME=CALLS|none|settings",
    help="An arm's calls at once, on all nodes; `settings`: what those say.",
)
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="BY:PATTERN=NAME|none|settings",
    help="Calls that get an arm without a draw, by caller, route, called or trunk; `none`: they "
    "are drawn.",
)
@_changes
@exits_cleanly
def set_(
    flag: str,
    percent: float | None,
    arms: tuple[str, ...],
    ai: str | None,
    caps: tuple[str, ...],
    overrides: tuple[str, ...],
    author: str,
    reason: str,
    config: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Set the new arm's share, caps and overrides, or use a kill switch.

    A share of more than 0 begins the rollout: further steps are taken by themselves.

    \b
    bridge rollout set new-model --cap new=20 --reason "their limit"
    bridge rollout set new-model --override caller:+15550199=new
    bridge rollout set new-model --override trunk:north=settings   # as the settings say, again
    """
    wanted = [
        *(read_switch(text) for text in arms),
        *(read_cap(text) for text in caps),
        *(read_override(text, load_settings(config, os.environ)) for text in overrides),
    ]
    if percent is None and not wanted and ai is None:
        raise ConfigError(
            "nothing to set", remedy="give --percent, --arm, --ai, --cap or --override"
        )

    def change(state: RolloutState, plan: RolloutSettings, now_ms: int) -> RolloutState:
        for each in wanted:
            state = each(state, plan)
        if ai is not None:
            state = changes.switch_ai(state, on=ai == "on")
        return state if percent is None else changes.set_share(state, percent, now_ms)

    _change(flag, change, Signature(author, reason), config, url, as_json=as_json)


@rollout.command()
@_changes
@exits_cleanly
def pause(
    flag: str, author: str, reason: str, config: Path | None, url: str | None, as_json: bool
) -> None:
    """Keep the share: no step by itself until `resume`. Rollbacks still happen."""
    _change(
        flag,
        lambda state, plan, now_ms: changes.pause(state),
        Signature(author, reason),
        config,
        url,
        as_json=as_json,
    )


@rollout.command()
@_changes
@exits_cleanly
def resume(
    flag: str, author: str, reason: str, config: Path | None, url: str | None, as_json: bool
) -> None:
    """Take steps again; opens an arm that was closed after failures in a row."""
    _change(flag, changes.resume, Signature(author, reason), config, url, as_json=as_json)


@rollout.command()
@_changes
@exits_cleanly
def rollback(
    flag: str, author: str, reason: str, config: Path | None, url: str | None, as_json: bool
) -> None:
    """Give every new call to the old arm; calls that go on stay where they are."""
    _change(
        flag,
        lambda state, plan, now_ms: changes.roll_back(state, now_ms),
        Signature(author, reason),
        config,
        url,
        as_json=as_json,
    )


@rollout.command()
@click.option("--force", is_flag=True, help="Before the cool-down is over.")
@_changes
@exits_cleanly
def rearm(
    flag: str,
    force: bool,
    author: str,
    reason: str,
    config: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Let a new arm that was stopped or rolled back be tried again, from 0%."""
    _change(
        flag,
        lambda state, plan, now_ms: changes.rearm(state, plan, now_ms, force=force),
        Signature(author, reason),
        config,
        url,
        as_json=as_json,
    )


@rollout.command()
@click.argument("flag")
@click.option("--limit", default=20, show_default=True, help="Changes at most.")
@_reads
@exits_cleanly
def history(flag: str, limit: int, config: Path | None, url: str | None, as_json: bool) -> None:
    """Show what was changed, by whom, why, and on which evidence; the latest first."""
    settings = load_settings(config, os.environ)
    _plan(settings, flag)
    entries = _with_store(settings, url, lambda store: store.history(flag, limit))
    rows = [change_of(fields) for _, fields in entries]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        print_history(rows)


@rollout.command()
@click.argument("flag")
@click.option("--from", "caller", default="", help="Who calls; without: a withheld number.")
@click.option("--to", "called", default="", help="Who is called.")
@click.option("--route", default="", help="The dialplan.")
@click.option("--trunk", default="", help="Name of the trunk (sip.trunks).")
@click.option("--call-id", default="", help="SIP Call-ID, for a withheld number.")
@_reads
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
    plan = _plan(settings, flag)
    secret = read_secret(settings.rollout_key_env, os.environ)
    states = _with_store(settings, url, lambda store: store.read([flag]))
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
        told = {"arm": decision.arm, "reason": decision.reason, "version": decision.version}
        click.echo(json.dumps({**told, "steps": decision.steps}))
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
    plan = _plan(settings, flag)
    if arm not in plan.arms:
        raise ConfigError(f"no arm '{arm}'", remedy=f"the arms are {' and '.join(plan.arms)}")
    secret = read_secret(settings.rollout_key_env, os.environ)
    click.echo(f"{HEADER}: {sign_arm(secret, flag, arm, int(time.time()) + valid_s)}")


async def _status(
    store: RolloutStore, settings: Settings, flags: list[str], config: Path | None, url: str | None
) -> list[dict[str, object]]:
    plans = {flag: _plan(settings, flag) for flag in flags}
    calls = await _calls_now(settings, url)
    given = {"--config": config, "--redis": url}
    options = shlex.join(
        word for name, value in given.items() if value is not None for word in (name, str(value))
    )
    now_ms = time.time_ns() // 1_000_000
    return await rollout_status(store, plans, calls, now_ms, options=options)


async def _calls_now(settings: Settings, url: str | None) -> Mapping[str, int]:
    async with CallReader(settings.redis, _address(settings, url)) as reader:
        return calls_by_arm(await reader.calls(await reader.active()))


def _change(
    flag: str,
    change: Callable[[RolloutState, RolloutSettings, int], RolloutState],
    signature: Signature,
    config: Path | None,
    url: str | None,
    *,
    as_json: bool,
) -> None:
    settings = load_settings(config, os.environ)
    plan = _plan(settings, flag)
    now_ms = time.time_ns() // 1_000_000

    def ask(store: RolloutStore) -> Awaitable[tuple[RolloutState, RolloutState] | None]:
        return store.change(flag, lambda state: change(state, plan, now_ms), signature, now_ms)

    changed = _with_store(settings, url, ask)
    if changed is None:
        raise AssertionError("a person's change is never empty")
    _, after = changed
    if as_json:
        shown = {name: json.loads(text) for name, text in after.to_fields().items()}
        click.echo(json.dumps({"flag": flag, **shown}))
        return
    off = f", off: {', '.join(sorted(after.stopped))}" if after.stopped else ""
    ai = ", the AI is off" if after.ai_off else ""
    click.echo(
        f"{flag} version {after.version}: {plan.treatment} {after.percent:g}%,"
        f" {plan.control} {100 - after.percent:g}%{off}{ai}"
    )


def _with_store(
    settings: Settings, url: str | None, ask: Callable[[RolloutStore], Awaitable[T]]
) -> T:
    async def asked() -> T:
        link = RedisLink(_address(settings, url), timeout_s=settings.redis.connect_timeout_s)
        try:
            return await ask(RolloutStore(link, settings.redis))
        finally:
            await asyncio.shield(link.aclose())

    return run(asked())


def _address(settings: Settings, url: str | None) -> str:
    address = url or settings.redis.url
    if address is None:
        raise ConfigError(
            "no Redis is named, and a gateway without one keeps its own",
            remedy="pass --redis, or set BRIDGE_REDIS_URL to the one that the gateways use",
        )
    return address


def _plan(settings: Settings, flag: str) -> RolloutSettings:
    if flag not in settings.rollouts:
        known = ", ".join(sorted(settings.rollouts)) or "none"
        raise ConfigError(
            f"the settings have no rollout '{flag}' (known: {known})",
            remedy="name the settings with --config or BRIDGE_CONFIG",
        )
    return settings.rollouts[flag]
