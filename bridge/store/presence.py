"""Keeps which users are away, and reads how long those who are signed in have been idle.

bridge:presence    hash: user -> since when they say that they are away, ms since the Unix epoch

An open page uses its session again and again, so the idle time of the session's key says whether
somebody has one open.
"""

from collections.abc import Mapping, Sequence

from bridge.store.client import RedisLink
from bridge.store.keys import Keys


class PresenceStore:
    """Reads and writes presence. Every method raises RedisUnavailableError while Redis is away.

    Args:
        link: to Redis; closed by whoever made it.
        keys: of the project.
    """

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def set_away(self, user: str, since_ms: int | None) -> None:
        """Note since when somebody is away; None: they are there again."""
        if since_ms is None:
            await self._link.ask(("HDEL", self._keys.presence, user))
        else:
            await self._link.ask(("HSETNX", self._keys.presence, user, since_ms))

    async def away(self) -> Mapping[str, int]:
        """Return who says that they are away, and since when, ms since the Unix epoch."""
        found = await self._link.ask(("HGETALL", self._keys.presence))
        words = list(map(str, found)) if isinstance(found, list) else []
        return {user: int(at) for user, at in zip(words[::2], words[1::2], strict=True)}

    async def idle_s(self, users: Sequence[str]) -> dict[str, int]:
        """Return who of these is signed in, and for how many seconds they have used nothing."""
        if not users:
            return {}
        sets = await self._link.ask_all(
            [("SMEMBERS", self._keys.user_sessions(user)) for user in users]
        )
        asked = [
            (user, str(session_id))
            for user, ids in zip(users, sets, strict=True)
            for session_id in (ids if isinstance(ids, list) else ())
        ]
        if not asked:
            return {}
        idle = await self._link.ask_all(
            [("OBJECT", "IDLETIME", self._keys.session(session_id)) for _, session_id in asked]
        )
        found: dict[str, int] = {}
        for (user, _), seconds in zip(asked, idle, strict=True):
            if isinstance(seconds, int):  # else the session is over
                found[user] = min(seconds, found.get(user, seconds))
        return found
