"""`/api/v1/rollouts`: the state of each rollout, and the changes that people make."""

import enum
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from bridge.config.rollouts import RolloutSettings
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.live_row import HIDEABLE
from bridge.console.services import ConsoleServices, Using
from bridge.errors import ConfigError
from bridge.routing.rollout import changes
from bridge.routing.rollout.state import RolloutState
from bridge.store.rollout_status import calls_by_arm, change_of, rollout_status
from bridge.store.rollouts import Signature

router = APIRouter(prefix="/rollouts", tags=["rollouts"])

Json = dict[str, Any]  # Any: JSON of states and evidence
Viewer = Annotated[Principal, Depends(Allowed(Permission.ROLLOUT_VIEW))]
_SHOWN = 20


class ChangeWish(BaseModel):
    """The parameters of a change of a rollout, beside its name.

    Attributes:
        reason: in the history for ever.
        version: that the change is made from; refused where another is in force by then.
        percent: of ``set``; arm: of ``arm``; on: of ``arm`` and ``ai``; force: of ``rearm``.
    """

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500)
    version: int | None = None
    percent: float = Field(0.0, ge=0, le=100)
    arm: str = ""
    on: bool = True
    force: bool = False


Make = Callable[[RolloutState, RolloutSettings, ChangeWish, int], RolloutState]


class RolloutStep(enum.StrEnum):
    """A change of a rollout."""

    SET = "set"
    PAUSE = "pause"
    RESUME = "resume"
    ROLL_BACK = "rollback"
    REARM = "rearm"


class Switch(enum.StrEnum):
    """A kill switch."""

    ARM = "arm"
    AI = "ai"


_STEPS: Mapping[RolloutStep, Make] = MappingProxyType(
    {
        RolloutStep.SET: lambda state, plan, given, now_ms: changes.set_share(
            state, given.percent, now_ms
        ),
        RolloutStep.PAUSE: lambda state, plan, given, now_ms: changes.pause(state),
        RolloutStep.RESUME: lambda state, plan, given, now_ms: changes.resume(state, plan, now_ms),
        RolloutStep.ROLL_BACK: lambda state, plan, given, now_ms: changes.roll_back(state, now_ms),
        RolloutStep.REARM: lambda state, plan, given, now_ms: changes.rearm(
            state, plan, now_ms, force=given.force
        ),
    }
)
_SWITCHES: Mapping[Switch, Make] = MappingProxyType(
    {
        Switch.ARM: lambda state, plan, given, now_ms: changes.switch_arm(
            state, plan, given.arm, on=given.on
        ),
        Switch.AI: lambda state, plan, given, now_ms: changes.switch_ai(state, on=given.on),
    }
)


@router.get("")
async def list_rollouts(_: Viewer, services: Using) -> Json:
    """Return where every rollout stands, with its settings, verdict and latest changes."""
    rows = await services.live.rows(
        lambda route: True, hidden=HIDEABLE
    )  # counts alone: nothing of any call
    now_ms = services.now_ms
    plans = services.sources.rollouts
    found = await rollout_status(services.rollouts, plans, calls_by_arm(rows), now_ms, _SHOWN)
    for each in found:
        plan = plans[str(each["flag"])]
        each["settings"] = plan.model_dump(mode="json")
    return {"at_ms": now_ms, "rollouts": found}


@router.get("/{flag}/history")
async def get_history(
    flag: str, _: Viewer, services: Using, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Json:
    """Return a rollout's changes, the latest first, with their evidence."""
    _plan(services, flag)
    entries = await services.rollouts.history(flag, limit)
    return {"changes": [change_of(fields) for _, fields in entries]}


@router.post("/{flag}/steps/{step}")
async def take_step(
    flag: str,
    step: RolloutStep,
    given: ChangeWish,
    principal: Annotated[Principal, Depends(Allowed(Permission.ROLLOUT_CHANGE))],
    services: Using,
) -> Json:
    """Set the share, pause, resume, roll back, or arm again."""
    return await _change(flag, _STEPS[step], given, principal, services)


@router.post("/{flag}/switches/{switch}")
async def use_switch(
    flag: str,
    switch: Switch,
    given: ChangeWish,
    principal: Annotated[Principal, Depends(Allowed(Permission.KILL))],
    services: Using,
) -> Json:
    """Use the kill switch of an arm, or of the AI as a whole."""
    return await _change(flag, _SWITCHES[switch], given, principal, services)


async def _change(
    flag: str, make: Make, given: ChangeWish, principal: Principal, services: ConsoleServices
) -> Json:
    plan, now_ms = _plan(services, flag), services.now_ms

    def change(state: RolloutState) -> RolloutState:
        if given.version is not None and state.version != given.version:
            raise HTTPException(409, "it was changed meanwhile: look again")
        return make(state, plan, given, now_ms)

    signature = Signature(
        principal.user, given.reason, roles=sorted(principal.roles), address=principal.address
    )
    try:
        changed = await services.rollouts.change(flag, change, signature, now_ms)
    except ConfigError as error:
        raise HTTPException(409, str(error)) from error
    assert changed is not None  # a person's change is never empty
    return {"version": changed[1].version, "action": changed[1].action}


def _plan(services: ConsoleServices, flag: str) -> RolloutSettings:
    plan = services.sources.rollouts.get(flag)
    if plan is None:
        raise HTTPException(404, "no such rollout")
    return plan
