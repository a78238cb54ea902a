"""The dialplans in force, and what each of them means for a call: replaced as a whole.

A call keeps the route that it got at its INVITE, whatever is put in force after.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from bridge.app.arms import make_route, resolve_tool_secrets
from bridge.clock import NS_PER_S, Clock
from bridge.config.models import ModelTable
from bridge.config.settings import ArmSettings, Settings
from bridge.live.call import CallRunner
from bridge.live.services import Arm, Route
from bridge.routing.matching import check_arms, check_trunks, load_dialplans, match
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode, mode_of
from bridge.routing.rules import IncomingCall, incoming_call
from bridge.routing.verstat import read_verstat
from bridge.telephony.leg import Leg


@dataclass(frozen=True, slots=True)
class Dialplans:
    """Dialplans that fit the settings and the environment.

    Attributes:
        plans: in matching order.
        secrets: environment variables that their tools name, and their values.
    """

    plans: tuple[Dialplan, ...]
    secrets: Mapping[str, str]


def read_dialplans(settings: Settings, environ: Mapping[str, str]) -> Dialplans:
    """Read the dialplans' directory. Blocks.

    Raises:
        ConfigError: a bad file, or one that names an arm, a trunk or a secret that is not there.
    """
    plans = load_dialplans(settings.dialplans_dir)
    check_arms(plans, settings.arms)
    check_trunks(plans, settings.sip.trunks)
    return Dialplans(plans, resolve_tool_secrets(plans, environ))


class Plans:
    """Finds the route of a call.

    Args:
        dialplans: in matching order, with the secrets of their tools.
        arms, settings: of every arm that they name.
        table: of models; ``today``: to compare their ends with.

    Raises:
        ConfigError: an arm's model lacks a dialplan's voice.
    """

    def __init__(
        self,
        dialplans: Dialplans,
        arms: Mapping[str, Arm],
        settings: Mapping[str, ArmSettings],
        table: ModelTable,
        today: date,
    ) -> None:
        self.dialplans = dialplans.plans
        routes = [
            make_route(plan, arms[plan.arm], settings[plan.arm], table, today, dialplans.secrets)
            for plan in dialplans.plans
        ]
        self._routes = {
            route.dialplan.name: {mode: route.during(mode) for mode in Mode} for route in routes
        }

    @property
    def routes(self) -> Sequence[Route]:
        """The routes of calls on lines that are open and not full, in matching order."""
        return [modes[Mode.OPEN] for modes in self._routes.values()]

    def route(self, call: IncomingCall, running: Collection[CallRunner]) -> Route | None:
        """Return the route of a new call; None where no dialplan takes it.

        Args:
            call: at its INVITE.
            running: calls that are here already.
        """
        dialplan = match(self.dialplans, call)
        if dialplan is None:
            return None
        held = sum(
            runner.route.has_agent and runner.route.dialplan.name == dialplan.name
            for runner in running
        )
        route = self._routes[dialplan.name][mode_of(dialplan, call.at, held)]
        return replace(route, verstat=call.stir)


def describe(leg: Leg, settings: Settings, clock: Clock) -> IncomingCall:
    """Say what dialplans may look at in a leg's INVITE."""
    return incoming_call(
        leg.called,
        datetime.fromtimestamp(clock.wall_ns() / NS_PER_S, UTC),
        caller=leg.from_uri,
        headers=leg.headers,
        trunk=settings.sip.trunk_of(leg.source),
        stir=read_verstat(leg.headers),
    )
