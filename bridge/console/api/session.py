"""`/api/v1/session`: signing in and out, one's own password and second factor."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, Field

from bridge.console.access.accounts import AccountError, known_roles
from bridge.console.access.audit import AuditEntry
from bridge.console.access.cookies import drop_session_cookie, session_token, set_session_cookie
from bridge.console.access.door import Allowed, address_of
from bridge.console.access.origin import is_foreign
from bridge.console.access.passwords import MAX_LENGTH
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission, UserRole
from bridge.console.access.second_factor import EnrolmentNeededError, SecondFactorNeededError
from bridge.console.access.signin import Proof, SignInRefusedError
from bridge.console.services import ConsoleServices, Using
from bridge.console.streams import check_streams
from bridge.store.sessions import Session
from bridge.store.users import User

router = APIRouter(tags=["session"])

SignedIn = Annotated[Principal, Depends(Allowed(None))]
Secret = Annotated[str, Field(max_length=MAX_LENGTH)]
Token = Annotated[str, Field(max_length=64)]
Code = Annotated[str, Field(max_length=64)]
Revokes = Depends(check_streams)


class SessionView(BaseModel):
    """The signed-in user, with roles and permissions.

    Attributes:
        csrf_token: for the header ``X-CSRF-Token`` of whatever changes something.
        recovery_codes: of the second factor that this sign-in has set up; shown this once.
    """

    user: str
    roles: list[UserRole]
    routes: list[str]
    permissions: list[Permission]
    csrf_token: str
    recovery_codes: list[str] = []

    @classmethod
    def of(cls, principal: Principal, recovery_codes: Sequence[str] = ()) -> "SessionView":
        """Show a principal."""
        return cls(
            user=principal.user,
            roles=sorted(principal.roles),
            routes=list(principal.routes),
            permissions=sorted(principal.permissions),
            csrf_token=principal.csrf_token,
            recovery_codes=list(recovery_codes),
        )


class Credentials(BaseModel):
    """Name and password, and what the second factor wants.

    Attributes:
        code: of the authenticator app, or a recovery code; empty before it is asked for.
        enrolment: token of the enrolment that the code confirms.
    """

    user: Annotated[str, Field(max_length=64)]
    password: Secret
    code: Code = ""
    enrolment: Token = ""


class Reauthentication(BaseModel):
    """The user's password once more."""

    password: Secret


class FirstCode(BaseModel):
    """The first code of an authenticator app, which confirms an enrolment."""

    token: Token
    code: Code


class SecondFactorOff(Reauthentication):
    """The password and code that take a user's second factor away."""

    code: Code


class EnrolmentView(BaseModel):
    """A secret for an authenticator app: as a picture, as a link, or to be typed.

    Attributes:
        picture: a QR code of ``uri``, an SVG as a data URI.
    """

    token: str
    secret: str
    uri: str
    picture: str


class RecoveryCodes(BaseModel):
    """Codes for a day without the app; each is good once, and they are shown this once."""

    recovery_codes: list[str]


class SecondFactorView(BaseModel):
    """The state of a user's second factor.

    Attributes:
        on: it is asked for at each sign-in.
        required: the settings want one of everybody.
        recovery_codes_left: of those that were shown when it was set up.
        local: one signs in with a password here, not with an identity provider.
    """

    on: bool
    required: bool
    recovery_codes_left: int
    local: bool


class NewPassword(BaseModel):
    """A user's old password, and the one in its place."""

    old: Secret
    new: Secret


class Invitation(BaseModel):
    """The token of an invitation's link."""

    token: Token


class InvitationAcceptance(Invitation):
    """The password that an invited user sets; the first admin chooses the name as well."""

    user: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]
    password: Secret


class Invited(BaseModel):
    """The user whom an invitation is for; empty where he chooses his name."""

    user: str


@contextmanager
def once_more() -> Iterator[None]:
    """Refuse a wrong password or code of somebody who is signed in: 403, he stays signed in."""
    try:
        yield
    except (SignInRefusedError, SecondFactorNeededError) as error:
        raise HTTPException(403, str(error)) from error


def from_our_page(request: Request, services: Using) -> None:
    """Refuse what another site's page sends: before the sign-in there is no token to ask for."""
    if is_foreign(request, services.settings):
        raise HTTPException(403, "the request comes from another site's page")


OurPage = Depends(from_our_page)


@router.get("/session")
async def get_session(principal: SignedIn) -> SessionView:
    """Return who is signed in and what he may do."""
    return SessionView.of(principal)


@router.post("/session", dependencies=[OurPage])
async def sign_in(
    given: Credentials, request: Request, response: Response, services: Using
) -> SessionView:
    """Sign in.

    401: name, password or code is wrong; with `second_factor: code` the code is missing, with
    `second_factor: enrol` an app is to be set up with `enrolment`, and its first code to be sent
    with the enrolment's token. 429: too many tries, see `Retry-After`.
    """
    proof = Proof(given.user, given.password, given.code, given.enrolment)
    found = await services.sign_in.identify(proof, address_of(request))
    via = "password and code" if given.code else "password"
    return await open_session(
        found.user, via, request, response, services, recovery_codes=found.recovery_codes
    )


