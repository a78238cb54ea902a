"""Frames as events and commands as frames, by a dialect's tables; the short ways of audio. Pure.

There are 25 appends a second in every call, and as many deltas while the agent speaks: neither has
a pass of a JSON parser or encoder over its audio.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import ClassVar, NamedTuple, NoReturn

import pybase64

from bridge.errors import ProtocolError
from bridge.realtime.commands import AppendAudio, Command, StartSession, UpdateSession
from bridge.realtime.dialect import Awaited, ServiceTraits
from bridge.realtime.duplex_events import VoiceDelta
from bridge.realtime.events import AudioDelta, QuietEvent, ServerEvent, SessionUpdated, UnknownEvent
from bridge.realtime.flavour import PLAIN, Flavour
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import SessionConfig
from bridge.realtime.wire import FieldError, WireObject, encodable
from bridge.realtime.wire_items import PartNames
from bridge.realtime.wire_tables import EventTable, Tables

MAX_TYPE_CHARS = 100
"""How much of an unknown event's type is kept: it may become a log field."""

_LONG_CHARS = 512
"""From here on the way of :func:`_decode_audio` is shorter: 4 ms of audio."""

_EVENT_ID = "append_template"
_AUDIO = bytes(range(48))

_OF_AUDIO = (AudioDelta, VoiceDelta)

_DELTA_KEY = '"delta":"'
_DELTA = '"delta"'


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON (RFC 8259 section 6)")


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_parse_json = json.JSONDecoder(parse_constant=_refuse_constant).decode
_write_json = json.JSONEncoder(
    separators=(",", ":"), allow_nan=False, check_circular=False, default=_as_dict
).encode


def parse_object(frame: str | bytes) -> WireObject:
    """Parse one frame into a JSON object.

    Raises:
        ProtocolError: not UTF-8, not JSON, nested beyond reason, or not an object.
    """
    try:
        text = frame if isinstance(frame, str) else frame.decode()
        value: object = _parse_json(text)
    except (ValueError, RecursionError):
        raise ProtocolError("a frame is not JSON") from None
    if not isinstance(value, dict):
        raise ProtocolError("a frame is JSON, but not an object")
    return value


