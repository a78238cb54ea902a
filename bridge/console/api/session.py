"""`/api/v1/session`: who is signed in."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission, Role

router = APIRouter(prefix="/session", tags=["session"])


class SessionView(BaseModel):
    """Who is signed in.

    Attributes:
        csrf_token: for the header ``X-CSRF-Token`` of whatever changes something.
    """

    user: str
    roles: list[Role]
    routes: list[str]
    permissions: list[Permission]
    csrf_token: str

    @classmethod
    def of(cls, principal: Principal) -> "SessionView":
        """Show a principal."""
        return cls(
            user=principal.user,
            roles=sorted(principal.roles),
            routes=list(principal.routes),
            permissions=sorted(principal.permissions),
            csrf_token=principal.csrf_token,
        )


@router.get("")
async def get_session(principal: Annotated[Principal, Depends(Allowed(None))]) -> SessionView:
    """Return who is signed in and what he may do."""
    return SessionView.of(principal)
