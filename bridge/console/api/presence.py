"""`/api/v1/presence`: who of those who take callers is there, on a call, or away."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from bridge.console.access.accounts import known_roles
from bridge.console.access.audit import Entry
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission, permissions_of
from bridge.console.live_row import HIDEABLE
from bridge.console.services import Services, services_of

router = APIRouter(prefix="/presence", tags=["queue"])

Here = Annotated[Services, Depends(services_of)]

AWAY_AFTER_S = 120
"""A page that is open asks for something every few seconds."""


class PresenceWish(BaseModel):
    """What one says of oneself."""

    state: Literal["available", "away"]


class Present(BaseModel):
    """One person.

    Attributes:
        state: ``on_call``: has a caller, or talks in a call; ``away``: says so, or has no page
            open; else ``available``.
        call_id: the call that they have; None where there is none, or it is of a route that does
            not concern the asker.
        idle_s: for how long no page of theirs has asked for anything.
    """

    user: str
    state: Literal["available", "on_call", "away"]
    call_id: str | None
    idle_s: int


class People(BaseModel):
    """Who is signed in and may take callers, by name."""

    people: list[Present]


@router.get("")
async def get_presence(
    principal: Annotated[Principal, Depends(Allowed(Permission.MONITOR))], services: Here
) -> People:
    """Return who is signed in of those who may take callers out of the queue, and where."""
    roster = await services.users.roster()
    names = sorted(
        name
        for name, user in roster.users.items()
        if not user.disabled and Permission.QUEUE_ACCEPT in permissions_of(known_roles(user.roles))
    )
    idle_s = await services.presence.idle_s(names)
    away = await services.presence.away()
    rows = await services.live.rows(lambda route: True, hidden=HIDEABLE)
    holding: dict[str, Any] = {  # Any: of JSON rows
        str(row["held_by"]): row for row in rows if row.get("held_by")
    }
    people = []
    for name in names:
        if name not in idle_s:
            continue
        row = holding.get(name)
        is_away = name in away or idle_s[name] > AWAY_AFTER_S
        seen = row is not None and principal.may_see(str(row.get("dialplan", "")))
        people.append(
            Present(
                user=name,
                state="on_call" if row is not None else "away" if is_away else "available",
                call_id=str(row["call_id"]) if row is not None and seen else None,
                idle_s=idle_s[name],
            )
        )
    return People(people=people)


@router.put("")
async def say_presence(
    wish: PresenceWish,
    principal: Annotated[Principal, Depends(Allowed(Permission.QUEUE_ACCEPT))],
    services: Here,
) -> PresenceWish:
    """Say of oneself that one is away, or available again."""
    await services.presence.set_away(principal.user, away=wish.state == "away")
    await services.auditor.write(Entry.by(principal, "presence", params={"state": wish.state}))
    return wish