def _decode_audio(frame: str, table: EventTable) -> ServerEvent | None:
    """Decode an audio delta without a pass of the JSON parser over the audio.

    Returns:
        What the ordinary way gives; None where that has to be taken, for errors, too.
    """
    parts = cut_delta(frame)
    if parts is None or "\n" in parts.delta or "\r" in parts.delta:  # no JSON string holds those
        return None
    try:
        obj: object = _parse_json(parts.rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(obj, dict) or obj.get("delta") != "":
        return None
    event_type = obj.get("type")
    row = table.get(event_type) if isinstance(event_type, str) else None
    if row is None or row.kind not in _OF_AUDIO:
        return None
    try:
        fields = row.read(obj)
        # It is base64, and so nothing that JSON would have read otherwise.
        fields["audio"] = pybase64.b64decode(parts.delta, validate=True)
    except (FieldError, ValueError):
        return None
    return row.kind(**fields)


class TableDialect:
    """Decodes frames and encodes commands by a dialect's two tables.

    Args:
        takes: session fields that the server takes though its dialect lacks them.
        flavour: what the server does otherwise than the dialect.

    Attributes:
        tables: of the dialect.
        parts: its names of the content that a client may create.
    """

    tables: ClassVar[Tables]
    parts: ClassVar[PartNames]

    def __init__(self, takes: Collection[str] = (), flavour: Flavour = PLAIN) -> None:
        self.takes = frozenset(takes) | flavour.takes
        self.flavour = flavour
        self._own = None if flavour is PLAIN else flavour

    def decode(self, frame: str | bytes) -> ServerEvent:
        """Turn one frame into a canonical event; see :class:`bridge.realtime.dialect.Dialect`.

        Raises:
            ProtocolError: naming the event type and the JSON path, never the payload.
        """
        table = self.tables.events
        if len(frame) >= _LONG_CHARS and isinstance(frame, str):
            audio = _decode_audio(frame, table)
            if audio is not None:
                return audio
        obj = parse_object(frame)
        event_type = obj.get("type")
        if not isinstance(event_type, str):
            raise ProtocolError("an event has no type")
        own = self._own
        if own is not None and own.says_nothing(event_type, obj):
            return QuietEvent(event_type)
        row = table.get(self.name_of(event_type, obj))
        try:
            if row is not None:
                return row.kind(**row.read(obj if own is None else own.read(event_type, obj)))
        except FieldError as error:
            raise ProtocolError(
                f"{event_type}: {error}",
                event_type=event_type,
                loses_audio=row is not None and row.kind in _OF_AUDIO,
            ) from None
        size = len(frame.encode("utf-8", "replace") if isinstance(frame, str) else frame)
        event_id = obj.get("event_id")
        return UnknownEvent(
            type=encodable(event_type[:MAX_TYPE_CHARS]),
            size_bytes=size,
            event_id=encodable(event_id) if isinstance(event_id, str) else None,
        )

    @property
    def capabilities(self) -> ServiceTraits:
        """What its service can be asked for, and what it reports."""
        created = Awaited(self.flavour.opens_with, "session.created")
        updated = Awaited((SessionUpdated,), "session.updated")
        by_update = (UpdateSession, created, updated)
        opening = by_update if self.flavour.opens_by_update else (created, UpdateSession, updated)
        return ServiceTraits(
            opening=opening,
            unsayable=self.tables.unsayable,
            creates=frozenset(self.parts),
            speaks_first=not self.flavour.answers_audio_alone,
        )

    def name_of(self, event_type: str, obj: WireObject) -> str:
        """Return the name of an event's row: its type, where that alone says what it is."""
        return event_type

    def sayable(self, config: SessionConfig) -> SessionConfig:
        """Return a session as this server may be asked for it."""
        return config if self._own is None else self._own.sayable(config)

    def encode(self, command: Command, event_id: str | None = None) -> str:
        """Turn a command into one text frame: its type, our name for it, what stands beside them.

        Raises:
            ValueError: the dialect cannot say it.
        """
        if isinstance(command, UpdateSession | StartSession):
            command = replace(command, config=self.sayable(command.config))
        own = self._own
        if own is not None:
            command = own.command(command)
        row = self.tables.commands.get(type(command))
        if row is None:
            raise ValueError(self.tables.unsaid[type(command)])
        head: WireObject = {"type": row.wire_types[0]}
        if event_id is not None:
            head["event_id"] = event_id
        payload = row.payload(command)
        return _write_json(head | (payload if own is None else own.spelled(payload)))


class CutFrame(NamedTuple):
    """A frame and the long delta that was cut out of it.

    Attributes:
        rest: the frame with an empty delta.
        delta: what stood between its quotes, unread; it may hold what no JSON string may.
    """

    rest: str
    delta: str


def cut_delta(frame: str) -> CutFrame | None:
    """Cut the delta out of a frame; None where only a parser can find the parts.

    The cut is only made where it can't be wrong. In valid JSON without any backslash beside the
    value, ``"delta":"`` begins a member called ``delta``; if the word stands nowhere else in
    quotes, it is the frame's only one. Whether it stands at the top the caller sees by the rest:
    its ``delta`` is empty.
    """
    key = frame.find(_DELTA_KEY)
    start = key + len(_DELTA_KEY)
    end = frame.find('"', start)
    if key < 0 or end < 0:
        return None
    head, tail = frame[:key], frame[end:]
    if "\\" in head or "\\" in tail or _DELTA in head or _DELTA in tail:
        return None
    return CutFrame(frame[:start] + tail, frame[start:end])


class WholeSamples:
    """Makes whole 16-bit samples of audio deltas that were cut anywhere.

    The half sample at the end of one delta is carried over to the next one of its part:
    a proxy that cuts the stream anew cuts it at any byte, and taken as they come, all samples
    behind an odd cut would be noise.
    """

    def __init__(self) -> None:
        self._part: tuple[ItemId, int] | None = None
        self._half = b""

    def whole(self, delta: AudioDelta | VoiceDelta) -> AudioDelta | VoiceDelta:
        """Return the delta with what was carried over, less what is now."""
        if not self._half and len(delta.audio) % 2 == 0:
            return delta
        # A full-duplex voice is one part, without an end.
        part = (delta.item_id, delta.content_index) if isinstance(delta, AudioDelta) else None
        audio = self._half + delta.audio if part == self._part else delta.audio
        end = len(audio) & ~1
        self._part, self._half = part, audio[end:]
        return replace(delta, audio=audio[:end])


class AppendFrames:
    """Writes appends as finished frames: a dialect's own, with the audio put into the gap.

    A dialect's encode table alone knows what an append looks like. It is asked once, with a name
    and audio that can be found again; what it wrote around them is what stands around all others.

    Args:
        encode: the dialect's (:meth:`bridge.realtime.dialect.Dialect.encode`).

    Raises:
        ValueError: the dialect's frame doesn't hold the name, and then the audio in base64, once.
    """

    def __init__(self, encode: Callable[[Command, str | None], str]) -> None:
        frame = encode(AppendAudio(_AUDIO), _EVENT_ID).encode()
        name, audio = _EVENT_ID.encode(), pybase64.b64encode(_AUDIO)
        head, _, rest = frame.partition(name)
        between, _, tail = rest.partition(audio)
        if head + name + between + audio + tail != frame or name in tail or audio in tail:
            raise ValueError("this dialect's append is no frame around an event_id and base64")
        self._head, self._between, self._tail = head, between, tail

    def encode(self, audio: bytes, event_id: str) -> bytes:
        """Spell an append, as the dialect would, as UTF-8.

        Args:
            audio: raw bytes in the session's input format.
            event_id: of letters, digits and ``_``; nothing is escaped.
        """
        return b"%b%b%b%b%b" % (
            self._head,
            event_id.encode(),
            self._between,
            pybase64.b64encode(audio),
            self._tail,
        )
