"""The door of every route: `Allowed("monitor")` for the API, `PageAllowed("monitor")` for pages.

    async def listen(principal: Annotated[Principal, Depends(Allowed("monitor"))]) -> ...

Who is not signed in gets 401 (a page sends him to `/login`), who may not 403. Whatever changes
something must carry the session's CSRF token in ``X-CSRF-Token``, and a WebSocket must come from a
page of ours.
"""

import asyncio
import hmac
from collections.abc import Sequence

from fastapi import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Scope

from bridge.console.access.accounts import known_roles
from bridge.console.access.cookies import session_token
from bridge.console.access.origin import is_foreign, is_from_our_page
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import ConsoleServices, services_of
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

    def __init__(self, principal: Principal, permission: Permission | None) -> None:
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

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Return who asks.

        Raises:
            HTTPException: 401 or 403.
        """
        principal = await self._let_in(connection)
        if not await self.allows(principal, connection):
            raise self._refusal(principal)
        connection.scope["bridge.allowed"] = (self, principal)
        return principal

    async def allows(self, principal: Principal, connection: HTTPConnection) -> bool:
        """Return whether somebody may do this now; streams are asked for again and again."""
        if self.permission is None:
            return True
        return any(principal.may(each) for each in (self.permission, *self.others))

    def _refusal(self, principal: Principal) -> Exception:
        return HTTPException(403, f"your roles don't allow this: it needs {self.permission}")

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


class AllowedOrHolding(Allowed):
    """The same for one call's audio: who has accepted its caller out of the queue has it, too.

    Args:
        permission: what the route needs of everybody else.
        waits_s: between further looks: a hold that a node has just noted is in Redis a moment
            later.
    """

    def __init__(self, permission: Permission | str, waits_s: Sequence[float] = ()) -> None:
        super().__init__(permission)
        self._waits_s = waits_s

    async def allows(self, principal: Principal, connection: HTTPConnection) -> bool:
        """Return whether a role allows it, or the call is theirs."""
        if await super().allows(principal, connection):
            return True
        if not principal.may(Permission.QUEUE_ACCEPT):
            return False
        services, call_id = services_of(connection), str(connection.path_params["call_id"])
        for wait_s in self._waits_s:
            if await self._holds(services, principal, call_id):
                return True
            await asyncio.sleep(wait_s)
        return await self._holds(services, principal, call_id)

    async def _holds(self, services: ConsoleServices, principal: Principal, call_id: str) -> bool:
        call = await services.calls.call(call_id) or {}
        return (
            call.get("held_by") == principal.user
            and "ended_at" not in call
            and principal.may_see(call.get("dialplan", ""))
        )


class PageAllowed(Allowed):
    """The same for a page: it leads to `/login`, or explains that a right is missing."""

    def _refusal(self, principal: Principal) -> Exception:
        return PageRefused(principal, self.permission)

    async def _let_in(self, connection: HTTPConnection) -> Principal:
        principal = await find_principal(connection)
        if principal is None:
            raise SignInNeeded
        return principal


def require_private(principal: Principal, *, wanted: bool) -> None:
    """Refuse who wants to listen unseen by other supervisors, and may not.

    Raises:
        HTTPException: 403. They are not made to listen openly instead, which they don't want.
    """
    if wanted and not principal.may(Permission.MONITOR_PRIVATE):
        needed = Permission.MONITOR_PRIVATE
        raise HTTPException(403, f"your roles don't allow this: it needs {needed}")


async def find_principal(connection: HTTPConnection) -> Principal | None:
    """Return who is signed in, if anybody is."""
    token = session_token(connection)
    if not token:
        return None
    services = services_of(connection)
    session = await services.sessions.find(token, services.now_ms)
    if session is None:
        return None
    return await _principal(services, session.user, address_of(connection), session)


async def still_allowed(scope: Scope) -> bool:
    """Return whether what was let in once would be let in now (:mod:`bridge.console.streams`)."""
    allowed, was = scope.get("bridge.allowed", (None, None))
    if not isinstance(allowed, Allowed) or not isinstance(was, Principal):
        return True  # a stream for everybody
    services: ConsoleServices = scope["app"].state.services
    session = await services.sessions.use(was.session_id, services.now_ms)
    now = (
        None if session is None else await _principal(services, session.user, was.address, session)
    )
    if now is None or now.routes != was.routes:
        return False
    return await allowed.allows(now, HTTPConnection(scope))


def address_of(connection: HTTPConnection) -> str:
    """Return where a request comes from; a trusted proxy's word counts (uvicorn has seen to it)."""
    return "" if connection.client is None else connection.client.host


async def find_caller(services: ConsoleServices, user: str, address: str) -> Principal | None:
    """Return a user who calls in by phone: with no session, so they can change nothing here."""
    return await _principal(services, user, address)


async def _principal(
    services: ConsoleServices, name: str, address: str, session: Session | None = None
) -> Principal | None:
    user = await services.users.get(name)
    if user is None or user.disabled:
        return None
    return Principal(
        user=user.name,
        roles=known_roles(user.roles),
        routes=user.routes,
        session_id="" if session is None else session.session_id,
        csrf_token="" if session is None else session.csrf_token,
        address=address,
    )
