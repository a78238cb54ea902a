"""What each call connects with: a dialplan's arm, or the one that its flag chooses.

Every combination is made at the start, so that nothing can be wrong with one when a call comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from bridge.app.arms import make_route
from bridge.app.rollout_caller import Caller
from bridge.app.rollouts import Rollouts
from bridge.config.models import ModelTable
from bridge.config.settings import Settings
from bridge.live.services import Arm, Dealt, Route
from bridge.routing.models import Dialplan
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.verstat import read_verstat
from bridge.telephony.leg import Leg

NO_ARM = "none"
"""The arm, in records and metrics, of a call that no AI takes."""


class Routes:
    """The routes of one gateway.

    Args:
        settings: arms and rollouts.
        dialplans: their arms and flags are in the settings.
        arms: by name.
        secrets: of tools, by environment variable.

    Raises:
        ConfigError: a model of an arm lacks a dialplan's voice, and none may be chosen instead.
    """

    def __init__(
        self,
        settings: Settings,
        dialplans: Sequence[Dialplan],
        arms: Mapping[str, Arm],
        table: ModelTable,
        today: date,
        secrets: Mapping[str, str],
    ) -> None:
        self._routes = {
            (plan.name, name): make_route(
                plan, arms[name], settings.arms[name], table, today, secrets
            )
            for plan in dialplans
            for name in arms_of(settings, plan)
        }

    @property
    def all(self) -> Sequence[Route]:
        """Every route."""
        return list(self._routes.values())

    def choose(
        self, dialplan: Dialplan, leg: Leg, rollouts: Rollouts | None, active: Mapping[str, int]
    ) -> Route:
        """Choose for one call, for its whole life.

        Args:
            rollouts: the flags; None where the settings have none.
            active: calls of each arm here, now.
        """
        route = self._choose(dialplan, leg, rollouts, active)
        return replace(route, verstat=read_verstat(leg.headers))

    def _choose(
        self, dialplan: Dialplan, leg: Leg, rollouts: Rollouts | None, active: Mapping[str, int]
    ) -> Route:
        if dialplan.arm is not None:
            return self._routes[dialplan.name, dialplan.arm]
        if dialplan.rollout is None or rollouts is None:
            raise AssertionError("a dialplan has an arm or a flag that is in the settings")
        return self._deal(dialplan, dialplan.rollout, leg, rollouts, active)

    def _deal(
        self,
        dialplan: Dialplan,
        flag: str,
        leg: Leg,
        rollouts: Rollouts,
        active: Mapping[str, int],
    ) -> Route:
        caller = Caller(leg.from_uri, leg.called, leg.sip_call_id, leg.source, leg.headers)
        decision, key = rollouts.decide(flag, caller, dialplan.name, active)

        def ended(entry: CallEntry) -> None:
            rollouts.ended(flag, entry)

        plan = rollouts.plan(flag)
        dealt = Dealt(decision, key, plan, ended)
        if decision.arm is None:
            control = self._routes[dialplan.name, plan.control]
            nobody = Arm(NO_ARM, control.arm.dialect, ())
            return replace(control, arm=nobody, choices=(), dealt=dealt)
        other = rollouts.rescuer(flag, decision.arm)
        return replace(
            self._routes[dialplan.name, decision.arm],
            dealt=dealt,
            rescuer=None if other is None else self._routes[dialplan.name, other],
        )


def arms_of(settings: Settings, dialplan: Dialplan) -> tuple[str, ...]:
    """Return the arms that a dialplan's calls may get."""
    if dialplan.rollout is not None:
        return settings.rollouts[dialplan.rollout].arms
    return () if dialplan.arm is None else (dialplan.arm,)
