"""Signing in: limited, put down, the same for users who don't exist."""

from bridge.clock import NS_PER_MS, Clock
from bridge.console.access.audit import Auditor, Entry
from bridge.console.access.passwords import Passwords
from bridge.console.access.secrets import new_token
from bridge.errors import BridgeError
from bridge.store.limits import Bucket, LimitStore
from bridge.store.sessions import Session, SessionStore
from bridge.store.users import User, UserStore

_MINUTE_MS = 60_000


def buckets_of(name: str, address: str) -> tuple[Bucket, ...]:
    """Return what tries to sign in are counted for.

    A user from one address has five tries, then waits 1, 2, 4 ... s, up to 15 minutes. An address
    has 30, so that one who tries many users is slowed down, and an office behind one address is
    not. A user from anywhere has 50, then never more than a minute: nobody can lock him out.
    """
    quarter_ms = 15 * _MINUTE_MS
    return (
        Bucket("login", f"{name} {address}", 5, 1000, quarter_ms, quarter_ms),
        Bucket("login-address", address, 30, 1000, quarter_ms, quarter_ms, shared=True),
        Bucket("login-user", name, 50, 1000, _MINUTE_MS, quarter_ms),
    )


class SignInRefusedError(BridgeError):
    """Name or password is wrong, or the user is disabled: nobody learns which."""


class TooManyTriesError(BridgeError):
    """Too many tries.

    Attributes:
        wait_ms: until the next one.
    """

    def __init__(self, wait_ms: int) -> None:
        super().__init__("too many tries to sign in", remedy="wait a little", retryable=True)
        self.wait_ms = wait_ms


class SignIn:
    """Opens sessions.

    Args:
        users: who may.
        sessions: where they are kept.
        passwords: checks them.
        limits: counts tries.
        auditor: puts down who came, and who was refused.
        clock: wall time.
    """

    def __init__(
        self,
        users: UserStore,
        sessions: SessionStore,
        passwords: Passwords,
        limits: LimitStore,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._limits = limits
        self._auditor = auditor
        self._clock = clock

    async def by_password(self, name: str, password: str, address: str) -> User:
        """Return the user whose name and password these are.

        Raises:
            SignInRefusedError: there is none such.
            TooManyTriesError: nobody looked.
            TooBusyError: nobody looked.
            AuditUnavailableError: a refusal could not be put down.
        """
        buckets = buckets_of(name, address)
        tried = await self._limits.attempt(buckets)
        if tried.wait_ms:
            raise TooManyTriesError(tried.wait_ms)
        user = await self._users.get(name)
        right = await self._passwords.verify("" if user is None else user.password_hash, password)
        if user is None or not right or user.disabled:
            # A name that is nobody's may be a password in the wrong field.
            known = "" if user is None else user.name
            result = "refused, locked for a while" if tried.locks else "refused"
            await self._auditor.write(Entry(known, "login", address=address, result=result))
            raise SignInRefusedError("name or password is wrong")
        await self._limits.forgive(buckets)
        return user

    async def open(
        self, user: User, address: str, *, via: str, instead_of: str | None = None
    ) -> tuple[str, Session]:
        """Open a session; return its secret token, for the cookie, and what is known of it.

        Args:
            user: whose.
            address: from where.
            via: `password`, `invite` or `oidc`.
            instead_of: the token of the session that this browser had: it ends.

        Raises:
            AuditUnavailableError: it could not be put down.
        """
        entry = Entry(user.name, "login", user.roles, address, params={"via": via})
        await self._auditor.write(entry)
        now_ms = self._clock.wall_ns() // NS_PER_MS
        if instead_of and (before := await self._sessions.find(instead_of, now_ms)) is not None:
            await self._sessions.end(before)
        token = new_token()
        session = await self._sessions.open(
            token, new_token(), user.name, now_ms, via=via, address=address
        )
        return token, session
