"""`/api/v1/presence`: the state of people who take callers: available, on a call, away."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from bridge.console.access.accounts import known_roles
from bridge.console.access.audit import AuditEntry
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission, permissions_of
from bridge.console.live_row import SUMMARY, Row, watched_by
from bridge.console.services import ConsoleServices, Using

router = APIRouter(prefix="/presence", tags=["queue"])


AWAY_AFTER_S = 120
"""A page that is open asks for something every few seconds."""


class PresenceWish(BaseModel):
    """The state that a user gives to themselves."""

    state: Literal["available", "away"]


class Watched(BaseModel):
    """A call that somebody watches.

    Attributes:
        does: ``listens``, ``whispers``, ``shows`` (a picture) or ``says``.
        since_at: ms since the Unix epoch; None where its node has not said so.
    """

    call_id: str
    does: str
    since_at: int | None


class PresentPerson(BaseModel):
    """A person who is signed in and may take callers.

    Attributes:
        roles: what they may do, by name.
        state: ``on_call``: has a caller, or talks in a call; ``away``: says so, or has no page
            open; else ``available``.
        since_at: begin of that state, ms since the Unix epoch; None for ``available``.
        call_id: the call that they have; None where there is none, or it is of a route that does
            not concern the asker.
        watches: calls that they watch, of routes that concern the asker, but for those to which
            they listen privately.
        idle_s: for how long no page of theirs has asked for anything.
    """

    user: str
    roles: list[str]
    state: Literal["available", "on_call", "away"]
    since_at: int | None
    call_id: str | None
    watches: list[Watched]
    idle_s: int


class People(BaseModel):
    """Those who are signed in and may take callers, by name; ``at_ms`` is now."""

    at_ms: int
    people: list[PresentPerson]


@router.get("")
async def get_presence(
    principal: Annotated[Principal, Depends(Allowed(Permission.MONITOR))], services: Using
) -> People:
    """Return who is signed in of those who may take callers out of the queue, and where."""
    roster = await services.users.roster()
    takes = {
        name: user
        for name, user in sorted(roster.users.items())
        if not user.disabled and Permission.QUEUE_ACCEPT in permissions_of(known_roles(user.roles))
    }
    idle_s = await services.presence.idle_s(tuple(takes))
    away_since = await services.presence.away()
    rows = await services.live.rows(lambda route: True, hidden=frozenset({SUMMARY}))
    return People(
        at_ms=services.now_ms,
        people=[
            PresentPerson(
                user=name,
                roles=list(user.roles),
                watches=_watches(name, rows, principal),
                idle_s=idle_s[name],
                **_state(name, rows, principal, away_since.get(name), idle_s[name], services),
            )
            for name, user in takes.items()
            if name in idle_s
        ],
    )


def _state(
    name: str,
    rows: Sequence[Row],
    principal: Principal,
    away_since_ms: int | None,
    idle_s: int,
    services: ConsoleServices,
) -> dict[str, Any]:  # Any: fields of Present
    """Return what somebody does, and since when."""
    held = next((row for row in rows if row.get("held_by") == name), None)
    if held is not None:
        seen = principal.may_see(str(held.get("dialplan", "")))
        call_id = held["call_id"] if seen else None
        return {"state": "on_call", "since_at": held.get("state_since_at"), "call_id": call_id}
    if away_since_ms is None and idle_s > AWAY_AFTER_S:
        away_since_ms = services.now_ms - 1000 * idle_s
    state = "available" if away_since_ms is None else "away"
    return {"state": state, "since_at": away_since_ms, "call_id": None}


def _watches(name: str, rows: Sequence[Row], principal: Principal) -> list[Watched]:
    return [
        Watched(call_id=str(row["call_id"]), does=each["does"], since_at=each.get("since_at"))
        for row in rows
        if principal.may_see(str(row.get("dialplan", "")))
        for each in watched_by(row)
        if each["by"] == name
    ]


@router.put("")
async def say_presence(
    wish: PresenceWish,
    principal: Annotated[Principal, Depends(Allowed(Permission.QUEUE_ACCEPT))],
    services: Using,
) -> PresenceWish:
    """Say of oneself that one is away, or available again."""
    since_ms = services.now_ms if wish.state == "away" else None
    await services.presence.set_away(principal.user, since_ms)
    await services.auditor.write(AuditEntry.by(principal, "presence", params={"state": wish.state}))
    return wish
