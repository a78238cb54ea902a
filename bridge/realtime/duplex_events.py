"""Canonical server events of full-duplex sessions alone (GPT-Live, `PROTOCOL.md` section 11)."""

from dataclasses import dataclass

from bridge.realtime.event_values import Event, ResponseStatus, Usage
from bridge.realtime.ids import ResponseId
from bridge.realtime.items import Item
from bridge.realtime.session_config import AudioFormat


@dataclass(frozen=True, slots=True)
class VoiceDelta(Event):
    """A piece of the agent's voice as a full-duplex service streams it, its silences included.

    It belongs to no response and to no item, and no event says where an utterance begins or ends.
    Out of base64, in the session's format, as in :class:`bridge.realtime.events.AudioDelta`.
    """

    audio: bytes
    audio_format: AudioFormat = AudioFormat.PCM_24KHZ


@dataclass(frozen=True, slots=True)
class VoiceTranscriptDelta(Event):
    """A piece of what the agent says, by its time in the session; no event ends it."""

    delta: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class CallerTranscriptDelta(Event):
    """A piece of what the caller says, by its time in the session; no event ends it."""

    delta: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class WorkDelegated(Event):
    """The voice model gave work away: to a backend of the service's, or to us.

    Attributes:
        target: ``responses``, ``client`` (us) or ``decisions``.
    """

    delegation_id: str
    target: str


@dataclass(frozen=True, slots=True)
class DelegatedCreated(Event):
    """The backend began a response; ``delegation_id`` is None where nobody delegated it."""

    response_id: ResponseId
    delegation_id: str | None = None


@dataclass(frozen=True, slots=True)
class DelegatedItemDone(Event):
    """The backend finished an item of its present response, which the wire does not name."""

    item: Item
    delegation_id: str | None = None


@dataclass(frozen=True, slots=True)
class DelegatedDone(Event):
    """The backend's response ended; calls of one that failed take no output any more."""

    response_id: ResponseId
    status: ResponseStatus
    delegation_id: str | None = None
    error_code: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class DelegatedProgressed(Event):
    """Any other event of a backend's response; ``progress`` is its type."""

    progress: str
    delegation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ContextAppended(Event):
    """What we appended is in the session's context, spoken or not."""


@dataclass(frozen=True, slots=True)
class SessionTimeUsed(Event):
    """What the session has used so far, in all.

    Attributes:
        seconds: of audio, which is what it is billed by.
        context_ratio: of the model's context that is full, 0 to 1.
    """

    seconds: float
    context_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class SessionClosed(Event):
    """The session is over, and the connection will be.

    Attributes:
        reason: ``close_requested``, ``expired``, ``content``, ``remote_hangup``,
            ``connection_lost``.
        seconds: of audio, in all.
    """

    reason: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class NoticeGiven(Event):
    """The service mentions something that is no error."""

    code: str


DuplexEvent = (
    VoiceDelta
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
)
