"""Describes what stands between us and a service: TLS, certificates, proxies. Pure.

Each is a code (:data:`bridge.realtime.failures.TABLE`), what happened, and the remedy with the
setting that it is about. The libraries' own texts are not repeated: they may hold URLs.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
from websockets.exceptions import InvalidProxyStatus, ProxyError

from bridge.session.access import Access
from bridge.session.destinations import ProxyUnreachable
from bridge.session.proxies import Proxy

_PROXY_AUTHENTICATION_REQUIRED = 407
_SERVER_ERRORS = 500


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What is in the way, to be put behind the service's host.

    Attributes:
        code: an enum-like word.
        what: happened, after ``HOST: ``.
    """

    code: str
    what: str
    remedy: str


_CERTIFICATES = {
    # OpenSSL, X509_STORE_CTX_get_error(3).
    9: ("its certificate is not valid yet", "check this machine's clock, and the certificate"),
    10: ("its certificate has expired", "have it renewed; check this machine's clock"),
    62: ("its certificate is for another name", "check the host in {url}"),
    64: ("its certificate is for another address", "check the host in {url}"),
    **dict.fromkeys(
        (2, 7, 18, 19, 20, 21),
        (
            "its certificate is signed by nobody who is trusted",
            "name the file with its signer in {ca_file}",
        ),
    ),
}
_ALERTS = {
    # RFC 8446 section 6, as OpenSSL spells them.
    "CERTIFICATE_REQUIRED": "it wants a client certificate, and got none",
    "HANDSHAKE_FAILURE": "it broke the handshake off, as servers do that want a client certificate",
    "UNKNOWN_CA": "it does not know the signer of our client certificate",
    "CERTIFICATE_EXPIRED": "our client certificate has expired",
    "CERTIFICATE_REVOKED": "our client certificate is revoked",
    "CERTIFICATE": "it refuses our client certificate",  # bad, unknown, unsupported
    "ACCESS_DENIED": "it lets our client certificate not in",
}


def describe(error: BaseException, access: Access, proxy: Proxy | None) -> Obstacle | None:
    """Return what an error of a connection says of TLS or of the proxy; None if neither.

    Args:
        error: of websockets or aiohttp, or the system's.
        proxy: that the connection went through.
    """
    causes = tuple(_causes(error))
    if proxy is not None and (found := _of_proxy(causes, access, proxy)) is not None:
        return found
    for each in causes:
        # aiohttp's errors are SSLErrors, too, without what OpenSSL found.
        if isinstance(each, ssl.SSLError) and not isinstance(each, aiohttp.ClientError):
            return _of_tls(each, access)
    return None


def _of_tls(error: ssl.SSLError, access: Access) -> Obstacle:
    if isinstance(error, ssl.SSLCertVerificationError):
        what, remedy = _CERTIFICATES.get(
            getattr(error, "verify_code", 0),
            ("its certificate is not accepted", "check the certificate"),
        )
        places = {name: access.setting(name) for name in ("url", "ca_file")}
        return Obstacle("tls", what, remedy.format(**places))
    reason = str(error.reason or "")
    for alert, what in _ALERTS.items():
        if "ALERT" in reason and alert in reason:
            return Obstacle("tls", what, f"check {access.setting('client_cert_file')}")
    return Obstacle(
        "tls",
        "TLS failed",
        f"check its certificate, and ws:// against wss:// in {access.setting('url')}",
    )


def _of_proxy(causes: tuple[BaseException, ...], access: Access, proxy: Proxy) -> Obstacle | None:
    through = f"the proxy {proxy.address}"
    setting = access.setting("proxy")
    for each in causes:
        match each:
            case InvalidProxyStatus():
                return _status(each.response.status_code, through, access)
            case aiohttp.ClientHttpProxyError():
                return _status(each.status, through, access)
            case ProxyUnreachable() | aiohttp.ClientProxyConnectionError():
                what = f"{through} takes no connection, or ended it"
                return Obstacle("proxy_unreachable", what, f"check it, and {setting}")
            case ProxyError():
                what = f"{through} answers no HTTP"
                return Obstacle("proxy_failed", what, f"check that {setting} names an HTTP proxy")
    return None


def _status(status: int, through: str, access: Access) -> Obstacle:
    if status == _PROXY_AUTHENTICATION_REQUIRED:
        what = f"{through} wants other credentials (HTTP 407)"
        return Obstacle("proxy_auth", what, f"check {access.setting('proxy_credentials')}")
    if status >= _SERVER_ERRORS:
        what = f"{through} can't reach it (HTTP {status})"
        return Obstacle("proxy_failed", what, "check that the proxy resolves and reaches the host")
    what = f"{through} refuses to connect there (HTTP {status})"
    return Obstacle(
        "proxy_refused", what, f"allow the host there, or change {access.setting('proxy')}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came of, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        held = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
        error = held or error.__cause__ or error.__context__
