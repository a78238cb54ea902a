"""`bridge rollout set`, `pause`, `resume`, `rollback`, `rearm`: people's changes of a rollout."""

import getpass
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from bridge.cli.errors import exits_cleanly
from bridge.cli.rollout_store import plan_of, reads_redis, with_store
from bridge.config.loading import load_settings
from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import Settings
from bridge.errors import ConfigError
from bridge.routing.matching import load_dialplans
from bridge.routing.rollout import changes
from bridge.routing.rollout.flag import MatchBy, Override
from bridge.routing.rollout.state import RolloutState
from bridge.routing.rollout.targets import check_target
from bridge.store.rollouts import RolloutStore, Signature

Change = Callable[[RolloutState, RolloutSettings, int], RolloutState]
"""Returns the state after a change, of the one before, the plan and the time in ms."""

_NONE, _SETTINGS = "none", "settings"

_REASON = click.option("--reason", default="", help="Why; in the history for ever.")
_AUTHOR = click.option(
    "--author", default=getpass.getuser, show_default="you", help="Who decided it."
)


def _changes(name: str) -> Callable[[Callable[..., Change]], click.Command]:
    """Make a command of a function that returns a change, given the settings and its own options.

    The command takes a flag, an author and a reason as well, and makes the change.
    """

    def decorate(make: Callable[..., Change]) -> click.Command:
        def command(
            flag: str,
            author: str,
            reason: str,
            config: Path | None,
            url: str | None,
            as_json: bool,
            **own: Any,  # Any: the options of `make`
        ) -> None:
            settings = load_settings(config, os.environ)
            change = make(settings, **own)
            _make_change(settings, flag, change, Signature(author, reason), url, as_json=as_json)

        command.__doc__ = make.__doc__
        whole = exits_cleanly(command)
        for option in (_REASON, _AUTHOR, reads_redis, click.argument("flag")):
            whole = option(whole)
        built = click.command(name)(whole)
        built.params = [*click.command()(make).params, *built.params]
        return built

    return decorate


@_changes("set")
@click.option("--percent", type=float, help="The new arm's share, in steps of 0.1.")
@click.option(
    "--arm",
    "arms",
    multiple=True,
    metavar="NAME=on|off",
    help="An arm's kill switch; off: no new call gets it.",
)
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
def set_share(
    settings: Settings,
    percent: float | None,
    arms: tuple[str, ...],
    ai: str | None,
    caps: tuple[str, ...],
    overrides: tuple[str, ...],
) -> Change:
    """Set the new arm's share, caps and overrides, or use a kill switch.

    A share of more than 0 begins the rollout: further steps are taken by themselves.

    \b
    bridge rollout set new-model --cap new=20 --reason "their limit"
    bridge rollout set new-model --override caller:+15550199=new
    bridge rollout set new-model --override trunk:north=settings   # as the settings say, again
    """
    wanted = [
        *(_read_switch(text) for text in arms),
        *(_read_cap(text) for text in caps),
        *(_read_override(text, settings) for text in overrides),
    ]
    if percent is None and not wanted and ai is None:
        raise ConfigError(
            "nothing to set", remedy="give --percent, --arm, --ai, --cap or --override"
        )

    def change(state: RolloutState, plan: RolloutSettings, now_ms: int) -> RolloutState:
        for each in wanted:
            state = each(state, plan, now_ms)
        if ai is not None:
            state = changes.switch_ai(state, on=ai == "on")
        return state if percent is None else changes.set_share(state, percent, now_ms)

    return change


@_changes("pause")
def pause(settings: Settings) -> Change:
    """Keep the share: no step by itself until `resume`. Rollbacks still happen."""
    return lambda state, plan, now_ms: changes.pause(state)


@_changes("resume")
def resume(settings: Settings) -> Change:
    """Take steps again; opens an arm that was closed after failures in a row."""
    return changes.resume


@_changes("rollback")
def rollback(settings: Settings) -> Change:
    """Give every new call to the old arm; calls that go on stay where they are."""
    return lambda state, plan, now_ms: changes.roll_back(state, now_ms)


@_changes("rearm")
@click.option("--force", is_flag=True, help="Before the cool-down is over.")
def rearm(settings: Settings, force: bool) -> Change:
    """Let a new arm that was stopped or rolled back be tried again, from 0%."""
    return lambda state, plan, now_ms: changes.rearm(state, plan, now_ms, force=force)


def _make_change(
    settings: Settings,
    flag: str,
    change: Change,
    signature: Signature,
    url: str | None,
    *,
    as_json: bool,
) -> None:
    plan = plan_of(settings, flag)
    now_ms = time.time_ns() // 1_000_000

    def ask(store: RolloutStore) -> Awaitable[tuple[RolloutState, RolloutState] | None]:
        return store.change(flag, lambda state: change(state, plan, now_ms), signature, now_ms)

    changed = with_store(settings, url, ask)
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


def _read_switch(text: str) -> Change:
    """Read ``NAME=on`` or ``NAME=off``.

    Raises:
        ConfigError: it is neither; likewise below.
    """
    arm, _, word = text.partition("=")
    if word not in ("on", "off"):
        raise ConfigError(f"--arm {text}", remedy="write --arm NAME=on or --arm NAME=off")
    return lambda state, plan, now_ms: changes.switch_arm(state, plan, arm, on=word == "on")


def _read_cap(text: str) -> Change:
    """Read ``NAME=CALLS``, ``NAME=none`` or ``NAME=settings``."""
    arm, _, word = text.partition("=")
    if word == _SETTINGS:
        return lambda state, plan, now_ms: changes.reset_cap(state, plan, arm)
    if word != _NONE and not word.isdecimal():
        raise ConfigError(
            f"--cap {text}", remedy="write --cap NAME=20, --cap NAME=none or --cap NAME=settings"
        )
    cap = None if word == _NONE else int(word)
    return lambda state, plan, now_ms: changes.set_cap(state, plan, arm, cap)


def _read_override(text: str, settings: Settings) -> Change:
    """Read ``BY:PATTERN=NAME``, ``BY:PATTERN=none`` or ``BY:PATTERN=settings``.

    Args:
        settings: of the gateways: which trunks there are, and where the dialplans lie.
    """
    words, _, arm = text.rpartition("=")
    by, _, pattern = words.partition(":")
    if by not in list(MatchBy) or not pattern or not arm:
        raise ConfigError(
            f"--override {text}",
            remedy="write --override caller:+15550199=NAME; or route:, called:, trunk:",
        )
    try:
        what = Override(MatchBy(by), pattern, None)
    except ValueError as error:
        raise ConfigError(f"--override {text}: the pattern {error}") from error
    if arm == _SETTINGS:
        return lambda state, plan, now_ms: changes.reset_override(state, what)
    dialplans = load_dialplans(settings.dialplans_dir) if what.by is MatchBy.ROUTE else ()
    routes = [dialplan.name for dialplan in dialplans]
    check_target(what, trunks=settings.sip.trunks, routes=routes, place="--override: ")
    return lambda state, plan, now_ms: changes.set_override(
        state, plan, what, None if arm == _NONE else arm
    )
