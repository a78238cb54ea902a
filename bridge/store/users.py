"""The console's users and the invitations that make them, in Redis.

    bridge:users                  hash: name -> the user as JSON
    bridge:invite:{hash}          string that expires: what the invitation's token is good for

A token itself is nowhere in Redis, only its SHA-256.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bridge.store.client import RedisLink, Refused
from bridge.store.keys import Keys

_REPLACE = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in.

    Attributes:
        name: he signs in with; lower case.
        roles: names of roles.
        routes: patterns of dialplans.
        password_hash: argon2's own text; "" for who has none (invited, or signs in elsewhere).
        subject: who he is for the OIDC provider, "" for a local user.
        disabled: may not sign in.
        made_ms: when, ms since the Unix epoch.
    """

    name: str
    roles: tuple[str, ...] = ()
    routes: tuple[str, ...] = ("*",)
    password_hash: str = ""
    subject: str = ""
    disabled: bool = False
    made_ms: int = 0

    def to_json(self) -> str:
        """Return what is stored."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "User":
        """Read what is stored."""
        found = json.loads(text)
        return cls(**{**found, "roles": tuple(found["roles"]), "routes": tuple(found["routes"])})


def digest(token: str) -> str:
    """Return what stands for a secret token in Redis."""
    return hashlib.sha256(token.encode()).hexdigest()


class UserStore:
    """Reads and changes users. Every method raises RedisUnavailableError while Redis is away.

    Args:
        link: to Redis; closed by whoever made it.
        keys: names.
    """

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def get(self, name: str) -> User | None:
        """Return a user, None if there is none such."""
        reply = await self._link.ask(("HGET", self._keys.users, name))
        return User.from_json(reply) if isinstance(reply, str) else None

    async def all(self) -> list[User]:
        """Return every user, by name."""
        reply = await self._link.ask(("HVALS", self._keys.users))
        texts = reply if isinstance(reply, list) else []
        return sorted((User.from_json(str(each)) for each in texts), key=lambda user: user.name)

    async def count(self) -> int:
        """Return how many there are."""
        reply = await self._link.ask(("HLEN", self._keys.users))
        return reply if isinstance(reply, int) else 0

    async def replace(self, before: User | None, after: User) -> bool:
        """Put a user in the place of what was read; False where somebody was faster."""
        known = "" if before is None else before.to_json()
        words = (after.name, known, after.to_json())
        return await self._link.ask(("EVAL", _REPLACE, 1, self._keys.users, *words)) == 1

    async def invite(self, token: str, purpose: Mapping[str, str], ttl_s: int) -> None:
        """Make a token good for something, once."""
        key = self._keys.invite(digest(token))
        await self._link.ask(("SET", key, json.dumps(dict(purpose)), "EX", ttl_s))

    async def invitation(self, token: str) -> dict[str, str] | None:
        """Return what a token is good for, None if it isn't (any more)."""
        return _purpose(await self._link.ask(("GET", self._keys.invite(digest(token)))))

    async def redeem(self, token: str) -> dict[str, str] | None:
        """Return what a token was good for, and make an end of it: of two who try, one gets it."""
        key = self._keys.invite(digest(token))
        replies: Sequence[object] = await self._link.ask_all([("GET", key), ("DEL", key)])
        found, gone = replies
        return None if gone != 1 or isinstance(found, Refused) else _purpose(found)


def _purpose(reply: object) -> dict[str, str] | None:
    if not isinstance(reply, str):
        return None
    return {str(name): str(value) for name, value in json.loads(reply).items()}
