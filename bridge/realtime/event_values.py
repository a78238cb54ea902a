"""The base of canonical server events, and the values that they carry."""

import enum
from dataclasses import dataclass


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
class Event:
    """Base of all; ``event_id`` is None where the wire has none."""

    event_id: str | None = None
