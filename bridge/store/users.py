"""The console's users in Redis.

bridge:users                  hash: name -> the user as JSON
bridge:users:version          hash: what a change was made from
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bridge.store.audit_log import Guard
from bridge.store.client import Command, RedisStore
from bridge.store.replies import texts


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
        totp_secret: of the authenticator app, base32; "" without a second factor.
        recovery: SHA-256 of each recovery code that is left.
        made_ms: when, ms since the Unix epoch.
    """

    name: str
    roles: tuple[str, ...] = ()
    routes: tuple[str, ...] = ("*",)
    password_hash: str = ""
    subject: str = ""
    disabled: bool = False
    made_ms: int = 0
    totp_secret: str = ""
    recovery: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return what is stored."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "User":
        """Read what is stored."""
        found = json.loads(text)
        lists = {name: tuple(found.get(name, ())) for name in ("roles", "routes", "recovery")}
        return cls(**{**found, **lists})


@dataclass(frozen=True, slots=True)
class Roster:
    """All users at one time.

    Attributes:
        version: grows with every change of one of them.
        users: by name.
    """

    version: str
    users: Mapping[str, User]


class UserStore(RedisStore):
    """Reads users, and says how they are changed: :mod:`bridge.store.audit_log` does it."""

    async def get(self, name: str) -> User | None:
        """Return a user, None if there is none such."""
        reply = await self._link.ask(("HGET", self._keys.users, name))
        return User.from_json(reply) if isinstance(reply, str) else None

    async def roster(self) -> "Roster":
        """Return all users, as of one version."""
        # A change between the two replies makes the version too old, and the change is refused.
        version, found = await self._link.ask_all(
            [("HGET", self._keys.users_version, "version"), ("HVALS", self._keys.users)]
        )
        users = (User.from_json(each) for each in texts(found))
        return Roster(str(version or ""), {user.name: user for user in users})

    def guard(self, roster: "Roster") -> Guard:
        """Return what refuses a change that was made from a roster that is outdated."""
        return Guard(self._keys.users_version, "version", roster.version)

    def put(self, *users: User) -> list[Command]:
        """Return what puts users in the place of those of the same names."""
        pairs = [word for user in users for word in (user.name, user.to_json())]
        return [
            ("HSET", self._keys.users, *pairs),
            ("HINCRBY", self._keys.users_version, "version", 1),
        ]
