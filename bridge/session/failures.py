"""Puts a failed connection into words for the operator, as one :class:`UpstreamError`.

Pure. Names the endpoint's host, the arm's settings and what to do; never the key, never the API's
own message (it quotes part of the key, or content). What a failure means for a call, and whether
trying again can help, is decided by :mod:`bridge.realtime.failures` alone.
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.http11 import Response

from bridge.errors import UpstreamError
from bridge.realtime.event_values import ApiError
from bridge.realtime.failures import classify, code_of_end
from bridge.session.access import NO_KEY, Access
from bridge.session.connection import Closure
from bridge.session.obstacles import describe
from bridge.session.proxies import Proxy
from bridge.session.retry_after import retry_after_ms

CLOSING_ERRORS = frozenset(
    {
        "invalid_api_key",
        "missing_model",
        "invalid_model",
        "beta_api_shape_disabled",
        "session_expired",
    }
)
"""Error codes that the server follows with a close (`PROTOCOL.md` section 7)."""

_REMEDIES = {
    "invalid_api_key": "check the key that {key} names",
    "missing_model": "set the arm's model",
    "invalid_model": "check that the arm's model exists and the key may use it",
    "beta_api_shape_disabled": "set the arm's dialect to ga",
    "insufficient_quota": "check the account's quota and billing",
    "http_401": "check the key that {key} names, and {auth} and {headers}",
    "http_403": "check that the key may use the arm's model",
    "http_404": "check the path of the arm's url",
    "http_429": "the endpoint limits connections; try later or use another arm",
}
_MOVED = "set the arm's url to where it moved, or name that host in the arm's redirect_hosts"


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom a connection is made to, and the way there.

    Attributes:
        host: ``host:port``.
        proxy: on the way.
    """

    host: str
    access: Access = NO_KEY
    proxy: Proxy | None = None


_LABEL = re.compile(r"[a-z0-9_]{1,64}", re.IGNORECASE | re.ASCII)
_PATH = re.compile(r"[\w.\[\]-]{1,128}", re.ASCII)


def host_of(url: str) -> str:
    """Return ``host:port`` of a URL, without anything that may be secret."""
    parts = urlsplit(url)
    default_port = 443 if parts.scheme == "wss" else 80
    return f"{parts.hostname}:{parts.port or default_port}"


def not_connected(error: Exception, to: Destination, now_s: float) -> UpstreamError:
    """Return why no WebSocket connection came to be; ``now_s`` is Unix time, seconds."""
    host = to.host
    if (obstacle := describe(error, to.access, to.proxy)) is not None:
        return _rated(f"{host}: {obstacle.what}", code=obstacle.code, remedy=obstacle.remedy)
    match error:
        case InvalidStatus():
            return _not_upgraded(error.response, to, now_s)
        case InvalidURI():
            return _rated(
                f"the URL of {host} is no WebSocket URL", code="bad_url", remedy="fix the arm's url"
            )
        case InvalidHandshake():
            return _rated(
                f"{host} did not complete the WebSocket handshake",
                code="handshake",
                remedy="check that a Realtime server listens there",
            )
        case socket.gaierror():
            return _rated(
                f"{host} has no address",
                code="dns",
                remedy="check the host in the arm's url, and DNS",
            )
        case ConnectionRefusedError():
            code = "refused"
        case _:
            code = "unreachable"
    return _rated(
        f"no connection to {host}",
        code=code,
        remedy="check that a Realtime server listens there",
    )


def no_descriptors(host: str) -> UpstreamError:
    """Describe that this process could open no socket, whoever listens there."""
    return _rated(
        f"no connection to {host}: this process has no file descriptor left",
        code="no_descriptors",
        remedy="raise the limit of open files (LimitNOFILE, ulimit -n), or lower sip.max_calls",
    )


def _not_upgraded(response: Response, to: Destination, now_s: float) -> UpstreamError:
    code = f"http_{response.status_code}"
    redirected = HTTPStatus.MULTIPLE_CHOICES <= response.status_code < HTTPStatus.BAD_REQUEST
    error = _rated(
        f"{to.host} refused the WebSocket upgrade with HTTP {response.status_code}",
        code=code,
        remedy=_MOVED if redirected else _remedy(code, to.access, "check the arm's url"),
    )
    asked = response.headers.get_all("Retry-After")
    error.retry_after_ms = retry_after_ms(asked[0] if asked else None, now_s)
    return error


def timed_out(stage: str, to: Destination, timeout_s: float) -> UpstreamError:
    """Return what did not come within the open timeout."""
    through = "" if to.proxy is None else f" through the proxy {to.proxy.address}"
    return _rated(
        f"{to.host}: no {stage}{through} within {timeout_s:g} s",
        code="timeout",
        remedy=f"check the health of the endpoint{' and the proxy' if through else ''}, or raise"
        " session.open_timeout_s",
    )


def refused(error: ApiError, to: Destination, close_code: int | None) -> UpstreamError:
    """Return which error the server answered our opening with."""
    label = error.code or error.type
    code = label.lower() if _LABEL.fullmatch(label) else "api_error"
    place = f" at {error.param}" if error.param and _PATH.fullmatch(error.param) else ""
    return _rated(
        f"{to.host} refused the session: {code}{place}",
        code=code,
        close_code=close_code,
        remedy=_remedy(code, to.access, "check the arm and the dialplan's session settings"),
    )


def closed(closure: Closure, host: str) -> UpstreamError:
    """Describe a connection that ended by itself; an API code in the close reason is the cause."""
    by = f" ({closure.reason})" if _PATH.fullmatch(closure.reason) else ""
    # `invalid_request_error.beta_api_shape_disabled`, or the code alone (`PROTOCOL.md` section 1).
    named = closure.reason.rpartition(".")[2]
    error = _rated(
        f"the connection with {host} ended with {closure.code}{by}",
        code=named if closure.label == "closed" and named in CLOSING_ERRORS else closure.label,
        close_code=closure.code,
        remedy="the call needs a new session",
    )
    error.__cause__ = closure.cause
    return error


def ended(reason: str, host: str) -> UpstreamError:
    """Describe a session that its service has ended, and said why."""
    code = code_of_end(reason)
    return _rated(
        f"{host} ended the session: {code}",
        code=code,
        remedy="the call needs a new session",
    )


def differs(host: str, fields: Sequence[str]) -> UpstreamError:
    """Describe a session that sounds other than the one that was asked for."""
    return _rated(
        f"{host} confirmed another {' and '.join(fields)} than the session was asked for",
        code="session_differs",
        remedy="check that the arm's model has these settings, or use another arm",
    )


def stuck(host: str, frames: int) -> UpstreamError:
    """Describe a peer that takes nothing any more."""
    return _rated(
        f"{host} takes no data: {frames} frames wait",
        code="stuck",
        remedy="close the session and open a new one",
    )


def not_open(host: str) -> UpstreamError:
    """Describe that there is no open session to send over."""
    return _rated(f"the session with {host} is not open", code="not_open")


def given_up(host: str) -> UpstreamError:
    """Describe that we closed the session before it had opened."""
    return _rated(f"the session with {host} was closed before it opened", code="given_up")


def _remedy(code: str, access: Access, otherwise: str) -> str:
    places = {name: access.setting(name) for name in ("auth", "headers")}
    return _REMEDIES.get(code, otherwise).format(key=access.key_setting, **places)


def _rated(
    what: str, *, code: str, close_code: int | None = None, remedy: str = ""
) -> UpstreamError:
    error = UpstreamError(what, code=code, close_code=close_code, remedy=remedy)
    error.retryable = classify(error).retryable
    return error
