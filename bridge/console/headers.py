"""Adds security headers to each answer, and refuses other machines' requests without TLS."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.config.console import ConsoleSettings

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)
"""Nothing inline, nothing from elsewhere, no frames; a string never becomes markup (W3C CSP 3)."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}
_TRANSPORT_SECURITY = "max-age=31536000"

PROBES = frozenset({"/metrics", "/healthz", "/readyz"})
"""For machines, wherever they are."""

REFUSED = (
    "the console is not shown to other machines without TLS: set console.tls_cert_file and"
    " tls_key_file, or put a proxy with TLS in front and name it in console.trusted_proxies, or"
    " set console.insecure_remote in a closed network"
)


class SecureHeaders:
    """Adds the headers; only what is under `/static` may be kept by caches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with the headers."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                kept = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if kept else "no-store")
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", _TRANSPORT_SECURITY)
            await send(message)

        await self._app(scope, receive, add)


MISDIRECTED = (
    "the console has no such name: without TLS it answers to localhost, to this machine's addresses"
    " and to the host of console.public_url, so that no other site's name can be pointed at it"
)
_MISDIRECTED_STATUS = 421
"""RFC 9110 section 15.5.20."""


AMBIGUOUS = "a request has a Content-Length or a Transfer-Encoding, not both"
"""A proxy may believe the one and we the other, and what is a body to it is a request to us (RFC
9112 section 11.2): so the connection ends."""


class TransportGuard:
    """Keeps passwords and calls off networks that anybody can read.

    A proxy that is trusted says by ``X-Forwarded-Proto`` whether a browser came by TLS; uvicorn has
    put that into the scope.

    Without TLS the name that a browser asked for counts, too: another site may have its own name
    lead to this machine (DNS rebinding), and its pages would then be of our origin.
    """

    def __init__(self, app: ASGIApp, settings: ConsoleSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if _is_ambiguous(scope):
            answer = JSONResponse({"detail": AMBIGUOUS}, 400, headers={"Connection": "close"})
            await answer(scope, receive, send)
        elif self._may_pass(scope):
            await self._app(scope, receive, send)
        elif is_loopback(scope):
            answer = JSONResponse({"detail": MISDIRECTED}, status_code=_MISDIRECTED_STATUS)
            await answer(scope, receive, send)
        else:
            await JSONResponse({"detail": REFUSED}, status_code=403)(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        if scope["type"] == "lifespan" or self._settings.insecure_remote:
            return True
        if scope["path"] in PROBES or is_secure(scope):
            return True
        return is_loopback(scope) and self._is_ours(Headers(scope=scope).get("host", ""))

    def _is_ours(self, host: str) -> bool:
        """Return whether a ``Host`` names this machine, or what the settings call it."""
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        public = urlsplit(self._settings.public_url or "").hostname
        return name in ("localhost", public) or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_ambiguous(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}


def is_secure(scope: Scope) -> bool:
    """Return whether the browser came by TLS."""
    return bool(scope["scheme"] in ("https", "wss"))


def is_loopback(scope: Scope) -> bool:
    """Return whether it came from this machine."""
    client = scope.get("client")
    try:
        return client is not None and ip_address(client[0]).is_loopback
    except ValueError:  # a proxy's word that is no address
        return False
