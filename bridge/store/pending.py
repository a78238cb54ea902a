"""Keeps the purposes of secret tokens that are good once: invitations, sign-ins under way.

    bridge:pending:{kind}:{hash}   string that expires: the purpose as JSON

A token itself is nowhere in Redis, only its SHA-256.
"""

import json
from collections.abc import Mapping

from bridge.store.client import CommandRefused, RedisLink, RedisStore
from bridge.store.digests import digest
from bridge.store.keys import Keys


class PendingStore(RedisStore):
    """Keeps tokens' purposes.

    Args:
        link: to Redis; closed by whoever made it.
        keys: names.
        kind: of tokens; one of another kind is none here.
    """

    def __init__(self, link: RedisLink, keys: Keys, kind: str) -> None:
        super().__init__(link, keys)
        self._kind = kind

    async def put(self, token: str, purpose: Mapping[str, str], ttl_s: int) -> None:
        """Make a token good for something."""
        await self._link.ask(("SET", self._key(token), json.dumps(dict(purpose)), "EX", ttl_s))

    async def look(self, token: str) -> dict[str, str] | None:
        """Return what a token is good for, None if it isn't (any more)."""
        return _purpose(await self._link.ask(("GET", self._key(token))))

    async def take(self, token: str) -> dict[str, str] | None:
        """Return what a token was good for, and make an end of it: of two who try, one gets it."""
        key = self._key(token)
        found, gone = await self._link.ask_all([("GET", key), ("DEL", key)])
        return None if gone != 1 or isinstance(found, CommandRefused) else _purpose(found)

    def _key(self, token: str) -> str:
        return self._keys.pending(self._kind, digest(token))


def _purpose(reply: object) -> dict[str, str] | None:
    if not isinstance(reply, str):
        return None
    return {str(name): str(value) for name, value in json.loads(reply).items()}