@router.delete("/session", status_code=204, dependencies=[Revokes])
async def sign_out(
    principal: SignedIn, request: Request, response: Response, services: Using
) -> None:
    """Sign out."""
    session = await services.sessions.use(principal.session_id, services.now_ms)
    await services.auditor.write(AuditEntry.by(principal, "logout"))
    if session is not None:
        await services.sessions.end(session)
    drop_session_cookie(response, request)


@router.post("/session/password", status_code=204, dependencies=[Revokes])
async def change_password(principal: SignedIn, given: NewPassword, services: Using) -> None:
    """Change one's own password; one's other sign-ins end."""
    with once_more():
        await services.sign_in.by_password(principal.user, given.old, principal.address)
    await services.accounts.set_password(AuditEntry.by(principal, ""), principal.user, given.new)
    await services.sessions.end_all(principal.user, but=principal.session_id)


@router.get("/session/second-factor")
async def get_second_factor(principal: SignedIn, services: Using) -> SecondFactorView:
    """Return whether one has a second factor."""
    user = await _own(principal, services)
    return SecondFactorView(
        on=bool(user.totp_secret),
        required=services.sign_in.wants_second_factor,
        recovery_codes_left=len(user.recovery),
        local=not user.subject,
    )


@router.post("/session/second-factor")
async def begin_second_factor(
    principal: SignedIn, given: Reauthentication, services: Using
) -> EnrolmentView:
    """Return a secret for one's authenticator app; it counts once its first code is confirmed."""
    with once_more():
        user = await services.sign_in.by_password(principal.user, given.password, principal.address)
    if user.totp_secret:
        raise AccountError("there is a second factor already: take it away first")
    return EnrolmentView(**asdict(await services.sign_in.factors.begin(user.name)))


@router.post("/session/second-factor/confirm", dependencies=[Revokes])
async def confirm_second_factor(
    principal: SignedIn, given: FirstCode, services: Using
) -> RecoveryCodes:
    """Make an app one's second factor by its first code; one's other sign-ins end."""
    user = await _own(principal, services)
    if user.totp_secret:
        raise AccountError("there is a second factor already: take it away first")
    with once_more():
        codes = await services.sign_in.enrol(user, given.token, given.code, principal.address)
    await services.sessions.end_all(principal.user, but=principal.session_id)
    return RecoveryCodes(recovery_codes=list(codes))


@router.post("/session/second-factor/off", status_code=204)
async def end_second_factor(principal: SignedIn, given: SecondFactorOff, services: Using) -> None:
    """Take one's second factor away, by password and code. 409: the settings want one."""
    if services.sign_in.wants_second_factor:
        raise AccountError("this console wants a second factor: ask an admin for a new link")
    with once_more():
        user = await services.sign_in.by_password(principal.user, given.password, principal.address)
        await services.sign_in.by_code(user, given.code, principal.address)
    await services.accounts.set_second_factor(AuditEntry.by(principal, ""), principal.user, "")


@router.post("/invitation", dependencies=[OurPage])
async def look_at_invitation(given: Invitation, services: Using) -> Invited:
    """Return whom an invitation is for."""
    return Invited(**await services.accounts.invited(given.token))


@router.post("/invitation/accept", dependencies=[OurPage])
async def accept_invitation(
    given: InvitationAcceptance, request: Request, response: Response, services: Using
) -> SessionView:
    """Set the password that an invitation is for, and sign in.

    401 with `second_factor: enrol`: the password is set, and the console wants a second factor
    before the first sign-in.
    """
    address = address_of(request)
    user = await services.accounts.redeem(given.token, given.user, given.password, address)
    if services.sign_in.wants_second_factor:
        raise EnrolmentNeededError(await services.sign_in.factors.begin(user.name))
    return await open_session(user, "invite", request, response, services)


async def _own(principal: Principal, services: ConsoleServices) -> User:
    user = await services.users.get(principal.user)
    assert user is not None  # signed in a moment ago, and users are never deleted
    return user


async def open_session(
    user: User,
    via: str,
    request: Request,
    response: Response,
    services: ConsoleServices,
    *,
    recovery_codes: Sequence[str] = (),
) -> SessionView:
    """Open a session in the place of the one that this browser may have; set its cookie."""
    address = address_of(request)
    token, session = await services.sign_in.open(
        user, address, via=via, instead_of=session_token(request)
    )
    set_session_cookie(response, request, token, services.settings.session_max_s)
    return SessionView.of(_principal(user, session), recovery_codes)


def _principal(user: User, session: Session) -> Principal:
    return Principal(
        user.name,
        known_roles(user.roles),
        user.routes,
        session.session_id,
        session.csrf_token,
        session.address,
    )
