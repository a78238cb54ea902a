"""The signed-in user of a request, and the permissions that their roles give them."""

from dataclasses import dataclass

from bridge.console.access.roles import Permission, UserRole, covers, permissions_of


@dataclass(frozen=True, slots=True)
class Principal:
    """A user who is signed in, as he is at this request.

    Attributes:
        user: the name.
        roles: what he is now; a change counts from the next request on.
        routes: patterns of the dialplans whose calls he may see.
        session_id: of the sign-in; no secret, the cookie can't be made from it.
        csrf_token: what a change must carry in the header ``X-CSRF-Token``.
        address: where the request came from.
    """

    user: str
    roles: frozenset[UserRole]
    routes: tuple[str, ...]
    session_id: str
    csrf_token: str
    address: str

    @property
    def permissions(self) -> frozenset[Permission]:
        """All that he may do."""
        return permissions_of(self.roles)

    def may(self, permission: Permission | str) -> bool:
        """Return whether one of his roles allows this."""
        return Permission(permission) in self.permissions

    def may_see(self, route: str) -> bool:
        """Return whether the calls of a dialplan concern him."""
        return covers(self.routes, route)

    @property
    def knows_watchers(self) -> bool:
        """Whether he sees who watches a call: who may himself. Others see how many."""
        return self.may(Permission.MONITOR)

    @property
    def reads_summaries(self) -> bool:
        """Whether he may read what the model wrote of a caller for the person who takes over."""
        return self.may(Permission.TRANSCRIPT_VIEW) or self.may(Permission.QUEUE_ACCEPT)
