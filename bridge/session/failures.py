"""What went wrong with a Realtime session, as one :class:`UpstreamError` each.

Pure. Names the endpoint's host and what to do; never the key, never the API's own message (it
quotes part of the key, or content). Whether trying again can help is decided here alone.
"""

import re
import socket
import ssl
from urllib.parse import urlsplit

from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from bridge.errors import UpstreamError
from bridge.realtime.events import ApiError
from bridge.session.connection import Closure

RECOVERABLE_CLOSES = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1015})
"""Close codes on which the official SDK reconnects (`protocol.md` section 1)."""

CLOSING_ERRORS = frozenset(
    {
        "invalid_api_key",
        "missing_model",
        "invalid_model",
        "beta_api_shape_disabled",
        "session_expired",
    }
)
"""Error codes that the server follows with a close (`protocol.md` section 7)."""

_RETRYABLE_ERRORS = frozenset({"session_expired", "server_error", "rate_limit_exceeded"})
_REMEDIES = {
    "invalid_api_key": "check the key that the arm's api_key_env or api_key_file names",
    "missing_model": "set the arm's model",
    "invalid_model": "check that the arm's model exists and the key may use it",
    "beta_api_shape_disabled": "set the arm's dialect to ga",
    "insufficient_quota": "check the account's quota and billing",
    "http_401": "check the key that the arm's api_key_env or api_key_file names",
    "http_403": "check that the key may use the arm's model",
    "http_404": "check the path of the arm's url",
    "http_429": "the endpoint limits connections; try later or use another arm",
}
_LABEL = re.compile(r"[a-z0-9_]{1,64}", re.IGNORECASE | re.ASCII)
_PATH = re.compile(r"[\w.\[\]-]{1,128}", re.ASCII)


def host_of(url: str) -> str:
    """Return ``host:port`` of a URL, without anything that may be secret."""
    parts = urlsplit(url)
    default_port = 443 if parts.scheme == "wss" else 80
    return f"{parts.hostname}:{parts.port or default_port}"


def not_connected(error: Exception, host: str) -> UpstreamError:
    """Say why no WebSocket connection came to be."""
    match error:
        case InvalidStatus():
            status = error.response.status_code
            code = f"http_{status}"
            return UpstreamError(
                f"{host} refused the WebSocket upgrade with HTTP {status}",
                code=code,
                remedy=_REMEDIES.get(code, "check the arm's url"),
                retryable=status == 429 or status >= 500,
            )
        case InvalidURI():
            return UpstreamError(
                f"the URL of {host} is no WebSocket URL", code="bad_url", remedy="fix the arm's url"
            )
        case InvalidHandshake():
            return UpstreamError(
                f"{host} did not complete the WebSocket handshake",
                code="handshake",
                remedy="check that a Realtime server listens there",
                retryable=True,
            )
        case ssl.SSLError():
            return UpstreamError(
                f"TLS with {host} failed",
                code="tls",
                remedy="check its certificate, and ws:// against wss:// in the arm's url",
            )
        case socket.gaierror():
            return UpstreamError(
                f"{host} has no address",
                code="dns",
                remedy="check the host in the arm's url, and DNS",
                retryable=True,
            )
        case ConnectionRefusedError():
            code = "refused"
        case _:
            code = "unreachable"
    return UpstreamError(
        f"no connection to {host}",
        code=code,
        remedy="check that a Realtime server listens there",
        retryable=True,
    )


def timed_out(stage: str, host: str, timeout_s: float) -> UpstreamError:
    """Say what did not come within the open timeout."""
    return UpstreamError(
        f"{host}: no {stage} within {timeout_s:g} s",
        code="timeout",
        remedy="check the endpoint's health, or raise session.open_timeout_s",
        retryable=True,
    )


def refused(error: ApiError, host: str, close_code: int | None) -> UpstreamError:
    """Say which error the server answered our opening with."""
    label = error.code or error.type
    code = label.lower() if _LABEL.fullmatch(label) else "api_error"
    place = f" at {error.param}" if error.param and _PATH.fullmatch(error.param) else ""
    return UpstreamError(
        f"{host} refused the session: {code}{place}",
        code=code,
        close_code=close_code,
        remedy=_REMEDIES.get(code, "check the arm and the dialplan's session settings"),
        retryable=code in _RETRYABLE_ERRORS,
    )


def closed(closure: Closure, host: str) -> UpstreamError:
    """Say that the connection ended by itself."""
    by = f" ({closure.reason})" if _PATH.fullmatch(closure.reason) else ""
    error = UpstreamError(
        f"the connection with {host} ended with {closure.code}{by}",
        code=closure.label,
        close_code=closure.code,
        remedy="the call needs a new session",
        retryable=closure.code in RECOVERABLE_CLOSES,
    )
    error.__cause__ = closure.cause
    return error


def stuck(host: str, frames: int) -> UpstreamError:
    """Say that the peer takes nothing any more."""
    return UpstreamError(
        f"{host} takes no data: {frames} frames wait",
        code="stuck",
        remedy="close the session and open a new one",
        retryable=True,
    )


def not_open(host: str) -> UpstreamError:
    """Say that there is no open session to send over."""
    return UpstreamError(f"the session with {host} is not open", code="not_open")


def given_up(host: str) -> UpstreamError:
    """Say that we closed the session before it had opened."""
    return UpstreamError(f"the session with {host} was closed before it opened", code="given_up")
