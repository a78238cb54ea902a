"""The interface of a dialect on the server's side of the socket.

Twin of :mod:`bridge.realtime.dialect`, and an implementation apart from it: the same canonical
commands and events, read and written here by different code, so that a mistake in an adapter shows.
"""

import enum
from dataclasses import dataclass, field
from typing import Protocol

from bridge.realtime.commands import Command
from bridge.realtime.events import ServerEvent
from bridge.realtime.ids import ResponseId
from bridge.realtime.session_config import ResponseConfig, SessionConfig, SessionInfo, SessionKind
from bridge.simulator.names import new_name

WireObject = dict[str, object]
"""One JSON object as it goes over the socket."""


class DialectName(enum.StrEnum):
    """The dialects that the server speaks."""

    BETA = "beta"
    GA = "ga"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a session is, from its first event to its last.

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
class Request:
    """A client event: what it wants, and the name it gave itself."""

    command: Command
    event_id: str | None = None


class Wire(Protocol):
    """One connection's dialect, and the session settings in that dialect's shape."""

    @property
    def config(self) -> SessionConfig:
        """The settings in force; unlike a client's, complete."""
        ...

    @property
    def info(self) -> SessionInfo:
        """Who the session is."""
        ...

    @property
    def session(self) -> WireObject:
        """The session object as the client sees it."""
        ...

    def decode(self, text: str) -> Request:
        """Read one client event; a ``session.update`` is in force once it is read.

        Raises:
            Refused: the event is not as the protocol has it. Nothing has changed.
        """
        ...

    def begin_response(self, response_id: ResponseId, asked: ResponseConfig) -> None:
        """Remember what a response was asked to be: its events say so."""
        ...

    def encode(self, event: ServerEvent) -> list[WireObject]:
        """Write an event: one object, several, or none where the dialect has no such event."""
        ...
