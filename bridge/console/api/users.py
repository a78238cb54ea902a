"""`/api/v1/users`: the console's users and their roles."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field, model_validator

from bridge.console.access.accounts import known_roles
from bridge.console.access.audit import AuditEntry
from bridge.console.access.door import Allowed
from bridge.console.access.origin import own_origin
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission, UserRole
from bridge.console.services import ConsoleServices, Using
from bridge.console.streams import check_streams
from bridge.store.users import User

router = APIRouter(prefix="/users", tags=["users"])

Admin = Annotated[Principal, Depends(Allowed(Permission.USERS_ADMIN))]
Revokes = Depends(check_streams)
UserName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]
Route = Annotated[str, Field(pattern=r"^[a-z0-9*?_-]{1,64}$")]


class UserView(BaseModel):
    """A user.

    Attributes:
        routes: patterns of dialplans, ``*`` for all.
        invited: has not set a password yet.
        provider: signs in with the identity provider, which says his roles.
    """

    user: str
    roles: list[UserRole]
    routes: list[str]
    disabled: bool
    invited: bool
    provider: bool
    made_ms: int

    @classmethod
    def of(cls, user: User) -> "UserView":
        """Show a user."""
        return cls(
            user=user.name,
            roles=sorted(known_roles(user.roles)),
            routes=list(user.routes),
            disabled=user.disabled,
            invited=not user.password_hash and not user.subject,
            provider=bool(user.subject),
            made_ms=user.made_ms,
        )


class NewUser(BaseModel):
    """A user to be invited."""

    user: UserName
    roles: Annotated[list[UserRole], Field(min_length=1)]
    routes: Annotated[list[Route], Field(min_length=1, max_length=100)] = ["*"]


class UserChange(BaseModel):
    """A change of a user; fields that are missing stay."""

    roles: Annotated[list[UserRole], Field(min_length=1)] | None = None
    routes: Annotated[list[Route], Field(min_length=1, max_length=100)] | None = None
    disabled: bool | None = None

    @model_validator(mode="after")
    def _change_something(self) -> "UserChange":
        if not self.model_fields_set:
            raise ValueError("names nothing to change")
        return self


class InvitationLink(BaseModel):
    """A link to give to somebody, over a way that nobody else reads: it is good once."""

    user: str
    link: str


@router.get("")
async def list_users(_: Admin, services: Using) -> list[UserView]:
    """Return all users, by name."""
    return [UserView.of(user) for user in await services.accounts.all()]


@router.post("", status_code=201)
async def invite_user(
    admin: Admin, given: NewUser, request: Request, services: Using
) -> InvitationLink:
    """Make a user; the link is where he sets his password, within three days."""
    token = await services.accounts.invite(
        AuditEntry.by(admin, ""), given.user, given.roles, given.routes
    )
    return _link(given.user, token, request, services)


@router.patch("/{user}", dependencies=[Revokes])
async def change_user(admin: Admin, user: str, given: UserChange, services: Using) -> UserView:
    """Change roles or routes, or disable a user, which ends his sign-ins. It counts at once."""
    changed = await services.accounts.change(
        AuditEntry.by(admin, ""),
        user,
        roles=given.roles,
        routes=given.routes,
        disabled=given.disabled,
    )
    return UserView.of(changed)


@router.post("/{user}/reset", dependencies=[Revokes])
async def reset_user(admin: Admin, user: str, request: Request, services: Using) -> InvitationLink:
    """Take a user's password away; the link is where he sets another one."""
    token = await services.accounts.reset(AuditEntry.by(admin, ""), user)
    return _link(user, token, request, services)


def _link(user: str, token: str, request: Request, services: ConsoleServices) -> InvitationLink:
    return InvitationLink(
        user=user, link=f"{own_origin(request, services.settings)}/welcome#{token}"
    )
