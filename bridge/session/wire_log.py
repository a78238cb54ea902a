"""The wire log of a call: every Realtime event both ways, one JSON line each, in their order.

    {"at_ns": wall time, "direction": "sent" | "received", "session": 1, "type": as on the wire,
     "canonical": class of the canonical event or command, null where the dialect knows none,
     "fields": paths of its fields that hold something, "raw": the event without its audio}

In the place of audio stands ``{"bytes": n, "ms": m}``; the ms are those of the session's formats.
In the place of a picture stands ``{"sha256": hex, "bytes": n}``, in that of a tool server's token
and headers ``"(secret)"``. A frame that is not JSON has the type ``""`` and no ``raw``. It is off
unless ``session.wire_log_dir`` is set, for it holds what was said.

Noting a frame appends to a list; a thread of the log's own parses and writes. A disk that refuses
ends the log, never the call.
"""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pybase64
import structlog

from bridge.clock import Clock
from bridge.realtime.commands import Command
from bridge.realtime.events import ServerEvent, UnknownEvent
from bridge.realtime.session_config import PCM_24KHZ_BOTH_WAYS, AudioFormat, AudioFormats

log = structlog.get_logger(__name__)

Direction = Literal["sent", "received"]
Canonical = ServerEvent | Command | None
Tap = Callable[[Direction, str | bytes, Canonical], None]
"""Takes a frame, and what the dialect made of it or made it from; None where it could not."""

_NOTES_AT_ONCE = 50
_SECRET = "(secret)"


@dataclasses.dataclass(frozen=True, slots=True)
class _Note:
    at_ns: int
    session: int
    direction: Direction
    frame: str | bytes
    canonical: Canonical
    audio_format: AudioFormat


class WireLog:
    """The wire log of one call. In the loop's thread; :meth:`aclose` it at the end.

    Args:
        path: its file.
        clock: stamps.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._notes: list[_Note] = []
        self._sessions = itertools.count(1)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="wire-log")

    def tap(self, audio: AudioFormats = PCM_24KHZ_BOTH_WAYS) -> Tap:
        """Return what takes the frames of the call's next connection.

        Args:
            audio: the formats of its session.
        """
        session = next(self._sessions)
        formats: dict[Direction, AudioFormat] = {"sent": audio.input, "received": audio.output}

        def note(direction: Direction, frame: str | bytes, canonical: Canonical) -> None:
            at_ns, audio_format = self._clock.wall_ns(), formats[direction]
            self._notes.append(_Note(at_ns, session, direction, frame, canonical, audio_format))
            if len(self._notes) >= _NOTES_AT_ONCE:
                self._hand_over()

        return note

    def close(self) -> None:
        """Write what is left and end the thread. Blocks: call it in a worker thread.

        A call without any session has an empty log.
        """
        self._hand_over()
        self._writer.submit(self._write, [])
        self._writer.shutdown()

    def _hand_over(self) -> None:
        notes, self._notes = self._notes, []
        if notes:
            self._writer.submit(self._write, notes)

    def _write(self, notes: list[_Note]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(_line(note) for note in notes)
        except OSError as error:
            log.warning("wire_log_not_written", error=error.strerror)


def _line(note: _Note) -> str:
    raw: object = None
    with suppress(ValueError, RecursionError):
        raw = json.loads(note.frame)
    known = None if isinstance(note.canonical, UnknownEvent) else note.canonical
    fields: dict[str, object] = {
        "at_ns": note.at_ns,
        "direction": note.direction,
        "session": note.session,
        "type": str(raw.get("type", "")) if isinstance(raw, dict) else "",
        "canonical": None if known is None else type(known).__name__,
        "fields": [] if known is None else sorted(set(_held("", known))),
        "raw": _raw(raw, note.audio_format) if isinstance(raw, dict) else {},
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _raw(event: dict[str, object], audio_format: AudioFormat) -> object:
    return _without_secrets(_without_pictures(without_audio(event, audio_format)))


def without_audio(
    event: dict[str, object], audio_format: AudioFormat = AudioFormat.PCM_24KHZ
) -> dict[str, object]:
    """Return an event with its base64 audio replaced by ``{"bytes": n, "ms": m}``.

    Args:
        audio_format: of that audio.
    """
    keys = {"audio", "delta"} if "audio.delta" in str(event.get("type")) else {"audio"}
    per_ms = audio_format.bytes_per_ms
    return {name: _without(value, name in keys, keys, per_ms) for name, value in event.items()}


def _without(value: object, is_audio: bool, keys: set[str], bytes_per_ms: int) -> object:
    if isinstance(value, str) and is_audio:
        size = len(value) * 3 // 4 - value[-2:].count("=")
        return {"bytes": size, "ms": size / bytes_per_ms}
    if isinstance(value, dict):
        return {k: _without(each, k in keys, keys, bytes_per_ms) for k, each in value.items()}
    if isinstance(value, list):
        return [_without(each, False, keys, bytes_per_ms) for each in value]
    return value


def _without_pictures(value: Any) -> Any:  # Any: JSON of any depth
    if isinstance(value, list):
        return [_without_pictures(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _picture(each)
        if name == "image_url" and isinstance(each, str)
        else _without_pictures(each)
        for name, each in value.items()
    }


def _picture(url: str) -> dict[str, object]:
    """Return digest and size of what a data URL holds; of its text, where that is no base64."""
    text = url.partition(",")[2]
    try:
        data = pybase64.b64decode(text, validate=True)
    except ValueError:
        data = url.encode()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _without_secrets(value: Any) -> Any:  # Any: JSON of any depth
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _without_secrets(each) for name, each in value.items()}
    if value.get("type") == "mcp":
        if inner.get("authorization") is not None:
            inner["authorization"] = _SECRET
        if isinstance(inner.get("headers"), dict):
            inner["headers"] = dict.fromkeys(inner["headers"], _SECRET)
    return inner


def _held(path: str, value: object) -> Iterator[str]:
    """Yield the paths of what holds something: neither None nor empty."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            joint = "." if path else ""
            yield from _held(f"{path}{joint}{field.name}", getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _held(f"{path}[]", each)
    elif value is not None and value != "" and value != {} and value != b"":
        yield path
