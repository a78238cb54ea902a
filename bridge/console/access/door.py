"""The door of every route: `Allowed("monitor")` for the API, `PageAllowed("monitor")` for pages.

    async def listen(principal: Annotated[Principal, Depends(Allowed("monitor"))]) -> ...

Who is not signed in gets 401 (a page sends him to `/login`), who may not 403. Whatever changes
something must carry the session's CSRF token in ``X-CSRF-Token``, and a WebSocket must come from a
page of ours.
"""

import hmac

from fastapi import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Scope

from bridge.console.access.accounts import known_roles
from bridge.console.access.cookies import session_token
from bridge.console.access.origin import is_foreign, is_from_our_page
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import Services, services_of
from bridge.store.sessions import Session

CSRF_HEADER = "X-CSRF-Token"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class SignInNeeded(Exception):
    """A page is only for who is signed in."""


class PageRefused(Exception):
    """A page is not for one of somebody's roles.

    Args:
        principal: who asked for it.
        permission: what it needs.
    """

    def __init__(self, principal: Principal, permission: Permission) -> None:
        super().__init__(f"your roles don't allow this: it needs {permission}")
        self.principal = principal


class Allowed:
    """A dependency of a route of the API: who asks, if he may.

    Args:
        permission: what the route needs; None for anybody who is signed in.
        others: each of which will do as well.
    """

    def __init__(self, permission: Permission | str | None, *others: Permission | str) -> None:
        self.permission = None if permission is None else Permission(permission)
        self.others = tuple(map(Permission, others))

    def lets_in(self, principal: Principal) -> bool:
        """Return whether one of his roles allows this."""
        if self.permission is None:
            return True
        return any(principal.may(each) for each in (self.permission, *self.others))

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Return who asks.

        Raises:
            HTTPException: 401 or 403.
        """
        principal = await self._let_in(connection)
        if self.permission is not None and not self.lets_in(principal):
            raise self._refusal(principal, self.permission)
        connection.scope["bridge.allowed"] = (self, principal)
        return principal

    def _refusal(self, principal: Principal, permission: Permission) -> Exception:
        return HTTPException(403, f"your roles don't allow this: it needs {permission}")

    async def _let_in(self, connection: HTTPConnection) -> Principal:
        services = services_of(connection)
        if connection.scope["type"] == "websocket":
            if not is_from_our_page(connection, services.settings):
                raise HTTPException(403, "a WebSocket is for the console's own pages")
        elif is_foreign(connection, services.settings):
            raise HTTPException(403, "the request comes from another site's page")
        principal = await find_principal(connection)
        if principal is None:
            raise HTTPException(401, "nobody is signed in, or the sign-in is over")
        if connection.scope.get("method", "GET") not in _SAFE_METHODS:
            sent = connection.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(sent.encode(), principal.csrf_token.encode()):
                raise HTTPException(403, f"the header {CSRF_HEADER} is missing or wrong")
        return principal


class PageAllowed(Allowed):
    """The same for a page: who is not signed in is sent to `/login`, who may not is told so."""

    def _refusal(self, principal: Principal, permission: Permission) -> Exception:
        return PageRefused(principal, permission)

    async def _let_in(self, connection: HTTPConnection) -> Principal:
        principal = await find_principal(connection)
        if principal is None:
            raise SignInNeeded
        return principal


async def find_principal(connection: HTTPConnection) -> Principal | None:
    """Return who is signed in, if anybody is."""
    token = session_token(connection)
    if not token:
        return None
    services = services_of(connection)
    session = await services.sessions.find(token, services.now_ms)
    return None if session is None else await _principal(services, session, address_of(connection))


async def still_allowed(scope: Scope) -> bool:
    """Return whether what was let in once would be let in now (:mod:`bridge.console.streams`)."""
    allowed, was = scope.get("bridge.allowed", (None, None))
    if not isinstance(allowed, Allowed) or not isinstance(was, Principal):
        return True  # a stream for everybody
    services: Services = scope["app"].state.services
    session = await services.sessions.use(was.session_id, services.now_ms)
    now = None if session is None else await _principal(services, session, was.address)
    return now is not None and now.routes == was.routes and allowed.lets_in(now)


def address_of(connection: HTTPConnection) -> str:
    """Return where a request comes from; a trusted proxy's word counts (uvicorn has seen to it)."""
    return "" if connection.client is None else connection.client.host


async def _principal(services: Services, session: Session, address: str) -> Principal | None:
    user = await services.users.get(session.user)
    if user is None or user.disabled:
        return None
    return Principal(
        user=user.name,
        roles=known_roles(user.roles),
        routes=user.routes,
        session_id=session.session_id,
        csrf_token=session.csrf_token,
        address=address,
    )
