"""Things that may happen once, wherever a request comes in: the nodes' secret, a token's use."""

from bridge.store.client import RedisStore


class OnceStore(RedisStore):
    """Keeps the secret that nodes share, and the uses of tokens."""

    async def secret(self, proposed: str) -> str:
        """Return the secret that all nodes share: the one proposed, if there was none."""
        key = self._keys.console_secret
        await self._link.ask(("SET", key, proposed, "NX"))
        return str(await self._link.ask(("GET", key)))

    async def first_use(self, token_id: str, ttl_ms: int) -> bool:
        """Return whether nobody has used this before; it counts as used from now on.

        Args:
            token_id: what is used.
            ttl_ms: after which it is good for nothing anyway.
        """
        reply = await self._link.ask(("SET", self._keys.used(token_id), "1", "NX", "PX", ttl_ms))
        return reply == "OK"

    async def was_used(self, token_id: str) -> bool:
        """Return whether somebody has used this."""
        return await self._link.ask(("EXISTS", self._keys.used(token_id))) == 1
