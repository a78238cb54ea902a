"""Finds the live call that a request names, if its user may know of the call."""

from typing import Annotated

from fastapi import HTTPException, Path

from bridge.console.access.principal import Principal
from bridge.console.services import Services

CallId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


async def find_live_call(services: Services, principal: Principal, call_id: str) -> dict[str, str]:
    """Return a call's fields.

    Raises:
        HTTPException: 404 for a call that does not exist, or that is none of the asker's (who
            is not told which); 409 for one that has ended.
    """
    call = await services.calls.call(call_id)
    if call is None or not principal.may_see(call.get("dialplan", "")):
        raise HTTPException(404, "there is no such call")
    if "ended_at" in call:
        raise HTTPException(409, "the call is over")
    return call
