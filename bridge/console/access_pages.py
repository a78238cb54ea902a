"""Pages about people: signing in, invitations, one's account, users, the audit."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from bridge.console.access.door import PageAllowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import ALLOWED, Permission, Role
from bridge.console.services import Services, services_of
from bridge.console.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def get_login(
    request: Request, services: Annotated[Services, Depends(services_of)]
) -> HTMLResponse:
    """Show where to sign in."""
    return render(request, "login.html", provider=services.settings.oidc.name_shown)


@router.get("/welcome")
async def get_welcome(request: Request) -> HTMLResponse:
    """Show where an invitation is accepted; its token stands in the fragment, which isn't sent."""
    return render(request, "welcome.html")


@router.get("/account")
async def get_account(
    request: Request, principal: Annotated[Principal, Depends(PageAllowed(None))]
) -> HTMLResponse:
    """Show what one may do, and where one changes the password."""
    return render(request, "account.html", principal)


@router.get("/users")
async def get_users(
    request: Request,
    principal: Annotated[Principal, Depends(PageAllowed(Permission.USERS_ADMIN))],
) -> HTMLResponse:
    """Show users and roles."""
    roles, permissions = list(Role), list(Permission)
    return render(
        request, "users.html", principal, roles=roles, permissions=permissions, allowed=ALLOWED
    )


@router.get("/audit")
async def get_audit(
    request: Request,
    principal: Annotated[Principal, Depends(PageAllowed(Permission.AUDIT_READ))],
) -> HTMLResponse:
    """Show who did what."""
    return render(request, "audit.html", principal)
