"""The console's pages, HTML around the API, and the way to the identity provider and back."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from bridge.console.access.accounts import AccountError
from bridge.console.access.audit import AuditEntry
from bridge.console.access.door import PageAllowed, address_of
from bridge.console.access.identity import BEGUN_LIFE_S, IdentityProvider, OidcRefusedError
from bridge.console.access.origin import own_origin
from bridge.console.access.principal import Principal
from bridge.console.access.roles import ALLOWED, Permission, UserRole
from bridge.console.api.session import open_session
from bridge.console.headers import is_secure
from bridge.console.screens import OWN, SCREENS, ConsoleScreen
from bridge.console.services import ConsoleServices, Using
from bridge.console.templating import render

router = APIRouter(include_in_schema=False)

_OIDC_PATH = "/login/oidc"
_OIDC_COOKIE = "bridge_oidc"

SignedIn = Annotated[Principal, Depends(PageAllowed(None))]


@router.get("/")
async def get_home(request: Request, principal: SignedIn) -> Response:
    """Go to the first screen that somebody may see."""
    for screen in SCREENS:
        if principal.may(screen.permission):
            return RedirectResponse(screen.path, status_code=303)
    return render(request, "home.html", principal)


@router.get("/history/{call_id}")
async def get_call(
    request: Request,
    call_id: str,
    principal: Annotated[Principal, Depends(PageAllowed(Permission.HISTORY_VIEW))],
) -> HTMLResponse:
    """Show one call that is over; the API answers 404 where there is none."""
    return render(request, "call.html", principal, call_id=call_id)


def _add(screen: ConsoleScreen) -> None:
    allowed = Depends(PageAllowed(screen.permission))

    async def get_screen(request: Request, principal: Principal = allowed) -> HTMLResponse:
        return render(request, screen.template, principal)

    router.add_api_route(screen.path, get_screen, methods=["GET"], name=screen.title)


for _screen in OWN:
    _add(_screen)


@router.get("/login")
async def get_login(request: Request, services: Using) -> HTMLResponse:
    """Show the form to sign in."""
    return render(request, "login.html", provider=services.settings.oidc.name_shown)


@router.get("/welcome")
async def get_welcome(request: Request) -> HTMLResponse:
    """Show the form that accepts an invitation; its token is in the fragment, which isn't sent."""
    return render(request, "welcome.html")


@router.get("/account")
async def get_account(request: Request, principal: SignedIn) -> HTMLResponse:
    """Show one's permissions, and the form to change the password."""
    return render(request, "account.html", principal)


@router.get("/users")
async def get_users(
    request: Request,
    principal: Annotated[Principal, Depends(PageAllowed(Permission.USERS_ADMIN))],
) -> HTMLResponse:
    """Show users and roles."""
    roles, permissions = list(UserRole), list(Permission)
    return render(
        request, "users.html", principal, roles=roles, permissions=permissions, allowed=ALLOWED
    )


@router.get("/audit")
async def get_audit(
    request: Request,
    principal: Annotated[Principal, Depends(PageAllowed(Permission.AUDIT_READ))],
) -> HTMLResponse:
    """Show the audit."""
    return render(request, "audit.html", principal)


def provider_of(services: Using) -> IdentityProvider:
    """Return the identity provider; 404 where there is none."""
    if services.oidc is None:
        raise HTTPException(404, "no identity provider is configured")
    return services.oidc


Provider = Annotated[IdentityProvider, Depends(provider_of)]


@router.get(_OIDC_PATH)
async def begin_oidc(request: Request, services: Using, provider: Provider) -> Response:
    """Send the browser to the identity provider."""
    url, browser = await provider.begin(_callback(request, services))
    response = RedirectResponse(url, status_code=303)
    # Lax: the provider's redirect, which comes from its site, has to bring it back.
    response.set_cookie(
        _OIDC_COOKIE,
        browser,
        max_age=BEGUN_LIFE_S,
        path=_OIDC_PATH,
        secure=is_secure(request.scope),
        httponly=True,
        samesite="lax",
    )
    return response


@router.get(f"{_OIDC_PATH}/callback")
async def finish_oidc(request: Request, services: Using, provider: Provider) -> Response:
    """Sign in the user who comes back from the identity provider."""
    address = address_of(request)
    try:
        identity = await provider.finish(
            request.query_params, request.cookies.get(_OIDC_COOKIE), _callback(request, services)
        )
        user = await services.accounts.signed_in_elsewhere(
            identity.subject, identity.name, identity.roles, provider.settings.routes, address
        )
    except (OidcRefusedError, AccountError) as error:
        refused = AuditEntry("", "login", address=address, params={"via": "oidc"}, result="refused")
        await services.auditor.write(refused)
        return render(request, "refused.html", status_code=403, why=str(error))
    # A page, not a redirect: a strict cookie does not go along with what another site began.
    response = render(request, "signed_in.html")
    await open_session(user, "oidc", request, response, services)
    response.delete_cookie(_OIDC_COOKIE, path=_OIDC_PATH)
    return response


def _callback(request: Request, services: ConsoleServices) -> str:
    return f"{own_origin(request, services.settings)}{_OIDC_PATH}/callback"
