"""Turns errors into HTTP answers: `{"detail": ...}` for the client, everything else for the log."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response

from bridge.console.access.accounts import AccountError
from bridge.console.access.audit import AuditUnavailableError
from bridge.console.access.door import PageRefused, SignInNeeded
from bridge.console.access.identity import OidcRefusedError
from bridge.console.access.passwords import TooBusyError
from bridge.console.access.second_factor import EnrolmentNeededError, SecondFactorNeededError
from bridge.console.access.signin import SignInRefusedError, TooManyTriesError
from bridge.console.access.tokens import TokenRefused
from bridge.console.templating import render
from bridge.errors import InfrastructureError

log = structlog.get_logger(__name__)

_RETRY_S = "2"

Handler = Callable[[Request, Exception], Awaitable[Response]]


def add_handlers(app: FastAPI) -> None:
    """Say how each error is answered; the closest class counts."""
    handlers: dict[type[Exception], Handler] = {
        SignInNeeded: _to_login,
        PageRefused: _page_refused,
        SignInRefusedError: _say(401),
        SecondFactorNeededError: _ask_for_code,
        EnrolmentNeededError: _offer_enrolment,
        AccountError: _say(409),
        OidcRefusedError: _say(502),
        TooManyTriesError: _too_many,
        TooBusyError: _busy,
        TokenRefused: _token_refused,
        AuditUnavailableError: _busy,
        InfrastructureError: _unavailable,
        RequestValidationError: _bad_request,
    }
    for error, handler in handlers.items():
        app.add_exception_handler(error, handler)


def _say(status_code: int) -> Handler:
    async def answer(_request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status_code=status_code)

    return answer


async def _ask_for_code(_request: Request, error: Exception) -> Response:
    asked = {"detail": str(error), "second_factor": "code"}
    return JSONResponse(asked, status_code=401)


async def _offer_enrolment(_request: Request, error: Exception) -> Response:
    assert isinstance(error, EnrolmentNeededError)
    offered = {"second_factor": "enrol", "enrolment": asdict(error.enrolment)}
    return JSONResponse({"detail": str(error), **offered}, status_code=401)


async def _to_login(request: Request, _error: Exception) -> Response:
    wanted = request.url.path
    query = "" if wanted == "/" else f"?next={wanted}"
    return RedirectResponse(f"/login{query}", status_code=303)


async def _page_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, PageRefused)
    return render(request, "not_for_you.html", error.principal, status_code=403, why=str(error))


async def _too_many(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyTriesError)
    wait_s = math.ceil(error.wait_ms / 1000)
    headers = {"Retry-After": str(wait_s)}
    return JSONResponse({"detail": str(error)}, status_code=429, headers=headers)


async def _busy(_request: Request, error: Exception) -> Response:
    headers = {"Retry-After": _RETRY_S}
    return JSONResponse({"detail": str(error)}, status_code=503, headers=headers)


async def _token_refused(request: Request, error: Exception) -> Response:
    log.warning("token_refused", reason=str(error), path=request.url.path)
    return JSONResponse({"detail": "the token is good for nothing here"}, status_code=403)


async def _unavailable(_request: Request, error: Exception) -> Response:
    log.warning("console_unavailable", error=str(error))
    headers = {"Retry-After": _RETRY_S}
    detail = "the bridge's memory (Redis) is away: try again"
    return JSONResponse({"detail": detail}, status_code=503, headers=headers)


async def _bad_request(_request: Request, error: Exception) -> Response:
    # Without what was sent: FastAPI's own answer repeats it, passwords included.
    assert isinstance(error, RequestValidationError)
    said = [{"where": [str(each) for each in e["loc"]], "what": e["msg"]} for e in error.errors()]
    return JSONResponse({"detail": said}, status_code=422)
