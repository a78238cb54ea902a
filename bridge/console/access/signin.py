"""Signing in: limited, audited, the same for users who don't exist.

Name and password first; a user with a second factor is asked for its code only after those are
right, and tries of codes are counted apart, so that a right password forgives no wrong code.
"""

from dataclasses import dataclass
from typing import NoReturn

from bridge.clock import NS_PER_MS, Clock
from bridge.console.access.accounts import Accounts
from bridge.console.access.audit import AuditEntry, Auditor
from bridge.console.access.passwords import Passwords
from bridge.console.access.second_factor import (
    EnrolmentNeededError,
    SecondFactorNeededError,
    SecondFactors,
    kept_of,
    new_recovery_codes,
    recovery_of,
)
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


def code_buckets_of(name: str) -> tuple[Bucket, ...]:
    """Return what tries of a user's codes are counted for: five, then 1, 2, 4 ... s, up to 15 min.

    Only somebody with the right password can fill it.
    """
    quarter_ms = 15 * _MINUTE_MS
    return (Bucket("login-code", name, 5, 1000, quarter_ms, quarter_ms),)


@dataclass(frozen=True, slots=True)
class Proof:
    """A user's name, password and code, as typed to sign in.

    Attributes:
        code: of his authenticator app, or a recovery code; "" for none.
        enrolment: token of the app's enrolment that the code confirms; "" for none.
    """

    name: str
    password: str
    code: str = ""
    enrolment: str = ""


@dataclass(frozen=True, slots=True)
class Identified:
    """A user who has shown who he is.

    Attributes:
        recovery_codes: of the second factor that he has just set up, to be shown once.
    """

    user: User
    recovery_codes: tuple[str, ...] = ()


class SignInRefusedError(BridgeError):
    """Name, password or code is wrong, or the user is disabled: a guesser learns no more."""


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
        accounts: keeps second factors.
        factors: checks their codes.
        clock: wall time.
        wants_second_factor: of every local user.
    """

    def __init__(
        self,
        users: UserStore,
        sessions: SessionStore,
        passwords: Passwords,
        limits: LimitStore,
        auditor: Auditor,
        accounts: Accounts,
        factors: SecondFactors,
        clock: Clock,
        *,
        wants_second_factor: bool = False,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._limits = limits
        self._auditor = auditor
        self._accounts = accounts
        self.factors = factors
        self._clock = clock
        self.wants_second_factor = wants_second_factor

    async def identify(self, proof: Proof, address: str) -> Identified:
        """Return the user who shows who he is, by password and second factor.

        Raises:
            SignInRefusedError: name, password or code is wrong.
            SecondFactorNeededError: the code is missing.
            EnrolmentNeededError: he has no second factor, and needs one.
            TooManyTriesError, TooBusyError: nobody looked.
            AuditUnavailableError: a refusal could not be put down.
        """
        user = await self.by_password(proof.name, proof.password, address)
        if user.totp_secret:
            await self.by_code(user, proof.code, address)
        elif proof.enrolment:
            return Identified(user, await self.enrol(user, proof.enrolment, proof.code, address))
        elif self.wants_second_factor:
            raise EnrolmentNeededError(await self.factors.begin(user.name))
        return Identified(user)

    async def by_code(self, user: User, code: str, address: str) -> None:
        """Check the code of a user's second factor, or one of his recovery codes.

        Raises:
            SecondFactorNeededError: there is none.
            SignInRefusedError: it is wrong, or was used before.
            TooManyTriesError: nobody looked.
        """
        if not code:
            raise SecondFactorNeededError("a code of your authenticator app is needed")
        await self._try_code(user.name)
        if await self.factors.check(user, code):
            await self._limits.forgive(code_buckets_of(user.name))
        elif kept := recovery_of(user, code):
            entry = AuditEntry(user.name, "", user.roles, address)
            await self._accounts.use_recovery_code(entry, user.name, kept)
        else:
            await self._refuse_code(user, address)

    async def enrol(self, user: User, token: str, code: str, address: str) -> tuple[str, ...]:
        """Make an app a user's second factor by its first code; return new recovery codes.

        Raises:
            SignInRefusedError: the code is wrong, or the enrolment is over.
            TooManyTriesError: nobody looked.
        """
        await self._try_code(user.name)
        secret = await self.factors.confirm(token, user.name, code)
        if secret is None:
            await self._refuse_code(user, address)
        codes = new_recovery_codes()
        entry = AuditEntry(user.name, "", user.roles, address)
        await self._accounts.set_second_factor(entry, user.name, secret, kept_of(codes))
        await self._limits.forgive(code_buckets_of(user.name))
        return codes

    async def _try_code(self, name: str) -> None:
        tried = await self._limits.attempt(code_buckets_of(name))
        if tried.wait_ms:
            raise TooManyTriesError(tried.wait_ms)

    async def _refuse_code(self, user: User, address: str) -> NoReturn:
        refused = AuditEntry(user.name, "login", address=address, result="refused: code")
        await self._auditor.write(refused)
        raise SignInRefusedError("the code is wrong, or was used already")

    async def by_password(self, name: str, password: str, address: str) -> User:
        """Return the user whose name and password these are; his second factor is not asked for.

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
            await self._auditor.write(AuditEntry(known, "login", address=address, result=result))
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
        entry = AuditEntry(user.name, "login", user.roles, address, params={"via": via})
        await self._auditor.write(entry)
        now_ms = self._clock.wall_ns() // NS_PER_MS
        if instead_of and (before := await self._sessions.find(instead_of, now_ms)) is not None:
            await self._sessions.end(before)
        token = new_token()
        session = await self._sessions.open(
            token, new_token(), user.name, now_ms, via=via, address=address
        )
        return token, session
