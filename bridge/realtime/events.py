"""Canonical server events of a Realtime session, dialect-free.

A closed union of frozen dataclasses (:data:`ServerEvent`), named in the past tense. Dialects decode
into these and nothing above `bridge/realtime/` sees wire names. Every field's source is
`PROTOCOL.md` section 3.
"""

from dataclasses import dataclass, field

from bridge.realtime.duplex_events import DuplexEvent
from bridge.realtime.event_values import ApiError, Event, Phase, RateLimit, ResponseStatus, Usage
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import ContentPart, Item
from bridge.realtime.session_config import AudioFormat, SessionInfo


@dataclass(frozen=True, slots=True)
class SessionCreated(Event):
    """The session exists, or (Live) was started as we asked; the first event of a connection."""

    session: SessionInfo


@dataclass(frozen=True, slots=True)
class SessionUpdated(Event):
    """Our settings were taken."""

    session: SessionInfo


@dataclass(frozen=True, slots=True)
class ConversationCreated(Event):
    """In both schemas, not seen on the wire."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class ItemAdded(Event):
    """An item entered the conversation (beta calls it created)."""

    item: Item
    previous_item_id: ItemId | None = None


@dataclass(frozen=True, slots=True)
class ItemDone(Event):
    """An item is complete (GA only)."""

    item: Item
    previous_item_id: ItemId | None = None


@dataclass(frozen=True, slots=True)
class ItemRetrieved(Event):
    """The server's copy of an item that we asked for."""

    item: Item


@dataclass(frozen=True, slots=True)
class ItemTruncated(Event):
    """Audio and transcript beyond ``audio_end_ms`` are gone from the conversation."""

    item_id: ItemId
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class ItemDeleted(Event):
    """An item left the conversation."""

    item_id: ItemId


@dataclass(frozen=True, slots=True)
class InputTranscriptDelta(Event):
    """A piece of what the caller said; may come at any time after the commit."""

    item_id: ItemId
    content_index: int
    delta: str


@dataclass(frozen=True, slots=True)
class InputTranscriptCompleted(Event):
    """All of what the caller said in one item."""

    item_id: ItemId
    content_index: int
    transcript: str
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class InputTranscriptFailed(Event):
    """The caller's item could not be transcribed."""

    item_id: ItemId
    content_index: int
    error: ApiError


@dataclass(frozen=True, slots=True)
class InputTranscriptSegment(Event):
    """A diarized piece of the caller's item (GA only)."""

    item_id: ItemId
    content_index: int
    text: str
    speaker: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class InputCommitted(Event):
    """The input buffer became a user item."""

    item_id: ItemId
    previous_item_id: ItemId | None = None


@dataclass(frozen=True, slots=True)
class InputCleared(Event):
    """The input buffer was thrown away."""


@dataclass(frozen=True, slots=True)
class SpeechStarted(Event):
    """The caller began to speak; the clock is audio received in this session.

    Attributes:
        audio_start_ms: None where the server doesn't say when.
    """

    item_id: ItemId
    audio_start_ms: int | None


@dataclass(frozen=True, slots=True)
class SpeechStopped(Event):
    """The caller stopped speaking; ``audio_end_ms`` is None where the server doesn't say when."""

    item_id: ItemId
    audio_end_ms: int | None


@dataclass(frozen=True, slots=True)
class InputTimedOut(Event):
    """The caller stayed silent for the idle time (GA only)."""

    item_id: ItemId
    audio_start_ms: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class DtmfReceived(Event):
    """A key was pressed on a call that the server itself holds (GA, SIP only)."""

    digit: str
    received_at_s: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseCreated(Event):
    """The model began a response; one beside the default conversation has no conversation_id."""

    response_id: ResponseId
    metadata: dict[str, str] = field(default_factory=dict)
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseDone(Event):
    """A response ended.

    Attributes:
        reason: ``turn_detected``, ``client_cancelled``, ``max_output_tokens``, ``content_filter``
            or None.
        error_code: of a failed response (``rate_limit_exceeded``, ``insufficient_quota``, ...).
    """

    response_id: ResponseId
    status: ResponseStatus
    output: tuple[Item, ...] = ()
    reason: str | None = None
    error_code: str | None = None
    usage: Usage | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputItemAdded(Event):
    """A response began an item."""

    response_id: ResponseId
    output_index: int
    item: Item


