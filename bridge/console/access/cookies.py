"""The cookie that carries a sign-in: HttpOnly, SameSite=Strict, Secure under TLS."""

from starlette.requests import HTTPConnection
from starlette.responses import Response

from bridge.console.headers import is_secure

_PLAIN = "bridge_session"
_SECURE = "__Host-bridge_session"
"""Taken only with Secure, from this very host, for every path (RFC 6265bis 4.1.3)."""


def cookie_name(connection: HTTPConnection) -> str:
    """Return the cookie's name on this connection."""
    return _SECURE if is_secure(connection.scope) else _PLAIN


def session_token(connection: HTTPConnection) -> str | None:
    """Return what the browser has sent."""
    return connection.cookies.get(cookie_name(connection))


def set_session_cookie(
    response: Response, connection: HTTPConnection, token: str, max_age_s: int
) -> None:
    """Give the browser a sign-in."""
    response.set_cookie(
        cookie_name(connection),
        token,
        max_age=max_age_s,
        path="/",
        secure=is_secure(connection.scope),
        httponly=True,
        samesite="strict",
    )


def drop_session_cookie(response: Response, connection: HTTPConnection) -> None:
    """Take it away."""
    response.delete_cookie(
        cookie_name(connection),
        path="/",
        secure=is_secure(connection.scope),
        httponly=True,
        samesite="strict",
    )
