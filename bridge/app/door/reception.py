"""Receives the calls of one node: each INVITE gets a route and a runner, or is refused."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from bridge.app.dialplans.in_force import DialplansInForce
from bridge.app.dialplans.plans import describe
from bridge.app.door.intake import (
    LINE_FULL,
    LOOP,
    NO_ROUTE,
    TOO_MANY_HOPS,
    Intake,
    InviteRefused,
)
from bridge.app.rollouts.in_force import Rollouts
from bridge.config.sip import SipSettings
from bridge.errors import Fault, Outcome
from bridge.live.call import CallRunner
from bridge.live.handoff import left_a_bridge
from bridge.live.services import Services
from bridge.routing.modes import Mode
from bridge.telemetry.metrics.calls import CallMetrics
from bridge.telephony.leg import Leg
from bridge.telephony.max_forwards import hops_onward

log = structlog.get_logger(__name__)


class Reception:
    """Takes the calls of one node.

    Args:
        sip: returns the settings of the trunks in force.
        now: returns the time of day.
        intake: says whether there is room.
        dialplans: give a call its route.
        rollouts: returns the flags in force; None where there are none.
        metrics: counts what is refused.

    Attributes:
        calls: those that go on, and those whose record is being finished, each with its task.
        services: what they share; None while none can be taken yet.
    """

    def __init__(
        self,
        sip: Callable[[], SipSettings],
        now: Callable[[], datetime],
        intake: Intake,
        dialplans: DialplansInForce,
        rollouts: Callable[[], Rollouts | None],
        metrics: CallMetrics,
    ) -> None:
        self.calls: dict[CallRunner, asyncio.Task[object]] = {}
        self.services: Services | None = None
        self._sip = sip
        self._now = now
        self._intake = intake
        self._dialplans = dialplans
        self._rollouts = rollouts
        self._metrics = metrics

    @property
    def going_on(self) -> list[CallRunner]:
        """The calls that have a line and an arm: those that have ended hold neither."""
        return [runner for runner in self.calls if not runner.is_over]

    def refusal(self, method: str) -> str | None:
        """Return why the door refuses. Redis being away is no reason: calls don't need it."""
        closed = self._intake.closed()
        if closed is None:
            return None
        if method == "INVITE":
            self._metrics.refused(
                outcome=Outcome.REJECTED_BUSY, reason=closed.label, fault=Fault.BRIDGE
            )
            log.warning("call_refused", reason=closed.label)
        return closed.phrase

    def take(self, leg: Leg) -> None:
        """Run a call from its INVITE on, or refuse it."""
        call = describe(leg, self._sip(), self._now())
        services = self.services
        plans = self._dialplans.plans
        route = None if services is None else plans.route(call, self.going_on, self._rollouts())
        if route is None or services is None:
            self._refuse(leg, NO_ROUTE)
            return
        if route.arm.agent is not None and hops_onward(leg.headers) < 0:
            self._refuse(leg, TOO_MANY_HOPS)
            return
        if left_a_bridge(leg.headers):
            if route.arm.agent is not None:
                self._refuse(leg, LOOP)
                return
            route = route.staying_here()
        limits = route.dialplan.limits
        if route.mode is Mode.FULL and limits.busy is None:
            self._refuse(leg, LINE_FULL, {"Retry-After": str(limits.retry_after_s)})
            return
        runner = CallRunner(leg, route, services)
        task = asyncio.get_running_loop().create_task(runner.run(), name=f"call-{leg.call_id}")
        self.calls[runner] = task
        task.add_done_callback(lambda done: self._call_over(runner, done))

    def shut_down(self) -> None:
        """Ask every call to end."""
        for runner in list(self.calls):
            runner.shut_down()

    async def until_empty(self, timeout_s: float) -> None:
        """Wait until the last call is over, or time runs out."""
        if self.calls:
            await asyncio.wait(self.calls.values(), timeout=timeout_s)

    def _refuse(
        self, leg: Leg, refusal: InviteRefused, headers: Mapping[str, str] | None = None
    ) -> None:
        self._metrics.refused(outcome=refusal.outcome, reason=refusal.reason, fault=refusal.fault)
        log.warning("call_refused", reason=refusal.reason)
        leg.reject(refusal.sip_code, refusal.phrase, headers)

    def _call_over(self, runner: CallRunner, task: asyncio.Task[object]) -> None:
        del self.calls[runner]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("call_task_failed", call_id=runner.record.summary.call_id, exc_info=error)
