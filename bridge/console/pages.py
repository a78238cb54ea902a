"""The pages: HTML around the API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from bridge.console.access.door import PageAllowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.screens import OWN, SCREENS, Screen
from bridge.console.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_home(
    request: Request, principal: Annotated[Principal, Depends(PageAllowed(None))]
) -> Response:
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
    """Show one call that is over; whether there is one, the API says."""
    return render(request, "call.html", principal, call_id=call_id)


def _add(screen: Screen) -> None:
    allowed = Depends(PageAllowed(screen.permission))

    async def get_screen(request: Request, principal: Principal = allowed) -> HTMLResponse:
        return render(request, screen.template, principal)

    router.add_api_route(screen.path, get_screen, methods=["GET"], name=screen.title)


for _screen in OWN:
    _add(_screen)
