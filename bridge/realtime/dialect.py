"""The interface of a dialect: canonical events on one side, a wire on the other.

A dialect is two tables, decode and encode, the handshake that chooses it, and what its service can
be asked for and reports (:class:`ServiceTraits`). Dialects don't know each other; nothing above
this package knows what is on the wire, nor asks which dialect it is.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.realtime.commands import Command, EndSession, StartSession, UpdateSession
from bridge.realtime.confirmed import Difference
from bridge.realtime.events import ConversationCreated, ServerEvent, SessionCreated, SessionUpdated
from bridge.realtime.flavour import PLAIN, Flavour
from bridge.realtime.items import PartKind
from bridge.realtime.session_config import SessionConfig, SessionInfo

WireEvent = dict[str, object]
"""One JSON object as it goes over the socket."""


OpeningEvent = SessionCreated | ConversationCreated | SessionUpdated


@dataclass(frozen=True, slots=True)
class Awaited:
    """The events, with any of which a service goes on with an opening, and their wire name."""

    events: tuple[type[OpeningEvent], ...]
    name: str


OpeningStep = type[StartSession] | type[UpdateSession] | Awaited
"""A command that is said, or what is awaited."""


@dataclass(frozen=True, slots=True)
class ServiceTraits:
    """What a dialect's service can be asked for, and what it reports, where services differ.

    Attributes:
        opening: from the connection to a session that stands, in order; the last event has the
            session as it is.
        farewell: said before the connection is closed; None where its close says it all.
        unsayable: commands that the dialect has no word for.
        creates: the content that a client may create; any other can't be said.
        names_model: the connection's URL names the model.
        reports_turns: the service says where the caller's turns and its own answers begin and end.
            One that does not is full duplex: it listens while it speaks, and both are found by ear.
        speaks_first: it can be asked for a response before the caller has said anything.
        takes_talk_later: the talk of an earlier session can be given item by item to one that
            stands; else the opening alone has it.
        needs_sound: its clock is the caller's audio, which must not pause.
    """

    opening: tuple[OpeningStep, ...] = (
        Awaited((SessionCreated,), "session.created"),
        UpdateSession,
        Awaited((SessionUpdated,), "session.updated"),
    )
    farewell: type[EndSession] | None = None
    unsayable: frozenset[type[object]] = frozenset()
    creates: frozenset[PartKind] = frozenset()
    names_model: bool = True
    reports_turns: bool = True
    speaks_first: bool = True
    takes_talk_later: bool = True
    needs_sound: bool = False

    @property
    def takes_pictures(self) -> bool:
        """Whether a picture can be shown to the agent."""
        return PartKind.INPUT_IMAGE in self.creates


class Dialect(Protocol):
    """One version of the Realtime wire protocol.

    Args:
        takes: session fields that the server takes though its dialect lacks them.
        flavour: what the server does otherwise than its dialect.
    """

    def __init__(self, takes: Collection[str] = (), flavour: Flavour = PLAIN) -> None: ...

    @property
    def flavour(self) -> Flavour:
        """The server's own way with the dialect."""
        ...

    @property
    def name(self) -> str:
        """Short name, as in an arm's settings and in metric labels: ``ga``, ``beta``."""
        ...

    @property
    def capabilities(self) -> ServiceTraits:
        """What its service can be asked for, and what it reports."""
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
