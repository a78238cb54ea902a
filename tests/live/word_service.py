"""A Realtime service of the test's own, in both dialects: it hears which words reach a session.

The caller's "words" are pieces of 20 ms, each of one level (:func:`word`), so that the service can
say of every one whether it came, and how often. It detects turns by level, answers them as the
session asks for, and ends its sessions at a moment and in a way that the test chooses. It shares
no code with the bridge.
"""

import asyncio
import base64
import enum
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.support.waiting import PATIENCE_S

PIECE_MS = 20
PIECE_SAMPLES = 480
_BASE, _STEP = 2_000, 100
_STARTS_AFTER, _STOPS_AFTER = 3, 10
_WORD = re.compile(r"\bw(\d+)\b")

Json = dict[str, Any]  # Any: wire objects that the test looks into


def word(number: int) -> bytes:
    """Return the piece of audio that is word ``number``; 24 kHz 16-bit PCM."""
    return np.full(PIECE_SAMPLES, _BASE + _STEP * number, dtype="<i2").tobytes()


SILENCE = bytes(2 * PIECE_SAMPLES)


class Moment(enum.Enum):
    """A moment of the caller's turn or of its answer."""

    ONSET = "caller speaks, and is not told to"
    SPEAKING = "caller speaks"
    STOPPED = "caller stopped, turn not committed"
    COMMITTED = "turn committed"
    TRANSCRIBED = "turn committed and transcribed"
    CREATED = "response created, no audio"
    AUDIO = "answer half given"
    AUDIO_OF_WORDS = "answer to a transcribed turn half given"


_TRANSCRIBES = (Moment.TRANSCRIBED, Moment.AUDIO_OF_WORDS)


class Claim(enum.Enum):
    """What a service does that claims a running response of which nobody knows."""

    ENDS = "it runs, and ends when it is cancelled"
    WRONG = "there is none, and a cancel is told so"
    SILENT = "there is none, and a cancel is not answered"
    STUBBORN = "there is none, and it claims that again and again"


EndSession = Callable[["WordSession"], Awaitable[None]]


@dataclass
class WordSession:
    """One session.

    Attributes:
        heard: words that came as audio, in order; ``read``: those that came in items.
        answers: responses that ran to their end.
        answered: the words that the session knew when its last answer began.
        claim: what it does when it is asked for an answer; None: it answers.
    """

    socket: ServerConnection
    number: int
    changed: asyncio.Event
    beta: bool
    moment: Moment | None
    end: EndSession | None
    transcribes: bool
    claim: Claim | None = None
    heard: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    answers: int = 0
    answered: list[int] = field(default_factory=list)
    over: bool = False
    creates: bool = True
    _pieces: int = 0
    _loud: int = 0
    _quiet: int = 0
    _turns: int = 0
    _responses: int = 0
    _turn: list[int] = field(default_factory=list)
    _speaking: bool = False
    _pending: bytes = b""

    @property
    def known(self) -> list[int]:
        """The words that the session knows, from whichever way they came."""
        return sorted(self.heard + self.read)

    async def run(self, expires_at: object) -> None:
        """Serve the connection until it ends."""
        expiry = {} if expires_at is None else {"expires_at": expires_at}
        session = {"id": f"sess_{self.number}", "model": "m", **expiry}
        await self.tell("session.created", session=session)
        async for frame in self.socket:
            event = json.loads(frame)
            if self.over:
                continue
            if event["type"] == "session.update":
                detection = _inside(event["session"], "audio", "input", "turn_detection")
                detection = detection or event["session"].get("turn_detection") or {}
                self.creates = detection.get("create_response", self.creates)
                await self.tell("session.updated", session={**session, **event["session"]})
            else:
                await self._take(event)

    async def tell(self, kind: str, **fields: object) -> None:
        """Send an event."""
        self.changed.set()
        await self.socket.send(json.dumps({"type": kind, "event_id": _new_id(), **fields}))

    async def _take(self, event: Json) -> None:
        kind = event["type"]
        self.sent.append(kind)
        self.changed.set()
        if kind == "input_audio_buffer.append":
            self._pending += base64.b64decode(event["audio"])
            while len(self._pending) >= 2 * PIECE_SAMPLES and not self.over:
                piece, self._pending = (
                    self._pending[: 2 * PIECE_SAMPLES],
                    self._pending[2 * PIECE_SAMPLES :],
                )
                await self._hear(int(np.frombuffer(piece, dtype="<i2")[0]))
        elif kind == "conversation.item.create":
            self.read += map(int, _WORD.findall(json.dumps(event["item"])))
        elif kind == "response.create":
            if self.claim is None:
                await self._respond()
            else:
                await self._refuse()
        elif kind == "response.cancel":
            await self._cancel()

    async def _hear(self, level: int) -> None:
        self._pieces += 1
        if level < _BASE:
            self._quiet, self._loud = self._quiet + 1, 0
            if self._speaking and self._quiet == _STOPS_AFTER:
                await self._end_turn()
            return
        number = (level - _BASE) // _STEP
        self.heard.append(number)
        self._turn.append(number)
        self._loud, self._quiet = self._loud + 1, 0
        if not self._speaking and self._loud == _STARTS_AFTER:
            if await self._reached(Moment.ONSET):
                return
            self._speaking = True
            self._turns += 1
            started_ms = (self._pieces - self._loud) * PIECE_MS
            await self._tell_turn("speech_started", audio_start_ms=started_ms)
        if self._speaking and len(self._turn) == 20:
            await self._reached(Moment.SPEAKING)

    async def _tell_turn(self, what: str, **fields: object) -> None:
        item_id = f"item_{self._turns}"
        await self.tell(f"input_audio_buffer.{what}", item_id=item_id, **fields)

    async def _end_turn(self) -> None:
        self._speaking = False
        words, self._turn = self._turn, []
        await self._tell_turn("speech_stopped", audio_end_ms=self._pieces * PIECE_MS)
        if await self._reached(Moment.STOPPED):
            return
        await self._tell_turn("committed", previous_item_id=None)
        item = {"id": f"item_{self._turns}", "type": "message", "role": "user", "content": []}
        created = "created" if self.beta else "added"
        await self.tell(f"conversation.item.{created}", item=item, previous_item_id=None)
        if await self._reached(Moment.COMMITTED):
            return
        if self.transcribes:
            await self.tell(
                "conversation.item.input_audio_transcription.completed",
                item_id=f"item_{self._turns}",
                content_index=0,
                transcript=" ".join(f"w{number}" for number in words),
            )
            if await self._reached(Moment.TRANSCRIBED):
                return
        if self.creates:
            await self._respond()

    async def _respond(self) -> None:
        self._responses += 1
        self.answered = self.known
        name, item_id = f"resp_{self._responses}", f"agent_{self._responses}"
        response = {"id": name, "status": "in_progress", "output": []}
        await self.tell("response.created", response=response)
        item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        await self.tell("response.output_item.added", response_id=name, output_index=0, item=item)
        if await self._reached(Moment.CREATED):
            return
        prefix = "response." if self.beta else "response.output_"
        at = {"response_id": name, "item_id": item_id, "output_index": 0, "content_index": 0}
        audio = base64.b64encode(bytes(2 * PIECE_SAMPLES * 5)).decode()
        await self.tell(f"{prefix}audio.delta", delta=audio, **at)
        await self.tell(f"{prefix}audio_transcript.delta", delta="Certainly, ", **at)
        if await self._reached(Moment.AUDIO) or await self._reached(Moment.AUDIO_OF_WORDS):
            return
        await self.tell(f"{prefix}audio.done", **at)
        await self.tell(f"{prefix}audio_transcript.done", transcript="Certainly, yes.", **at)
        done = {"id": name, "status": "completed", "output": [{**item, "status": "completed"}]}
        await self.tell("response.done", response=done)
        self.answers += 1
        self.changed.set()

    async def _refuse(self) -> None:
        await self._tell_error(
            "conversation_already_has_active_response",
            "Conversation already has an active response in progress: resp_hidden.",
        )
        if self.claim is Claim.SILENT:
            self.claim = None

    async def _cancel(self) -> None:
        if self.claim is Claim.ENDS:
            response = {"id": "resp_hidden", "status": "cancelled", "output": []}
            await self.tell("response.done", response=response)
        elif self.claim is not None:
            await self._tell_error("response_cancel_not_active", "Cancellation failed.")
        if self.claim is not Claim.STUBBORN:
            self.claim = None

    async def _tell_error(self, code: str, message: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message}
        await self.tell("error", error={**error, "param": None, "event_id": None})

    async def _reached(self, moment: Moment) -> bool:
        """End the session, if this is the moment."""
        if self.moment is not moment or self.end is None:
            return False
        self.over = True
        await self.end(self)
        return True


