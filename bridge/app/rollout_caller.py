"""Who calls, as a rollout's draw knows them, and the secret that they are drawn with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.errors import ConfigError
from bridge.routing.numbers import normalise_called

_WITHHELD = frozenset({"", "anonymous", "unknown", "unavailable", "restricted"})
"""User parts of callers who don't show their number (RFC 3323 section 4.1.1.3 and usage)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What an INVITE says of its call."""

    from_uri: str
    called: str
    sip_call_id: str
    trunk: str = ""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def number(self) -> str:
        """The caller's number or name; empty where it is withheld."""
        user = normalise_called(self.from_uri)
        return "" if user.lower() in _WITHHELD else user


def read_secret(variable: str, environ: Mapping[str, str]) -> bytes:
    """Return the key that callers are drawn with.

    Raises:
        ConfigError: it is not set, or too short to keep numbers from being guessed.
    """
    secret = environ.get(variable, "").strip().encode()
    if len(secret) < 16:
        raise ConfigError(
            f"the environment variable {variable} holds no key of 16 characters or more, and there"
            " are rollouts",
            remedy=f"export {variable} with a random secret, the same on every node",
        )
    return secret
