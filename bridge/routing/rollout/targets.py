"""Checks that a rollout's overrides name trunks and dialplans that exist.

A misspelt one would never match, and nobody would see why.
"""

from collections.abc import Collection, Mapping, Sequence

from bridge.config.complaints import suggest
from bridge.config.rollouts import RolloutSettings
from bridge.errors import ConfigError
from bridge.routing.models import Dialplan
from bridge.routing.rollout.flag import MatchBy, Override


def check_overrides(
    rollouts: Mapping[str, RolloutSettings],
    trunks: Collection[str],
    dialplans: Sequence[Dialplan],
) -> None:
    """Check that the settings' overrides name what there is.

    Raises:
        ConfigError: naming the override and what was meant.
    """
    routes = [dialplan.name for dialplan in dialplans]
    for flag, plan in rollouts.items():
        for index, each in enumerate(plan.overrides):
            for pattern in each.patterns:
                place = f"rollouts.{flag}.overrides[{index}]: "
                override = Override(MatchBy(each.by), pattern, each.arm)
                check_target(override, trunks=trunks, routes=routes, place=place)


def check_target(
    override: Override, *, trunks: Collection[str], routes: Collection[str], place: str = ""
) -> None:
    """Check that an override names a trunk or a route that there is; a ``*`` may name several.

    Raises:
        ConfigError: it names none.
    """
    names = {MatchBy.TRUNK: trunks, MatchBy.ROUTE: routes}.get(override.by)
    if names is None or any(override.matches(name) for name in names):
        return
    kind = "trunk" if override.by is MatchBy.TRUNK else "dialplan"
    known = f"known: {', '.join(sorted(names))}" if names else "there is none"
    raise ConfigError(
        f"{place}no {kind} '{override.pattern}' ({known})",
        remedy=suggest(override.pattern, names) or f"name a {kind} that exists",
    )
