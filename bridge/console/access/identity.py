"""What the console knows of an identity provider, without the libraries that talk to one.

Those take 0.2 s of CPU to import; a gateway without a provider starts without them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bridge.config.console import OidcSettings
from bridge.console.access.roles import UserRole
from bridge.errors import BridgeError

BEGUN_LIFE_S = 600
"""How long a sign-in that has begun may take."""


class OidcRefusedError(BridgeError):
    """The provider, or what it sent, did not sign anybody in; the log has the reason."""


@dataclass(frozen=True, slots=True)
class ProvidedIdentity:
    """A user as the identity provider names them.

    Attributes:
        subject: issuer and `sub`: stays, whatever his name becomes.
        name: for people.
        roles: that the settings give for his groups.
    """

    subject: str
    name: str
    roles: tuple[UserRole, ...]


class IdentityProvider(Protocol):
    """Signs users in elsewhere (:class:`bridge.console.access.oidc.OidcProvider`).

    Attributes:
        settings: of it.
    """

    settings: OidcSettings

    async def begin(self, redirect_uri: str) -> tuple[str, str]:
        """Return where to send a browser, and a secret that its cookie has to bring back."""

    async def finish(
        self, query: Mapping[str, str], browser: str | None, redirect_uri: str
    ) -> ProvidedIdentity:
        """Return who has signed in."""