class WordService:
    """Sessions in the order of their connections.

    Attributes:
        ends: for the first sessions, when and how each is ended.
        expires_at: for each session by its number, from 1: what it tells.
    """

    def __init__(self, *ends: tuple[Moment, EndSession]) -> None:
        self.ends = ends
        self.expires_at: Callable[[int], object] = lambda number: None
        self.sessions: list[WordSession] = []
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Wait for what an event of a session makes true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def serve(self, socket: ServerConnection) -> None:
        """Serve one session."""
        number = len(self.sessions) + 1
        moment, end = self.ends[number - 1] if number <= len(self.ends) else (None, None)
        assert socket.request is not None
        beta = "OpenAI-Beta" in socket.request.headers
        transcribes = moment in _TRANSCRIBES
        session = WordSession(socket, number, self._changed, beta, moment, end, transcribes)
        self.sessions.append(session)
        try:
            await session.run(self.expires_at(number))
        except ConnectionClosed:
            return


@asynccontextmanager
async def word_service(*ends: tuple[Moment, EndSession]) -> AsyncIterator[tuple[WordService, str]]:
    """Serve sessions; give the service and its URL."""
    service = WordService(*ends)
    async with serve(service.serve, "127.0.0.1", 0, close_timeout=0.2) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield service, f"ws://127.0.0.1:{port}/v1/realtime"


def closing(code: int) -> EndSession:
    """Return how a session is closed with a code; 1005: without one; 1006: without a close."""

    async def end(session: WordSession) -> None:
        if code == 1006:
            session.socket.transport.abort()
        elif code == 1005:
            session.socket.transport.write(b"\x88\x00")  # RFC 6455 section 5.5.1: an empty body
        else:
            # websockets refuses codes that RFC 6455 reserves; peers send them all the same.
            body = code.to_bytes(2, "big")
            session.socket.transport.write(bytes([0x88, len(body)]) + body)

    return end


def expiring(close_code: int | None) -> EndSession:
    """Return how a session tells that it has expired, and is closed then; None: it stays open."""

    async def end(session: WordSession) -> None:
        error = {
            "type": "invalid_request_error",
            "code": "session_expired",
            "message": "Your session hit the maximum duration of 60 minutes.",
            "param": None,
            "event_id": None,
        }
        await session.tell("error", error=error)
        if close_code is not None:
            await closing(close_code)(session)

    return end


def _inside(obj: Json, *keys: str) -> Json | None:
    inner: Any = obj  # Any: as above
    for key in keys:
        inner = inner.get(key) if isinstance(inner, dict) else None
    return inner if isinstance(inner, dict) else None


_numbers = iter(range(1, 1 << 40))


def _new_id() -> str:
    return f"event_{next(_numbers)}"
