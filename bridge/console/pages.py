"""The pages: HTML around the API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from bridge.console.access.door import PageAllowed
from bridge.console.access.principal import Principal
from bridge.console.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def get_login(request: Request) -> HTMLResponse:
    """Show where to sign in."""
    return render(request, "login.html")


@router.get("/")
async def get_home(
    request: Request, principal: Annotated[Principal, Depends(PageAllowed(None))]
) -> HTMLResponse:
    """Show the way to everything."""
    return render(request, "home.html", principal)
