"""A server's side of a call as frames of text, in either dialect.

Written from `PROTOCOL.md` sections 3, 5, 6 and 7 by hand: it shares nothing with our adapters, nor
with the simulator. Times are milliseconds since the call was answered.
"""

import base64
import enum
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from tests.realtime.official import DialectName, Event

PIECE_MS = 200
"""Audio of one delta; one comes every :data:`EVERY_MS`, so four times faster than it is heard."""
EVERY_MS = 50
TOOL = "lookup"


class Stream(enum.Enum):
    """What a frame belongs to: frames of one stream keep their order, whatever else is between.

    ``HEARD`` is the caller's transcript, which may come anywhere after the commit; ``WORDS`` are
    the agent's, which may run ahead of or behind its ``AUDIO``.
    """

    TURN = enum.auto()
    AUDIO = enum.auto()
    WORDS = enum.auto()
    HEARD = enum.auto()
    NOISE = enum.auto()


class Ending(enum.Enum):
    """How the agent's answer ends."""

    HEARD = enum.auto()
    CUT_EARLY = enum.auto()
    """The caller speaks while it is generated: the server cancels it."""
    CUT_LATE = enum.auto()
    """The caller speaks when it was generated, and not yet heard."""


@dataclass(frozen=True)
class Turn:
    """The caller speaks, and the agent answers.

    Attributes:
        pieces: of the answer.
        tool: the agent calls a tool first.
    """

    pieces: int
    ending: Ending = Ending.HEARD
    tool: bool = False


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        response: which answer it is part of, counted from 0; None for none.
        tail: it ends an answer that was cut.
    """

    at_ms: int
    text: str
    stream: Stream = Stream.TURN
    response: int | None = None
    tail: bool = False


@dataclass
class Script:
    """Writes the frames of some turns.

    Attributes:
        frames: in the order in which the server sends them.
        late: of each answer that the server cancelled, deltas that may still come after its end.
    """

    dialect: DialectName
    frames: list[Frame] = field(default_factory=list)
    late: dict[int, list[Frame]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._events = count(1)
        self._items = count(1)
        self._responses = count()
        self._now_ms = 0
        self._ga = self.dialect == "ga"

    def play(self, turns: Sequence[Turn]) -> None:
        """Write the turns; the last one is heard to its end."""
        tail: list[Frame] = []
        for turn in turns:
            tail = self._turn(turn, tail)

    def _turn(self, turn: Turn, tail: list[Frame]) -> list[Frame]:
        item = self._new("item_user")
        self._put("input_audio_buffer.speech_started", item_id=item, audio_start_ms=0)
        self.frames += [
            Frame(self._now_ms, frame.text, frame.stream, frame.response, tail=True)
            for frame in tail
        ]
        self._now_ms += 1_000
        self._put("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=self._now_ms)
        self._put("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        part = {"type": "input_audio", "transcript": None}
        self._place({"id": item, **_message("user", "completed", [part])}, whole=True)
        words = f"Question {item}."
        at: Event = {"item_id": item, "content_index": 0}
        kind = "conversation.item.input_audio_transcription"
        self._put(f"{kind}.delta", Stream.HEARD, **at, delta=words)
        usage = {"type": "duration", "seconds": 1.0}
        self._put(f"{kind}.completed", Stream.HEARD, **at, transcript=words, usage=usage)
        self._now_ms += 100
        if turn.tool:
            self._call_tool()
        return self._answer(turn)

    def _answer(self, turn: Turn) -> list[Frame]:
        number, response = next(self._responses), self._new("resp")
        item = self._new("item_agent")
        at: Event = {"response_id": response, "item_id": item}
        at |= {"output_index": 0, "content_index": 0}
        said = [f"word{place} " for place in range(turn.pieces)]
        begun_ms = self._now_ms
        self._begin(response)
        self._enter(response, {"id": item, **_message("assistant", "in_progress", [])}, number)
        opened = {"type": "audio", "transcript": ""}
        self._put("response.content_part.added", response=number, **at, part=opened)
        shown = (turn.pieces + 1) // 2 if turn.ending is Ending.CUT_EARLY else turn.pieces
        for word in said[:shown]:
            self._deltas(number, at, word)
            self._now_ms += EVERY_MS
        text = "".join(said[:shown]).strip()
        cut = turn.ending is Ending.CUT_EARLY
        end = list(self._end(number, at, text, cut=cut))
        if cut:
            before = len(self.frames)
            self._deltas(number, at, "too late ")
            self.late[number] = self.frames[before:]
            del self.frames[before:]
            return end
        self.frames += end
        left_ms = begun_ms + turn.pieces * PIECE_MS - self._now_ms
        if turn.ending is Ending.HEARD:
            self._now_ms += left_ms + 500
        else:
            self._now_ms += left_ms // 2
        return []

    def _deltas(self, number: int, at: Event, word: str) -> None:
        hidden: Event = {"obfuscation": "x7"} if self._ga else {}
        self._put(f"{self._name('audio_transcript')}.delta", Stream.WORDS, number, **at,
                  delta=word, **hidden)  # fmt: skip
        audio = base64.b64encode(bytes(48 * PIECE_MS)).decode()
        self._put(f"{self._name('audio')}.delta", Stream.AUDIO, number, **at, delta=audio)

    def _end(self, number: int, at: Event, text: str, *, cut: bool) -> Iterator[Frame]:
        """Yield what ends a spoken answer; ``text`` is what it has come to say."""
        response, item_id = at["response_id"], at["item_id"]
        kind = "output_audio" if self._ga else "audio"
        content = [{"type": kind, "transcript": text}]
        item = {"id": item_id, **_message("assistant", _status(cut), content)}
        part = {"type": "audio", "transcript": text}
        yield self._frame(f"{self._name('audio')}.done", Stream.AUDIO, number, **at)
        words = f"{self._name('audio_transcript')}.done"
        yield self._frame(words, Stream.WORDS, number, **at, transcript=text)
        yield self._frame("response.content_part.done", response=number, **at, part=part)
        yield from self._leave(response, item, number)
        yield from self._done(response, [item], number, cut=cut)

    def _call_tool(self) -> None:
        number, response, item = next(self._responses), self._new("resp"), self._new("item_call")
        call = {"type": "function_call", "call_id": self._new("call"), "name": TOOL}
        at: Event = {"response_id": response, "item_id": item, "output_index": 0}
        self._begin(response)
        unfinished = {"id": item, **call, "status": "in_progress", "arguments": ""}
        self._enter(response, unfinished, number)
        kind = "response.function_call_arguments"
        self._put(f"{kind}.delta", response=number, **at, call_id=call["call_id"], delta="{}")
        name = {"name": TOOL} if self._ga else {}
        done: Event = {**at, "call_id": call["call_id"], "arguments": "{}", **name}
        self._put(f"{kind}.done", response=number, **done)
        whole = {"id": item, **call, "status": "completed", "arguments": "{}"}
        self.frames += [*self._leave(response, whole, number)]
        self.frames += [*self._done(response, [whole], number, cut=False)]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "{}"}
        self._place({"id": self._new("item_output"), **output}, whole=True)
        self._now_ms += 100

    def _begin(self, response: str) -> None:
        self._put("response.created", response_=self._response(response, "in_progress", []))
        if not self._ga:
            self._limits()

    def _done(
        self, response: str, output: list[Event], number: int, *, cut: bool
    ) -> Iterator[Frame]:
        status = "cancelled" if cut else "completed"
        written = self._response(response, status, output)
        if cut:
            written["status_details"] = {"type": "cancelled", "reason": "turn_detected"}
        yield self._frame("response.done", response=number, response_=written)

    def _limits(self) -> None:
        limit = {"name": "tokens", "limit": 1000, "remaining": 900, "reset_seconds": 1.5}
        self._put("rate_limits.updated", Stream.NOISE, rate_limits=[limit])

    def _enter(self, response: str, item: Event, number: int) -> None:
        at: Event = {"response_id": response, "output_index": 0}
        self._put("response.output_item.added", response=number, **at, item=item)
        self._place(item, whole=False)

    def _leave(self, response: str, item: Event, number: int) -> Iterator[Frame]:
        at: Event = {"response_id": response, "output_index": 0}
        if self._ga:
            yield self._frame(
                "conversation.item.done", response=number, previous_item_id=None, item=item
            )
        yield self._frame("response.output_item.done", response=number, **at, item=item)

    def _place(self, item: Event, *, whole: bool) -> None:
        kinds = ["added", *(["done"] if whole else [])] if self._ga else ["created"]
        for kind in kinds:
            self._put(f"conversation.item.{kind}", previous_item_id=None, item=item)

    def _response(self, response: str, status: str, output: list[Event]) -> Event:
        own: Event = (
            {"output_modalities": ["audio"]}
            if self._ga
            else {"modalities": ["text", "audio"], "temperature": 0.8}
        )
        return {
            "object": "realtime.response",
            "id": response,
            "status": status,
            "status_details": None,
            "output": output,
            "usage": None,
            "metadata": None,
            **own,
        }

    def _name(self, what: str) -> str:
        return f"response.output_{what}" if self._ga else f"response.{what}"

    def _new(self, kind: str) -> str:
        return f"{kind}_{next(self._items)}"

    def _put(
        self, kind: str, stream: Stream = Stream.TURN, response: int | None = None, **fields: object
    ) -> None:
        self.frames.append(self._frame(kind, stream, response, **fields))

    def _frame(
        self, kind: str, stream: Stream = Stream.TURN, response: int | None = None, **fields: object
    ) -> Frame:
        # `response` is a field of the wire, too.
        written = {key.removesuffix("_"): value for key, value in fields.items()}
        event = {"type": kind, "event_id": f"event_{next(self._events)}", **written}
        return Frame(self._now_ms, json.dumps(event), stream, response)


def _message(role: str, status: str, content: list[Event]) -> Event:
    return {"type": "message", "role": role, "status": status, "content": content}


def _status(cut: bool) -> str:
    return "incomplete" if cut else "completed"
