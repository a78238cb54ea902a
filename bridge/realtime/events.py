"""Canonical server events of a Realtime session, dialect-free.

A closed union of frozen dataclasses (:data:`ServerEvent`), named in the past tense. Dialects decode
into these and nothing above `bridge/realtime/` sees wire names. Every field's source is
`PROTOCOL.md` section 3. ``event_id`` is None where the wire has none.
"""

import enum
from dataclasses import dataclass, field

from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import ContentPart, Item
from bridge.realtime.session_config import AudioFormat, SessionInfo


class ResponseStatus(enum.StrEnum):
    """How a response stands or ended."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    OTHER = "other"
    """It ended in a way that is not known here: what came of it counts."""


class Phase(enum.StrEnum):
    """How far a server-run operation (MCP) has come."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens billed for a response or a transcription; ``seconds`` where billed by time."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_text: int = 0
    output_audio: int = 0
    total: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error as the API words it. ``message`` may quote content: never log it unredacted."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One entry of the server's rate limits."""

    name: str
    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionCreated(_Event):
    """The session exists, or (Live) was started as we asked; the first event of a connection."""

    session: SessionInfo


@dataclass(frozen=True, slots=True)
class SessionUpdated(_Event):
    """Our settings were taken."""

    session: SessionInfo


@dataclass(frozen=True, slots=True)
class ConversationCreated(_Event):
    """In both schemas, not seen on the wire."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class ItemAdded(_Event):
    """An item entered the conversation (beta calls it created)."""

    item: Item
    previous_item_id: ItemId | None = None


@dataclass(frozen=True, slots=True)
class ItemDone(_Event):
    """An item is complete (GA only)."""

    item: Item
    previous_item_id: ItemId | None = None


@dataclass(frozen=True, slots=True)
class ItemRetrieved(_Event):
    """The server's copy of an item that we asked for."""

    item: Item


@dataclass(frozen=True, slots=True)
class ItemTruncated(_Event):
    """Audio and transcript beyond ``audio_end_ms`` are gone from the conversation."""

    item_id: ItemId
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class ItemDeleted(_Event):
    """An item left the conversation."""

    item_id: ItemId


@dataclass(frozen=True, slots=True)
class InputTranscriptDelta(_Event):
    """A piece of what the caller said; may come at any time after the commit."""

    item_id: ItemId
    content_index: int
    delta: str


@dataclass(frozen=True, slots=True)
class InputTranscriptCompleted(_Event):
    """All of what the caller said in one item."""

    item_id: ItemId
    content_index: int
    transcript: str
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class InputTranscriptFailed(_Event):
    """The caller's item could not be transcribed."""

    item_id: ItemId
    content_index: int
    error: ApiError


@dataclass(frozen=True, slots=True)
class InputTranscriptSegment(_Event):
    """A diarized piece of the caller's item (GA only)."""

    item_id: ItemId
    content_index: int
    text: str
    speaker: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class InputCommitted(_Event):
    """The input buffer became a user item."""

    item_id: ItemId
    previous_item_id: ItemId | None = None


@dataclass(frozen=True, slots=True)
class InputCleared(_Event):
    """The input buffer was thrown away."""


@dataclass(frozen=True, slots=True)
class SpeechStarted(_Event):
    """The caller began to speak; the clock is audio received in this session.

    Attributes:
        audio_start_ms: None where the server doesn't say when.
    """

    item_id: ItemId
    audio_start_ms: int | None


@dataclass(frozen=True, slots=True)
class SpeechStopped(_Event):
    """The caller stopped speaking; ``audio_end_ms`` is None where the server doesn't say when."""

    item_id: ItemId
    audio_end_ms: int | None


@dataclass(frozen=True, slots=True)
class InputTimedOut(_Event):
    """The caller stayed silent for the idle time (GA only)."""

    item_id: ItemId
    audio_start_ms: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class DtmfReceived(_Event):
    """A key was pressed on a call that the server itself holds (GA, SIP only)."""

    digit: str
    received_at_s: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseCreated(_Event):
    """The model began a response; one beside the default conversation has no conversation_id."""

    response_id: ResponseId
    metadata: dict[str, str] = field(default_factory=dict)
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseDone(_Event):
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
class OutputItemAdded(_Event):
    """A response began an item."""

    response_id: ResponseId
    output_index: int
    item: Item


