"""A tape: the wire log of a call (`bridge/session/wire_log.py`), to be played again.

A log has no audio, only how much of it there was. Pure, but for :func:`read_tape`, which blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, JsonValue, ValidationError

from bridge.errors import ConfigError
from bridge.simulator.wire import DialectName

APPEND = "input_audio_buffer.append"

_REMEDY = "name a wire log: a file of session.wire_log_dir, or a run's wire.jsonl"


class TapeEvent(BaseModel, frozen=True):
    """A line of a wire log.

    Attributes:
        at_ns: wall time.
        direction: `sent` by the client, or `received` by it.
        session: number of the call's connection, from 1.
        type: as on the wire; "" for a frame that was no JSON.
        raw: the event; `{"bytes": n, "ms": m}` stands in the place of its audio.
    """

    at_ns: int
    direction: Literal["sent", "received"]
    session: int = 1
    type: str
    raw: dict[str, JsonValue]

    @property
    def is_sent(self) -> bool:
        """Whether the client sent it."""
        return self.direction == "sent"

    @property
    def audio_ms(self) -> float:
        """How much audio it appends, ms."""
        audio = self.raw.get("audio")
        ms = audio.get("ms") if isinstance(audio, dict) else None
        return float(ms) if isinstance(ms, int | float) else 0.0


@dataclass(frozen=True, slots=True)
class Tape:
    """A recorded call, by its connections.

    Attributes:
        sessions: its connections, each in the order of time.
        model: that the service said it was; "" where it did not say.
    """

    path: Path
    dialect: DialectName
    model: str
    sessions: Sequence[Sequence[TapeEvent]]


def read_tape(path: Path) -> Tape:
    """Read a wire log.

    Raises:
        ConfigError: it can't be read, a line is none of a wire log, or there is no session in it.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(
            f"can't be read: {error.strerror}", path=str(path), remedy=_REMEDY
        ) from error
    sessions: dict[int, list[TapeEvent]] = {}
    for number, line in enumerate(lines, start=1):
        event = _parse(line, path, number)
        sessions.setdefault(event.session, []).append(event)
    opened = [_opening(events) for _, events in sorted(sessions.items())]
    session = next((found for found in opened if found is not None), None)
    if session is None:
        raise ConfigError(
            "holds no session: no session.created was received in it",
            path=str(path),
            remedy=_REMEDY,
        )
    return Tape(
        path,
        # GA says what kind a session is, the beta knows one kind only (`PROTOCOL.md` section 3).
        DialectName.GA if "type" in session else DialectName.BETA,
        str(session.get("model") or ""),
        [events for _, events in sorted(sessions.items())],
    )


def _parse(line: bytes, path: Path, number: int) -> TapeEvent:
    try:
        return TapeEvent.model_validate_json(line)
    except ValidationError as error:
        # Its own text repeats what was said.
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"is no line of a wire log: {place + ': ' if place else ''}{first['msg']}",
            path=str(path),
            line=number,
            remedy=_REMEDY,
        ) from None


def _opening(events: Sequence[TapeEvent]) -> Mapping[str, JsonValue] | None:
    for event in events:
        session = event.raw.get("session")
        if event.type.endswith("session.created") and isinstance(session, dict):
            return session
    return None
