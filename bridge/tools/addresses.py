"""Resolves webhooks' hosts to public addresses alone.

A dialplan's URL is the operator's, but what its name resolves to is not: without this, whoever
holds a name server could have the bridge post a caller's words to the metadata service of its own
cloud (server-side request forgery). The check is made on the addresses that are then connected to.
"""

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet."""
    found = ipaddress.ip_address(address.split("%", 1)[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast


class PublicResolver(AbstractResolver):
    """Resolves names, and leaves out every address that is not public.

    Args:
        inner: resolves.
    """

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the public addresses of a host.

        Raises:
            OSError: it has none.
        """
        found = [
            each
            for each in await self._inner.resolve(host, port, family)
            if is_public(each["host"])
        ]
        if not found:
            raise OSError(f"{host} has no public address")
        return found

    async def close(self) -> None:
        """Give the inner resolver back."""
        await self._inner.close()


def is_private_literal(host: str) -> bool:
    """Return whether a URL's host is written as an address that is not public."""
    try:
        return not is_public(host)
    except ValueError:
        return False
