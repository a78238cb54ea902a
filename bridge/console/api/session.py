"""`/api/v1/session`: signing in and out, and one's own password."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, Field

from bridge.console.access.accounts import known_roles
from bridge.console.access.audit import Entry
from bridge.console.access.cookies import drop_session_cookie, session_token, set_session_cookie
from bridge.console.access.door import Allowed, address_of
from bridge.console.access.origin import is_foreign
from bridge.console.access.passwords import MAX_LENGTH
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission, Role
from bridge.console.services import Services, services_of
from bridge.console.streams import check_streams
from bridge.store.sessions import Session
from bridge.store.users import User

router = APIRouter(tags=["session"])

SignedIn = Annotated[Principal, Depends(Allowed(None))]
Using = Annotated[Services, Depends(services_of)]
Secret = Annotated[str, Field(max_length=MAX_LENGTH)]


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


class Credentials(BaseModel):
    """Name and password."""

    user: Annotated[str, Field(max_length=64)]
    password: Secret


class NewPassword(BaseModel):
    """One's old password, and the one in its place."""

    old: Secret
    new: Secret


class Invitation(BaseModel):
    """The token of an invitation's link."""

    token: Annotated[str, Field(max_length=64)]


class Acceptance(Invitation):
    """What somebody who is invited sets; the first admin chooses his name as well."""

    user: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]
    password: Secret


class Invited(BaseModel):
    """Whom an invitation is for; empty where he chooses his name."""

    user: str


def from_our_page(request: Request, services: Using) -> None:
    """Refuse what another site's page sends: before the sign-in there is no token to ask for."""
    if is_foreign(request, services.settings):
        raise HTTPException(403, "the request comes from another site's page")


OurPage = Depends(from_our_page)


@router.get("/session")
async def get_session(principal: SignedIn) -> SessionView:
    """Return who is signed in and what he may do."""
    return SessionView.of(principal)


@router.post("/session", dependencies=[OurPage])
async def sign_in(
    given: Credentials, request: Request, response: Response, services: Using
) -> SessionView:
    """Sign in. 401: name or password is wrong; 429: too many tries, see `Retry-After`."""
    address = address_of(request)
    user = await services.sign_in.by_password(given.user, given.password, address)
    return await open_session(user, "password", request, response, services)


@router.delete("/session", status_code=204, dependencies=[Depends(check_streams)])
async def sign_out(
    principal: SignedIn, request: Request, response: Response, services: Using
) -> None:
    """Sign out."""
    session = await services.sessions.use(principal.session_id, services.now_ms)
    await services.auditor.write(Entry.by(principal, "logout"))
    if session is not None:
        await services.sessions.end(session)
    drop_session_cookie(response, request)


@router.post("/session/password", status_code=204, dependencies=[Depends(check_streams)])
async def change_password(principal: SignedIn, given: NewPassword, services: Using) -> None:
    """Change one's own password; one's other sign-ins end."""
    await services.sign_in.by_password(principal.user, given.old, principal.address)
    await services.accounts.set_password(Entry.by(principal, ""), principal.user, given.new)
    await services.sessions.end_all(principal.user, but=principal.session_id)


@router.post("/invitation", dependencies=[OurPage])
async def look_at_invitation(given: Invitation, services: Using) -> Invited:
    """Return whom an invitation is for."""
    return Invited(**await services.accounts.invited(given.token))


@router.post("/invitation/accept", dependencies=[OurPage])
async def accept_invitation(
    given: Acceptance, request: Request, response: Response, services: Using
) -> SessionView:
    """Set the password that an invitation is for, and sign in."""
    address = address_of(request)
    user = await services.accounts.redeem(given.token, given.user, given.password, address)
    return await open_session(user, "invite", request, response, services)


async def open_session(
    user: User, via: str, request: Request, response: Response, services: Services
) -> SessionView:
    """Open a session in the place of the one that this browser may have; set its cookie."""
    address = address_of(request)
    token, session = await services.sign_in.open(
        user, address, via=via, instead_of=session_token(request)
    )
    set_session_cookie(response, request, token, services.settings.session_max_s)
    return SessionView.of(_principal(user, session))


def _principal(user: User, session: Session) -> Principal:
    return Principal(
        user.name,
        known_roles(user.roles),
        user.routes,
        session.session_id,
        session.csrf_token,
        session.address,
    )
