"""The dialplans in force with the policies compiled from them, replaced as a whole.

A call keeps the route that it got at its INVITE, whatever is put in force after.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial

from bridge.app.dialplans.arms import (
    make_route,
    resolve_session_secrets,
    resolve_tool_secrets,
)
from bridge.app.rollouts.in_force import Rollouts
from bridge.config.models import ModelTable
from bridge.config.settings import Settings
from bridge.config.sip import SipSettings
from bridge.live.call import CallRunner
from bridge.live.services import Arm, Dealt, Route
from bridge.routing.matching import check_arms, check_trunks, load_dialplans, match
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode, has_agent, mode_of
from bridge.routing.origin import read_origin
from bridge.routing.rollout.targets import check_overrides
from bridge.routing.rules import IncomingCall, incoming_call
from bridge.routing.session_checks import arms_of, check_sessions
from bridge.routing.sip_arm_checks import check_sip_arms
from bridge.routing.verstat import Verstat, read_verstat
from bridge.telephony.leg import Leg


@dataclass(frozen=True, slots=True)
class Dialplans:
    """Dialplans that fit the settings and the environment.

    Attributes:
        plans: in matching order.
        secrets: environment variables that their tools, and the arms', name, and their values.
    """

    plans: tuple[Dialplan, ...]
    secrets: Mapping[str, str]


def read_dialplans(settings: Settings, environ: Mapping[str, str]) -> Dialplans:
    """Read the dialplans' directory. Blocks.

    Raises:
        ConfigError: a bad file, or one that names an arm, a flag, a trunk or a secret that is not
            there; an override of a rollout that names a dialplan or a trunk that is not; a field
            of a session template that an arm can't be asked for; what no arm by SIP does.
    """
    plans = load_dialplans(settings.dialplans_dir)
    check_arms(plans, settings.arms, settings.rollouts)
    check_trunks(plans, settings.sip.trunks)
    check_overrides(settings.rollouts, settings.sip.trunks, plans)
    check_sessions(plans, settings.realtime_arms, settings.rollouts)
    check_sip_arms(plans, settings.sip_arms)
    secrets = resolve_session_secrets(settings.realtime_arms, environ)
    return Dialplans(plans, secrets | resolve_tool_secrets(plans, environ))


class Plans:
    """Finds the route of a call: its dialplan, how it is treated, and its arm.

    Every combination is made at once, so that nothing can be wrong with one when a call comes.

    Args:
        dialplans: in matching order, with the secrets of their tools.
        arms: by name; ``settings``: of all that dialplans name.
        table: of models; ``today``: to compare their ends with.

    Raises:
        ConfigError: an arm's model lacks a dialplan's voice.
    """

    def __init__(
        self,
        dialplans: Dialplans,
        arms: Mapping[str, Arm],
        settings: Settings,
        table: ModelTable,
        today: date,
    ) -> None:
        self.dialplans = dialplans.plans
        routes = [
            make_route(plan, arms[arm], settings.arms[arm], table, today, dialplans.secrets)
            for plan in dialplans.plans
            for arm in arms_of(plan, settings.rollouts)
        ]
        self._routes = {
            (route.dialplan.name, route.arm.name, mode): route.during(mode)
            for route in routes
            for mode in Mode
        }
        self._first_arm = {
            plan.name: arms_of(plan, settings.rollouts)[0] for plan in dialplans.plans
        }

    @property
    def on_arms(self) -> Sequence[Dialplan]:
        """The dialplans as they are on each of their arms."""
        return [route.dialplan for route in self.routes]

    @property
    def routes(self) -> Sequence[Route]:
        """The routes of calls on lines that are open and not full, in matching order."""
        return [route for (_, _, mode), route in self._routes.items() if mode is Mode.OPEN]

    def route(
        self, call: IncomingCall, running: Collection[CallRunner], rollouts: Rollouts | None
    ) -> Route | None:
        """Return the route of a new call; None where no dialplan takes it.

        Args:
            call: at its INVITE.
            running: calls that are here already.
            rollouts: the flags; None where the settings have none.
        """
        dialplan = match(self.dialplans, call)
        if dialplan is None:
            return None
        held = sum(
            runner.route.has_agent and runner.route.dialplan.name == dialplan.name
            for runner in running
        )
        mode = mode_of(dialplan, call.at, held)
        if dialplan.rollout is None or not has_agent(dialplan, mode):
            route = self._routes[dialplan.name, self._first_arm[dialplan.name], mode]
        elif rollouts is None:
            raise AssertionError("a dialplan's flag is in the settings")
        else:
            route = self._deal(dialplan, dialplan.rollout, mode, call, rollouts)
        origin = read_origin(call.headers, dialplan.keep_headers, dialplan.pass_headers)
        return replace(route, verstat=call.stir, origin=origin)

    def _deal(
        self, dialplan: Dialplan, flag: str, mode: Mode, call: IncomingCall, rollouts: Rollouts
    ) -> Route:
        """Let a flag choose the arm, for the call's whole life."""
        name, plan = dialplan.name, rollouts.plan(flag)
        decision, caller = rollouts.decide(flag, call, name)
        dealt = Dealt(decision, caller, plan, partial(rollouts.ended, flag))
        if decision.arm is None:
            return replace(self._routes[name, plan.control, Mode.AI_OFF], dealt=dealt)
        route = self._routes[name, decision.arm, mode]
        other = rollouts.rescuer(flag, decision.arm)
        return replace(
            route,
            dealt=replace(dealt, digest=route.arm.digest),
            rescuer=None if other is None else self._routes[name, other, mode],
        )


def describe(leg: Leg, sip: SipSettings, at: datetime) -> IncomingCall:
    """Return what dialplans may look at in a leg's INVITE, which came at a moment."""
    trunk = leg.trunk
    headers = sip.believed(leg.headers, trunk)
    return incoming_call(
        leg.called,
        at,
        caller=leg.from_uri,
        headers=headers,
        trunk=trunk,
        stir=read_verstat(headers) if sip.believes_verstat(trunk) else Verstat.NONE,
        sip_call_id=leg.sip_call_id,
    )
