"""The interface of a dialect: canonical events on one side, a wire on the other.

A dialect is two tables, decode and encode, and the handshake that chooses it. Dialects don't know
each other; nothing above this package knows what is on the wire.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from bridge.realtime.commands import Command
from bridge.realtime.confirmed import Difference
from bridge.realtime.events import ServerEvent
from bridge.realtime.items import PartKind
from bridge.realtime.session_config import SessionConfig, SessionInfo

WireEvent = dict[str, object]
"""One JSON object as it goes over the socket."""


class Dialect(Protocol):
    """One version of the Realtime wire protocol.

    Args:
        takes: session fields that the server takes though its dialect lacks them.
    """

    def __init__(self, takes: Collection[str] = ()) -> None: ...

    @property
    def name(self) -> str:
        """Short name, as in an arm's settings and in metric labels: ``ga``, ``beta``."""
        ...

    @property
    def creates(self) -> Collection[PartKind]:
        """The content that a client may create in it; :meth:`encode` refuses any other."""
        ...

    def handshake_headers(self) -> Mapping[str, str]:
        """Return the HTTP headers beside Authorization that choose this dialect."""
        ...

    def decode(self, frame: str | bytes) -> ServerEvent:
        """Turn one text frame into a canonical event.

        Raises:
            ProtocolError: not JSON, not an object, no type, or a known type whose payload lacks
                what the protocol promises. Unknown types give :class:`UnknownEvent`.
        """
        ...

    def encode(self, command: Command, event_id: str | None = None) -> str:
        """Turn a command into one text frame.

        Raises:
            ValueError: the command cannot be said in this dialect at all (our bug).
        """
        ...

    def unsupported(self, config: SessionConfig) -> Mapping[str, str]:
        """Name the fields of ``config`` that this dialect would drop, each with the reason."""
        ...

    def differences(self, config: SessionConfig, info: SessionInfo) -> Sequence[Difference]:
        """Name what a server confirmed otherwise than ``config`` asked for."""
        ...
