"""What a dialect is on the server's side of the socket.

Twin of :mod:`bridge.realtime.dialect`, and an implementation apart from it: the same canonical
commands and events, read and written here by different code, so that a mistake in an adapter shows.
"""

from dataclasses import dataclass
from typing import Protocol

from bridge.realtime.commands import Command
from bridge.realtime.events import ServerEvent
from bridge.realtime.session_config import SessionConfig, SessionInfo

WireObject = dict[str, object]
"""One JSON object as it goes over the socket."""


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

    def decode(self, text: str) -> Request:
        """Read one client event; a ``session.update`` is in force once it is read.

        Raises:
            Refused: the event is not as the protocol has it. Nothing has changed.
        """
        ...

    def encode(self, event: ServerEvent) -> list[WireObject]:
        """Write an event: one object, several, or none where the dialect has no such event."""
        ...