@dataclass(frozen=True, slots=True)
class OutputItemDone(_Event):
    """A response finished an item."""

    response_id: ResponseId
    output_index: int
    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content(_Event):
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
class FunctionArgumentsDelta(_Event):
    """A piece of a tool call's arguments."""

    response_id: ResponseId
    item_id: ItemId
    call_id: ToolCallId
    delta: str
    output_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionArgumentsDone(_Event):
    """A tool call's arguments are complete. ``name`` is None where the dialect omits it."""

    response_id: ResponseId
    item_id: ItemId
    call_id: ToolCallId
    arguments: str
    name: str | None = None
    output_index: int = 0


@dataclass(frozen=True, slots=True)
class RateLimitsUpdated(_Event):
    """What is left of the limits."""

    limits: tuple[RateLimit, ...]


@dataclass(frozen=True, slots=True)
class OutputBufferChanged(_Event):
    """The server's own playout started, stopped or was cleared (WebRTC and SIP only)."""

    response_id: ResponseId
    change: str


@dataclass(frozen=True, slots=True)
class McpToolsListed(_Event):
    """Listing an MCP server's tools began, worked or failed (GA only)."""

    item_id: ItemId
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class McpArgumentsDelta(_Event):
    """A piece of an MCP call's arguments (GA only)."""

    response_id: ResponseId
    item_id: ItemId
    delta: str
    output_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class McpArgumentsDone(_Event):
    """An MCP call's arguments are complete (GA only)."""

    response_id: ResponseId
    item_id: ItemId
    arguments: str
    output_index: int = 0


@dataclass(frozen=True, slots=True)
class McpCallChanged(_Event):
    """An MCP call began, worked or failed; the wire gives no response_id (GA only)."""

    item_id: ItemId
    output_index: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class VoiceDelta(_Event):
    """A piece of the agent's voice as a full-duplex service streams it, its silences included.

    It belongs to no response and to no item, and no event says where an utterance begins or ends.
    Out of base64, in the session's format, as in :class:`AudioDelta` (Live only).
    """

    audio: bytes
    audio_format: AudioFormat = AudioFormat.PCM_24KHZ


@dataclass(frozen=True, slots=True)
class VoiceTranscriptDelta(_Event):
    """A piece of what the agent says, by its time in the session; no event ends it (Live only)."""

    delta: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class CallerTranscriptDelta(_Event):
    """A piece of what the caller says, by its time in the session; no event ends it (Live only)."""

    delta: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class WorkDelegated(_Event):
    """The voice model gave work away: to a backend of the service's, or to us (Live only).

    Attributes:
        target: ``responses``, ``client`` (us) or ``decisions``.
    """

    delegation_id: str
    target: str


@dataclass(frozen=True, slots=True)
class DelegatedCreated(_Event):
    """The backend began a response; ``delegation_id`` is None where nobody delegated it."""

    response_id: ResponseId
    delegation_id: str | None = None


@dataclass(frozen=True, slots=True)
class DelegatedItemDone(_Event):
    """The backend finished an item of its present response, which the wire does not name."""

    item: Item
    delegation_id: str | None = None


@dataclass(frozen=True, slots=True)
class DelegatedDone(_Event):
    """The backend's response ended; calls of one that failed take no output any more."""

    response_id: ResponseId
    status: ResponseStatus
    delegation_id: str | None = None
    error_code: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class DelegatedProgressed(_Event):
    """Any other event of a backend's response; ``progress`` is its type (Live only)."""

    progress: str
    delegation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ContextAppended(_Event):
    """What we appended is in the session's context, spoken or not (Live only)."""


@dataclass(frozen=True, slots=True)
class SessionTimeUsed(_Event):
    """What the session has used so far, in all (Live only).

    Attributes:
        seconds: of audio, which is what it is billed by.
        context_ratio: of the model's context that is full, 0 to 1.
    """

    seconds: float
    context_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class SessionClosed(_Event):
    """The session is over, and the connection will be (Live only).

    Attributes:
        reason: ``close_requested``, ``expired``, ``content``, ``remote_hangup``,
            ``connection_lost``.
        seconds: of audio, in all.
    """

    reason: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class NoticeGiven(_Event):
    """The service mentions something that is no error (Live only)."""

    code: str


@dataclass(frozen=True, slots=True)
class ErrorReported(_Event):
    """The server objected to something; the session mostly stays open."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class UnknownEvent(_Event):
    """An event that the dialect does not know: counted, never fatal, never kept."""

    type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class QuietEvent(_Event):
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
    | VoiceDelta
    | VoiceTranscriptDelta
    | CallerTranscriptDelta
    | WorkDelegated
    | DelegatedCreated
    | DelegatedItemDone
    | DelegatedDone
    | DelegatedProgressed
    | ContextAppended
    | SessionTimeUsed
    | SessionClosed
    | NoticeGiven
    | ErrorReported
    | UnknownEvent
    | QuietEvent
)
