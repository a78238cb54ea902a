"""Connects to a service: redirects that are followed with the key, TLS alerts, the proxy."""

import ssl
from collections.abc import Collection
from typing import Any
from urllib.parse import urljoin, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, ProxyError


class ProxyUnreachable(ProxyError):
    """The proxy takes no connection, or ends the one through it."""


class AlertedConnection(ClientConnection):
    """Raises the TLS alert that ended the handshake, in place of the missing answer.

    In TLS 1.3 the handshake is over for a client before its certificate is looked at (RFC 8446
    section 4.4.2): the refusal comes when it reads.
    """

    _lost: Exception | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep why the connection ended."""
        self._lost = exc
        super().connection_lost(exc)

    async def handshake(self, *args: Any, **kwargs: Any) -> None:  # Any: the library's own
        """Ask for the upgrade.

        Raises:
            ssl.SSLError: an alert came in the place of an answer.
            websockets.exceptions.InvalidHandshake: the answer was no good.
        """
        try:
            await super().handshake(*args, **kwargs)
        except InvalidHandshake:
            if isinstance(self._lost, ssl.SSLError):
                raise self._lost from None
            raise


class GuardedConnect(connect):
    """Follows a redirect within the same origin, and to hosts that are allowed by name.

    Attributes:
        allowed: ``host`` or ``host:port``; these are given the same headers, the key among them.
        tls_context: for wss://, which a redirect may lead to from ws://.
    """

    allowed: Collection[str] = ()
    tls_context: ssl.SSLContext

    async def open_tcp_connection(self) -> ClientConnection:
        """Connect, through the proxy if there is one.

        Raises:
            ssl.SSLError: TLS with the service failed: proxies are spoken to without.
            ProxyUnreachable: the proxy could not be connected to, or ended it.
            OSError: the same of the service, without a proxy.
        """
        if self.ws_uri.secure:
            self.create_connection_kwargs["ssl"] = self.tls_context
        try:
            return await super().open_tcp_connection()
        except ssl.SSLError:
            raise
        except OSError as error:
            if self.proxy is None:
                raise
            raise ProxyUnreachable from error

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return where to go on; ``exc`` where that is another host, or not safe."""
        headers = self.additional_headers
        try:
            target = super().process_redirect(exc)
        except (InvalidURI, ValueError):
            return exc
        if isinstance(target, str) and self._may_follow(target):
            self.additional_headers = headers
            return target
        return exc if isinstance(exc, InvalidStatus) else target

    def _may_follow(self, target: str) -> bool:
        old, new = urlsplit(self.uri), urlsplit(urljoin(self.uri, target))
        if (new.scheme, new.hostname, new.port) == (old.scheme, old.hostname, old.port):
            return True
        return new.hostname in self.allowed or f"{new.hostname}:{new.port}" in self.allowed