@dataclass(frozen=True, slots=True)
class OutputItemDone(Event):
    """A response finished an item."""

    response_id: ResponseId
    output_index: int
    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content(Event):
    response_id: ResponseId
    item_id: ItemId
    output_index: int = 0
    content_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentPartAdded(_Content):
    """An item began a content part."""

    part: ContentPart


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentPartDone(_Content):
    """An item finished a content part."""

    part: ContentPart


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta(_Content):
    """A piece of a text answer."""

    delta: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDone(_Content):
    """All of a text answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDelta(_Content):
    """A piece of the agent's voice, already out of base64, in the session's output format.

    Attributes:
        audio_format: that format, which stands in no frame: the session fills it in.
    """

    audio: bytes
    audio_format: AudioFormat = AudioFormat.PCM_24KHZ


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDone(_Content):
    """The agent's voice for one part is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptDelta(_Content):
    """A piece of what the agent says."""

    delta: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptDone(_Content):
    """All of what the agent says in one part."""

    transcript: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionArgumentsDelta(Event):
    """A piece of a tool call's arguments."""

    response_id: ResponseId
    item_id: ItemId
    call_id: ToolCallId
    delta: str
    output_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionArgumentsDone(Event):
    """A tool call's arguments are complete. ``name`` is None where the dialect omits it."""

    response_id: ResponseId
    item_id: ItemId
    call_id: ToolCallId
    arguments: str
    name: str | None = None
    output_index: int = 0


@dataclass(frozen=True, slots=True)
class RateLimitsUpdated(Event):
    """What is left of the limits."""

    limits: tuple[RateLimit, ...]


@dataclass(frozen=True, slots=True)
class OutputBufferChanged(Event):
    """The server's own playout started, stopped or was cleared (WebRTC and SIP only)."""

    response_id: ResponseId
    change: str


@dataclass(frozen=True, slots=True)
class McpToolsListed(Event):
    """Listing an MCP server's tools began, worked or failed (GA only)."""

    item_id: ItemId
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class McpArgumentsDelta(Event):
    """A piece of an MCP call's arguments (GA only)."""

    response_id: ResponseId
    item_id: ItemId
    delta: str
    output_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class McpArgumentsDone(Event):
    """An MCP call's arguments are complete (GA only)."""

    response_id: ResponseId
    item_id: ItemId
    arguments: str
    output_index: int = 0


@dataclass(frozen=True, slots=True)
class McpCallChanged(Event):
    """An MCP call began, worked or failed; the wire gives no response_id (GA only)."""

    item_id: ItemId
    output_index: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class ErrorReported(Event):
    """The server objected to something; the session mostly stays open."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class UnknownEvent(Event):
    """An event that the dialect does not know: counted, never fatal, never kept."""

    type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class QuietEvent(Event):
    """An event of the server's own that says nothing of the talk, like a ping: never kept."""

    type: str


ServerEvent = (
    SessionCreated
    | SessionUpdated
    | ConversationCreated
    | ItemAdded
    | ItemDone
    | ItemRetrieved
    | ItemTruncated
    | ItemDeleted
    | InputTranscriptDelta
    | InputTranscriptCompleted
    | InputTranscriptFailed
    | InputTranscriptSegment
    | InputCommitted
    | InputCleared
    | SpeechStarted
    | SpeechStopped
    | InputTimedOut
    | DtmfReceived
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDelta
    | TextDone
    | AudioDelta
    | AudioDone
    | TranscriptDelta
    | TranscriptDone
    | FunctionArgumentsDelta
    | FunctionArgumentsDone
    | RateLimitsUpdated
    | OutputBufferChanged
    | McpToolsListed
    | McpArgumentsDelta
    | McpArgumentsDone
    | McpCallChanged
    | DuplexEvent
    | ErrorReported
    | UnknownEvent
    | QuietEvent
)
