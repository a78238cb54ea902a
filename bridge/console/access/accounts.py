"""Users: made by invitation, changed by admins, each change with its entry in the audit.

An invitation's link is good once and for a while; it stands in the URL's fragment, which no server
and no proxy's log ever sees. The first admin is invited by the first start.
"""

import dataclasses
from collections.abc import Callable, Sequence

from bridge.clock import NS_PER_MS, Clock
from bridge.console.access.audit import AuditEntry, Auditor
from bridge.console.access.passwords import Passwords
from bridge.console.access.roles import Permission, UserRole, permissions_of
from bridge.console.access.secrets import new_token
from bridge.errors import BridgeError, InfrastructureError
from bridge.store.pending import PendingStore
from bridge.store.sessions import SessionStore
from bridge.store.users import Roster, User, UserStore

INVITE_LIFE_S = 3 * 24 * 3600
FIRST_ADMIN_LIFE_S = 3600

_ATTEMPTS = 20
_FIRST_ADMIN = "first admin"
_USER = "user"

_ROLES = frozenset(UserRole)

Change = Callable[[User], User]


class AccountError(BridgeError):
    """A change of an account was refused; the text is for the one who asked for it."""


class Accounts:
    """Makes and changes users.

    Args:
        users: where they are kept.
        invitations: what their links are good for.
        sessions: those of a user who is changed end.
        passwords: hashes them.
        auditor: puts every change down, in the same step.
        clock: wall time.
    """

    def __init__(
        self,
        users: UserStore,
        invitations: PendingStore,
        sessions: SessionStore,
        passwords: Passwords,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._users = users
        self._invitations = invitations
        self._sessions = sessions
        self._passwords = passwords
        self._auditor = auditor
        self._clock = clock

    async def all(self) -> list[User]:
        """Return every user, by name."""
        roster = await self._users.roster()
        return [roster.users[name] for name in sorted(roster.users)]

    async def first_admin_token(self) -> str | None:
        """Return a token that makes the first admin; None where there is one already."""
        if _admins(await self._users.roster()):
            return None
        token = new_token()
        await self._invitations.put(token, {"kind": _FIRST_ADMIN}, FIRST_ADMIN_LIFE_S)
        return token

    async def invite(
        self, entry: AuditEntry, name: str, roles: Sequence[UserRole], routes: Sequence[str]
    ) -> str:
        """Make a user who can't sign in yet; return the token that he sets his password with.

        Args:
            entry: who does it; action, target and parameters are added.
            name: of the new user.
            roles: of his.
            routes: patterns of dialplans.

        Raises:
            AccountError: the name is taken.
        """
        user = User(name, tuple(sorted(roles)), tuple(routes), made_ms=self._now_ms())

        def add(roster: Roster) -> User:
            if name in roster.users:
                raise AccountError(f"there is a user '{name}' already")
            return user

        params = {"roles": user.roles, "routes": user.routes}
        await self._put(add, dataclasses.replace(entry, action="user invite", params=params))
        return await self._invitation(name)

    async def reset(self, entry: AuditEntry, name: str) -> str:
        """Take a user's password and second factor away; return the token for a new password."""
        await self._change(name, _without_secrets, entry, "user reset")
        await self._sessions.end_all(name)
        return await self._invitation(name)

    async def change(
        self,
        entry: AuditEntry,
        name: str,
        *,
        roles: Sequence[UserRole] | None = None,
        routes: Sequence[str] | None = None,
        disabled: bool | None = None,
    ) -> User:
        """Change what a user may do; None leaves it. Who is disabled is signed out.

        Raises:
            AccountError: there is none such, or nobody would be admin any more.
        """
        given = {
            "roles": None if roles is None else tuple(sorted(roles)),
            "routes": None if routes is None else tuple(routes),
            "disabled": disabled,
        }
        changes = {field: value for field, value in given.items() if value is not None}

        def apply(user: User) -> User:
            return dataclasses.replace(user, **changes)  # type: ignore[arg-type]  # as given above

        user = await self._change(name, apply, entry, "user change", params=changes)
        if user.disabled:
            await self._sessions.end_all(name)
        return user

    async def set_password(self, entry: AuditEntry, name: str, password: str) -> None:
        """Give a user another password.

        Raises:
            AccountError: it is easy to guess, or too long, or he signs in elsewhere.
        """
        await self._refuse_weak(password, name)
        kept = await self._passwords.hash(password)

        def apply(user: User) -> User:
            if user.subject:
                raise AccountError("this user signs in with the identity provider")
            return dataclasses.replace(user, password_hash=kept)

        await self._change(name, apply, entry, "user password")

    async def set_second_factor(
        self, entry: AuditEntry, name: str, secret: str, recovery: Sequence[str] = ()
    ) -> User:
        """Give a user the secret of his app, or take it away with "".

        Args:
            entry: who does it; action and target are added.
            name: of the user.
            secret: base32.
            recovery: what is kept of his recovery codes.

        Raises:
            AccountError: there is none such, or he signs in elsewhere.
        """

        def apply(user: User) -> User:
            if user.subject:
                raise AccountError("this user signs in with the identity provider")
            return dataclasses.replace(user, totp_secret=secret, recovery=tuple(recovery))

        action = "second factor on" if secret else "second factor off"
        return await self._change(name, apply, entry, action)

    async def use_recovery_code(self, entry: AuditEntry, name: str, kept: str) -> None:
        """Use one of a user's recovery codes up.

        Args:
            entry: who does it; action and target are added.
            name: of the user.
            kept: what is kept of the code.

        Raises:
            AccountError: somebody else has used it meanwhile.
        """

        def apply(user: User) -> User:
            if kept not in user.recovery:
                raise AccountError("this recovery code was used already")
            left = tuple(each for each in user.recovery if each != kept)
            return dataclasses.replace(user, recovery=left)

        await self._change(name, apply, entry, "recovery code")

    async def redeem(self, token: str, name: str, password: str, address: str) -> User:
        """Set the password that an invitation is for; the first admin chooses his name.

        Raises:
            AccountError: the invitation is not good (any more), or the password isn't.
        """
        purpose = await self._invitations.look(token)
        if purpose is None:
            raise _bad_invitation()
        name = purpose.get("user", name)
        await self._refuse_weak(password, name)
        kept = await self._passwords.hash(password)
        if await self._invitations.take(token) is None:
            raise _bad_invitation()
        if purpose["kind"] == _FIRST_ADMIN:
            return await self._make_first_admin(name, kept, address)

        def apply(user: User) -> User:
            return dataclasses.replace(user, password_hash=kept)

        return await self._change(name, apply, AuditEntry(name, "", address=address), "user accept")

    async def invited(self, token: str) -> dict[str, str]:
        """Return whom an invitation is for: `user`, "" where he chooses his name.

        Raises:
            AccountError: it is not good (any more).
        """
        purpose = await self._invitations.look(token)
        if purpose is None:
            raise _bad_invitation()
        return {"user": purpose.get("user", "")}

    async def signed_in_elsewhere(
        self,
        subject: str,
        name: str,
        roles: Sequence[UserRole],
        routes: Sequence[str],
        address: str,
    ) -> User:
        """Return the user of an identity provider's subject, made or changed to what it says now.

        Args:
            subject: who he is there.
            name: for a new user.
            roles: that he has now.
            routes: for a new user.
            address: where he comes from.

        Raises:
            AccountError: he is disabled, or a local user has his name.
        """

        def put(roster: Roster) -> User:
            known = [user for user in roster.users.values() if user.subject == subject]
            if not known and name in roster.users:
                raise AccountError(f"there is a local user '{name}' already")
            new = User(name, (), tuple(routes), subject=subject, made_ms=self._now_ms())
            found = known[0] if known else new
            if found.disabled:
                raise AccountError("this user is disabled")
            return dataclasses.replace(found, roles=tuple(sorted(roles)))

        entry = AuditEntry(name, "user provided", address=address, params={"roles": sorted(roles)})
        # What the provider takes away is gone, though nobody be admin any more.
        return await self._put(put, entry, keep_admin=False)

    async def _refuse_weak(self, password: str, name: str) -> None:
        if why := await self._passwords.weakness(password, name):
            raise AccountError(why)

    async def _make_first_admin(self, name: str, kept: str, address: str) -> User:
        def add(roster: Roster) -> User:
            if _admins(roster):
                raise AccountError("there is an admin already")
            return User(name, (UserRole.ADMIN,), password_hash=kept, made_ms=self._now_ms())

        return await self._put(add, AuditEntry(name, _FIRST_ADMIN, address=address))

    async def _invitation(self, name: str) -> str:
        token = new_token()
        await self._invitations.put(token, {"kind": _USER, "user": name}, INVITE_LIFE_S)
        return token

    async def _change(
        self, name: str, change: Change, entry: AuditEntry, action: str, **more: object
    ) -> User:
        def apply(roster: Roster) -> User:
            if name not in roster.users:
                raise AccountError(f"there is no user '{name}'")
            return change(roster.users[name])

        recorded = dataclasses.replace(entry, action=action, **more)  # type: ignore[arg-type]
        return await self._put(apply, recorded)

    async def _put(
        self, change: Callable[[Roster], User], entry: AuditEntry, *, keep_admin: bool = True
    ) -> User:
        """Change one user and put it down, made from whatever the users are by then."""
        for _ in range(_ATTEMPTS):
            roster = await self._users.roster()
            user = change(roster)
            if user == roster.users.get(user.name):
                return user
            after = Roster("", {**roster.users, user.name: user})
            if keep_admin and _admins(roster) and not _admins(after):
                raise AccountError("nobody would be admin any more: make another one first")
            recorded = dataclasses.replace(entry, target=user.name)
            guard = self._users.guard(roster)
            if await self._auditor.write(recorded, guard=guard, commands=self._users.put(user)):
                return user
        raise InfrastructureError("the users are changed by others all the time")

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS


def _admins(roster: Roster) -> list[User]:
    """Return who can sign in and make users."""
    return [
        user
        for user in roster.users.values()
        if not user.disabled
        and (user.password_hash or user.subject)
        and Permission.USERS_ADMIN in permissions_of(known_roles(user.roles))
    ]


def known_roles(names: Sequence[str]) -> frozenset[UserRole]:
    """Return stored names as roles; one that is no role (any more) gives nothing."""
    return frozenset(UserRole(name) for name in names if name in _ROLES)


def _without_secrets(user: User) -> User:
    if user.subject:
        raise AccountError("this user signs in with the identity provider")
    return dataclasses.replace(user, password_hash="", totp_secret="", recovery=())


def _bad_invitation() -> AccountError:
    return AccountError("the link was used already, or its time is over: ask for another one")
