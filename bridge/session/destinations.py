"""Destinations of a connection: the redirects that it may follow with the key, and proxies."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urljoin, urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, InvalidURI


def may_use_proxy(host: str | None) -> bool:
    """Return False for this machine's own addresses: no proxy can reach our loopback."""
    if host is None or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


class GuardedConnect(connect):
    """Follows a redirect within the same origin, and to hosts that are allowed by name.

    Attributes:
        allowed: ``host`` or ``host:port``; these are given the same headers, the key among them.
    """

    allowed: Collection[str] = ()

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
