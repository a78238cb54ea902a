"""Parses the arms, caps and overrides of `bridge rollout set` into changes of a rollout."""

from collections.abc import Callable

from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import Settings
from bridge.errors import ConfigError
from bridge.routing.matching import load_dialplans
from bridge.routing.rollout import changes
from bridge.routing.rollout.flag import MatchBy, Override
from bridge.routing.rollout.state import RolloutState
from bridge.routing.rollout.targets import check_target

Wanted = Callable[[RolloutState, RolloutSettings], RolloutState]

_NONE, _SETTINGS = "none", "settings"


def read_switch(text: str) -> Wanted:
    """Read ``NAME=on`` or ``NAME=off``.

    Raises:
        ConfigError: it is neither; likewise below.
    """
    arm, _, word = text.partition("=")
    if word not in ("on", "off"):
        raise ConfigError(f"--arm {text}", remedy="write --arm NAME=on or --arm NAME=off")
    return lambda state, plan: changes.switch_arm(state, plan, arm, on=word == "on")


def read_cap(text: str) -> Wanted:
    """Read ``NAME=CALLS``, ``NAME=none`` or ``NAME=settings``."""
    arm, _, word = text.partition("=")
    if word == _SETTINGS:
        return lambda state, plan: changes.reset_cap(state, plan, arm)
    if word != _NONE and not word.isdecimal():
        raise ConfigError(
            f"--cap {text}", remedy="write --cap NAME=20, --cap NAME=none or --cap NAME=settings"
        )
    cap = None if word == _NONE else int(word)
    return lambda state, plan: changes.set_cap(state, plan, arm, cap)


def read_override(text: str, settings: Settings) -> Wanted:
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
        return lambda state, plan: changes.reset_override(state, what)
    dialplans = load_dialplans(settings.dialplans_dir) if what.by is MatchBy.ROUTE else ()
    routes = [dialplan.name for dialplan in dialplans]
    check_target(what, trunks=settings.sip.trunks, routes=routes, place="--override: ")
    return lambda state, plan: changes.set_override(
        state, plan, what, None if arm == _NONE else arm
    )
