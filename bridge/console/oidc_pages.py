"""`/login/oidc` and the page to which the identity provider sends browsers back."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from bridge.console.access.accounts import AccountError
from bridge.console.access.audit import Entry
from bridge.console.access.door import address_of
from bridge.console.access.oidc import BEGUN_LIFE_S, OidcProvider, OidcRefusedError
from bridge.console.access.origin import own_origin
from bridge.console.api.session import open_session
from bridge.console.headers import is_secure
from bridge.console.services import Services, services_of
from bridge.console.templating import render

router = APIRouter(include_in_schema=False)

_PATH = "/login/oidc"
_COOKIE = "bridge_oidc"

Using = Annotated[Services, Depends(services_of)]


def provider_of(services: Using) -> OidcProvider:
    """Return the identity provider; 404 where there is none."""
    if services.oidc is None:
        raise HTTPException(404, "no identity provider is configured")
    return services.oidc


Provider = Annotated[OidcProvider, Depends(provider_of)]


@router.get(_PATH)
async def begin(request: Request, services: Using, provider: Provider) -> Response:
    """Send the browser to the identity provider."""
    url, browser = await provider.begin(_callback(request, services))
    response = RedirectResponse(url, status_code=303)
    # Lax: the provider's redirect, which comes from its site, has to bring it back.
    response.set_cookie(
        _COOKIE,
        browser,
        max_age=BEGUN_LIFE_S,
        path=_PATH,
        secure=is_secure(request.scope),
        httponly=True,
        samesite="lax",
    )
    return response


@router.get(f"{_PATH}/callback")
async def finish(request: Request, services: Using, provider: Provider) -> Response:
    """Sign in who comes back from the identity provider."""
    address = address_of(request)
    try:
        identity = await provider.finish(
            request.query_params, request.cookies.get(_COOKIE), _callback(request, services)
        )
        user = await services.accounts.signed_in_elsewhere(
            identity.subject, identity.name, identity.roles, provider.settings.routes, address
        )
    except (OidcRefusedError, AccountError) as error:
        refused = Entry("", "login", address=address, params={"via": "oidc"}, result="refused")
        await services.auditor.write(refused)
        return render(request, "refused.html", status_code=403, why=str(error))
    # A page, not a redirect: a strict cookie does not go along with what another site began.
    response = render(request, "signed_in.html")
    await open_session(user, "oidc", request, response, services)
    response.delete_cookie(_COOKIE, path=_PATH)
    return response


def _callback(request: Request, services: Services) -> str:
    return f"{own_origin(request, services.settings)}{_PATH}/callback"
