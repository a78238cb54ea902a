"""Canonical client commands to a Realtime session, dialect-free.

A closed union of frozen dataclasses (:data:`Command`), named in the imperative (`PROTOCOL.md`
section 2). Dialects encode these; the session gives each one its ``event_id``.
"""

from dataclasses import dataclass, field

from bridge.realtime.ids import ItemId, ResponseId
from bridge.realtime.items import Item
from bridge.realtime.session_config import ResponseConfig, SessionConfig


@dataclass(frozen=True, slots=True)
class StartSession:
    """Begin a session with all that it is to be: the first frame of its connection (Live only).

    Attributes:
        model: which the connection's URL does not name.
        talk: of the call so far; no later command can give it.
    """

    config: SessionConfig
    model: str
    talk: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class EndSession:
    """Have the service finish the session, before the connection is closed (Live only)."""


@dataclass(frozen=True, slots=True)
class UpdateSession:
    """Set a new session up, whole: its tools, formats and modalities are always sent.

    Not for a session that talks: its service replaces every setting that the update names, so a
    config with defaults would take the agent's tools away (`PROTOCOL.md` section 2).
    """

    config: SessionConfig


@dataclass(frozen=True, slots=True)
class ProbeSession:
    """Ask for a ``session.updated``, by an update that names no setting and so changes none."""


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Add caller audio, raw bytes in the session's input format."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class CommitInput:
    """Turn the input buffer into a user item (manual turns)."""


@dataclass(frozen=True, slots=True)
class ClearInput:
    """Throw the input buffer away."""


@dataclass(frozen=True, slots=True)
class CreateItem:
    """Add an item; ``previous_item_id`` None puts it at the end, ``root`` at the front."""

    item: Item
    previous_item_id: ItemId | None = None


@dataclass(frozen=True, slots=True)
class RetrieveItem:
    """Ask for the server's copy of an item."""

    item_id: ItemId


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """Cut an assistant audio item to what was heard."""

    item_id: ItemId
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """Take an item out of the conversation."""

    item_id: ItemId


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """Have the model respond."""

    config: ResponseConfig = field(default_factory=ResponseConfig)


@dataclass(frozen=True, slots=True)
class DeclineDelegated:
    """Have the voice go on without work that it gave to us, who do none (Live only)."""

    delegation_id: str


@dataclass(frozen=True, slots=True)
class ContinueDelegated:
    """Have the backend go on: every tool call of its responses has its output now (Live only)."""


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """Stop a response; None means the active one of the conversation."""

    response_id: ResponseId | None = None


@dataclass(frozen=True, slots=True)
class ClearOutput:
    """Clear the server's own playout (WebRTC and SIP only; never sent over a plain WebSocket)."""


Command = (
    StartSession
    | UpdateSession
    | ProbeSession
    | AppendAudio
    | CommitInput
    | ClearInput
    | CreateItem
    | RetrieveItem
    | TruncateItem
    | DeleteItem
    | CreateResponse
    | DeclineDelegated
    | ContinueDelegated
    | CancelResponse
    | ClearOutput
    | EndSession
)
