"""A connection's identity, its requests and its state, as the dialects have them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bridge.realtime.session_config import ResponseConfig, SessionConfig, SessionInfo, SessionKind
from bridge.simulator.names import new_name

T = TypeVar("T")

WireObject = dict[str, object]
"""One JSON object as it goes over the socket."""


class DialectName(enum.StrEnum):
    """The dialects that the server speaks."""

    BETA = "beta"
    GA = "ga"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """A session's identity, from its first event to its last.

    Attributes:
        expires_at_s: Unix time, seconds.
    """

    model: str
    expires_at_s: int
    kind: SessionKind = SessionKind.REALTIME
    session_id: str = field(default_factory=lambda: new_name("sess"))
    conversation_id: str = field(default_factory=lambda: new_name("conv"))

    def info(self, config: SessionConfig) -> SessionInfo:
        """Return it with the settings in force."""
        return SessionInfo(
            session_id=self.session_id,
            model=self.model,
            expires_at_s=self.expires_at_s,
            voice=config.voice,
            input_format=config.input_format,
            output_format=config.output_format,
        )


@dataclass(frozen=True, slots=True)
class ClientRequest(Generic[T]):
    """A client event, read: its command, and the name that the client gave it."""

    command: T
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class WireState:
    """A session as its events repeat it.

    Attributes:
        session: the session object of the wire.
        asked: what each response that has begun was asked to be.
    """

    identity: SessionIdentity
    session: WireObject
    asked: Mapping[str, ResponseConfig]
