"""`/api/v1/queue`, `/wallboard`, `/trends`: callers that wait for a person, and calls' figures."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.actions import ActionResult, IdempotencyKey, act
from bridge.console.api.visible import CallId
from bridge.console.live_row import HIDEABLE, hidden_from
from bridge.console.services import ConsoleServices, Using
from bridge.console.tally import (
    HOUR_MS,
    TREND_HOURS,
    by_hour,
    by_route,
    shift_hours,
    wallboard_figures,
)
from bridge.routing.supervisor_verbs import AcceptOrder, HandBackOrder

router = APIRouter(tags=["queue"])

Json = dict[str, Any]  # Any: JSON of rows and figures
Accepter = Annotated[Principal, Depends(Allowed(Permission.QUEUE_ACCEPT))]

_WAITS = frozenset({"transferring", "handoff"})


@router.get("/queue")
async def get_queue(
    principal: Annotated[Principal, Depends(Allowed(Permission.QUEUE_VIEW))], services: Using
) -> Json:
    """Return the callers who wait for a person, who waits longest first, and the queue's figures.

    ``yours``: calls whose caller the asker has, so that a page that was loaded anew finds them.
    The summary that the model wrote is for who may accept, or may read transcripts.
    """
    rows = await services.live.rows(principal.may_see, hidden=hidden_from(principal))
    waiting = [row for row in rows if row["state"] in _WAITS]
    waiting.sort(key=lambda row: int(str(row.get("waiting_since_at", services.now_ms))))
    return {
        "at_ms": services.now_ms,
        "waiting": waiting,
        "yours": [row for row in rows if row.get("held_by") == principal.user],
        "figures": await _hour(principal, services),
    }


@router.get("/wallboard")
async def get_wallboard(
    principal: Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW))], services: Using
) -> Json:
    """Return the figures of a wallboard: of now, and shares of the last hour (0 to 1).

    ``hours`` has those of each of the last eight hours, the oldest first, of the calls that began
    in it and are over; None where an hour has nothing that a share could be of.
    """
    now_ms = services.now_ms
    ended = await services.history.ended_since(now_ms - TREND_HOURS * HOUR_MS, principal.may_see)
    return {
        "at_ms": now_ms,
        **await _hour(principal, services),
        "hours": shift_hours(ended, now_ms),
    }


@router.post("/queue/{call_id}/accept")
async def accept_caller(
    call_id: CallId,
    principal: Accepter,
    services: Using,
    order: AcceptOrder | None = None,
    idempotency_key: IdempotencyKey = None,
) -> ActionResult:
    """Be the person that a waiting caller is handed over to; whoever was called is let go.

    The answer has ``target`` and ``summary``: what the caller wants, to be read before speaking.
    Refused: ``held_by`` (somebody was faster), ``refer_sent`` and ``refer_accepted`` (the far end
    moves the caller, which can't be taken back), ``handed_over``, ``not_waiting``.
    """
    return await act(services, principal, call_id, order or AcceptOrder(), idempotency_key)


@router.post("/queue/{call_id}/hand-back")
async def hand_caller_back(
    call_id: CallId,
    principal: Accepter,
    services: Using,
    order: HandBackOrder | None = None,
    idempotency_key: IdempotencyKey = None,
) -> ActionResult:
    """Give a caller whom one has accepted back to the agent; the node refuses all others."""
    return await act(services, principal, call_id, order or HandBackOrder(), idempotency_key)


@router.get("/trends")
async def get_trends(
    principal: Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW))],
    services: Using,
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
    route: Annotated[str, Query(max_length=100)] = "",
) -> Json:
    """Return figures of the last hours, now among them: ``hours``, and by route ``rows``.

    They are of the calls that Redis still keeps, a thousand at most: ``since_at`` is the begin of
    the first hour that is asked for, ``known_since_at`` that of the earliest call that is known,
    null without any. ``route`` leaves the other routes out; ``routes`` has the names of all.
    """
    now_ms = services.now_ms
    since_ms = (now_ms // HOUR_MS - hours + 1) * HOUR_MS
    ended = await services.history.ended_since(since_ms, principal.may_see)
    chosen = [row for row in ended if not route or row.get("dialplan") == route]
    return {
        "at_ms": now_ms,
        "since_at": since_ms,
        "known_since_at": min((row["started_at"] for row in ended), default=None),
        "routes": sorted({str(row.get("dialplan", "")) for row in ended}),
        "hours": by_hour(chosen),
        "rows": by_route(chosen),
    }


async def _hour(principal: Principal, services: ConsoleServices) -> Json:
    now_ms = services.now_ms
    live, ended = await asyncio.gather(
        services.live.rows(principal.may_see, hidden=HIDEABLE),
        services.history.ended_since(now_ms - HOUR_MS, principal.may_see),
    )
    return wallboard_figures(live, ended, now_ms)
