"""The console's sign-ins in Redis, and the presence of those who are signed in.

bridge:session:{id}           string: the session as JSON; its TTL is the idle limit
bridge:user:{name}:sessions   set of the user's session ids, to end them all
bridge:presence               hash: user -> since when they say that they are away, Unix ms

Tokens are opaque, and only their SHA-256 is kept. An open page uses its session again and again, so
the idle time of the session's key says whether somebody has one open.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bridge.store.client import RedisLink, RedisStore
from bridge.store.digests import digest
from bridge.store.keys import Keys
from bridge.store.replies import pairs, texts


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in.

    Attributes:
        session_id: SHA-256 of the token, hex.
        user: who.
        csrf_token: what changes must carry.
        made_ms: when, ms since the Unix epoch.
        via: `password`, `invite` or `oidc`.
        address: from where.
    """

    session_id: str
    user: str
    csrf_token: str
    made_ms: int
    via: str
    address: str


class SessionStore(RedisStore):
    """Reads and writes sign-ins.

    Args:
        link: to Redis; closed by whoever made it.
        keys: names.
        idle_s: life of a session that is not used.
        max_s: life of a session.
    """

    def __init__(self, link: RedisLink, keys: Keys, *, idle_s: int, max_s: int) -> None:
        super().__init__(link, keys)
        self._idle_ms = idle_s * 1000
        self._max_ms = max_s * 1000

    async def open(
        self, token: str, csrf_token: str, user: str, now_ms: int, *, via: str, address: str
    ) -> Session:
        """Begin a session."""
        session = Session(digest(token), user, csrf_token, now_ms, via, address)
        ids = self._keys.user_sessions(user)
        life_ms = min(self._idle_ms, self._max_ms)
        key = self._keys.session(session.session_id)
        await self._link.ask_all(
            [
                ("SADD", ids, session.session_id),
                ("PEXPIRE", ids, self._max_ms),
                ("SET", key, json.dumps(asdict(session)), "PX", life_ms),
            ]
        )
        return session

    async def find(self, token: str, now_ms: int) -> Session | None:
        """Return the session of a token and put off its idle end; None if it is over."""
        return await self.use(digest(token), now_ms)

    async def use(self, session_id: str, now_ms: int) -> Session | None:
        """Return a session and put off its idle end; None if it is over."""
        key = self._keys.session(session_id)
        reply = await self._link.ask(("GET", key))
        if not isinstance(reply, str):
            return None
        session = Session(**json.loads(reply))
        left_ms = session.made_ms + self._max_ms - now_ms
        if left_ms <= 0:
            await self.end(session)
            return None
        # Of a session that somebody ends meanwhile nothing comes back.
        await self._link.ask(("PEXPIRE", key, min(self._idle_ms, left_ms)))
        return session

    async def end(self, session: Session) -> None:
        """End a session."""
        await self._link.ask_all(
            [
                ("DEL", self._keys.session(session.session_id)),
                ("SREM", self._keys.user_sessions(session.user), session.session_id),
            ]
        )

    async def end_all(self, user: str, *, but: str = "") -> int:
        """End every session of a user; return how many.

        Args:
            but: the id of one that goes on.
        """
        ids = self._keys.user_sessions(user)
        found = [each for each in texts(await self._link.ask(("SMEMBERS", ids))) if each != but]
        if found:
            await self._link.ask(("DEL", *(self._keys.session(each) for each in found)))
            await self._link.ask(("SREM", ids, *found))
        return len(found)


class PresenceStore(RedisStore):
    """Reads and writes presence."""

    async def set_away(self, user: str, since_ms: int | None) -> None:
        """Note since when somebody is away; None: they are there again."""
        if since_ms is None:
            await self._link.ask(("HDEL", self._keys.presence, user))
        else:
            await self._link.ask(("HSETNX", self._keys.presence, user, since_ms))

    async def away(self) -> Mapping[str, int]:
        """Return who says that they are away, and since when, ms since the Unix epoch."""
        found = pairs(await self._link.ask(("HGETALL", self._keys.presence)))
        return {user: int(at) for user, at in found.items()}

    async def idle_s(self, users: Sequence[str]) -> dict[str, int]:
        """Return who of these is signed in, and for how many seconds they have used nothing."""
        if not users:
            return {}
        sets = await self._link.ask_all(
            [("SMEMBERS", self._keys.user_sessions(user)) for user in users]
        )
        asked = [
            (user, session_id)
            for user, ids in zip(users, sets, strict=True)
            for session_id in texts(ids)
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
