"""A Realtime service that misbehaves by a seeded dice, in both dialects.

It shares no code with the product.

Its callers ask in tones: each question is a pitch of :data:`QUESTIONS`, which the service hears in
the audio that reaches it, transcribes by its name, and answers with a pitch of the question's own.
So the caller's ear knows which question an answer belongs to, and the record which question was
understood. What it does wrong in a turn is a :class:`Mischief`; what it did is in ``log``.
"""

import asyncio
import base64
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum
from http import HTTPStatus
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Event = dict[str, Any]  # Any: JSON as it is on the wire
Samples = npt.NDArray[np.int16]

RATE_HZ = 24_000
QUESTIONS = {"apple": 500, "berry": 650, "cherry": 800, "damson": 950, "elder": 1100, "fig": 1250}
"""Name and pitch (Hz) of each question."""

ANSWERS_HZ = {name: 1900 + 150 * number for number, name in enumerate(QUESTIONS)}
GREETING_HZ = 3000
_ANSWER_MS, _GREETING_MS, _DELTA_MS = 1500, 600, 100
_LOUD = 1000
"""A sample above it is a caller's sound: far above a codec's noise, far below a question's."""
_FRAME = RATE_HZ // 50
_STARTS_AFTER, _STOPS_AFTER = 5, 25
"""Frames of 20 ms: 100 ms of sound open a turn, 500 ms of quiet close it."""
_PREFIX_MS = 300


class Mischief(Enum):
    """What goes wrong in one turn."""

    NONE = "nothing"
    CLOSE_IN_SPEECH = "closes while the caller speaks"
    CLOSE_AFTER_SPEECH = "closes when the caller has stopped"
    CLOSE_AFTER_COMMIT = "closes with the turn committed"
    CLOSE_BEFORE_AUDIO = "closes with the response begun"
    CLOSE_MID_AUDIO = "closes in the middle of the answer"
    EXPIRES = "session_expired, and closes"
    DONE_WITHOUT_AUDIO = "completed without a sound"
    INCOMPLETE = "incomplete without a sound"
    CANCELLED = "cancelled by itself, without a sound"
    FAILED = "failed: server_error"
    RATE_LIMITED = "failed: rate_limit_exceeded"
    NEVER_ANSWERS = "commits, and no response ever begins"
    STALLS_BEFORE_AUDIO = "a response that says nothing more"
    STALLS_MID_AUDIO = "the answer stops in its middle for ever"
    ODD_BYTES = "deltas cut at odd bytes"
    UNPADDED = "base64 without padding"
    URL_SAFE = "base64 in the url-safe alphabet"
    RUBBISH = "a frame that is no JSON"
    STRANGE_EVENTS = "events that nobody knows"
    DUPLICATES = "each delta twice, under one event id"
    SLOW = "deltas at half of real time's speed for a second"
    DEAF_TRANSCRIPT = "the transcription fails"


CLOSE_CODES = (1000, 1001, 1002, 1007, 1009, 1011, 1012, 1013, 4999, None)
"""None cuts the connection without a close."""


class AdverseService:
    """All sessions of one run.

    Args:
        seed: of every choice.
        share_wrong: of the turns, 0 to 1.

    Attributes:
        log: Counter of what was done wrong; ``asked``: names of the questions that were committed.
        only: mischiefs to choose from.
    """

    def __init__(self, seed: int, share_wrong: float = 0.7) -> None:
        self.dice = random.Random(seed)
        self.share_wrong = share_wrong
        self.log: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.sessions = 0
        self.only: tuple[Mischief, ...] = tuple(Mischief)
        self.refuse_share = 0.15

    def next_mischief(self) -> Mischief:
        """Choose what goes wrong in the next turn."""
        if self.dice.random() >= self.share_wrong:
            return Mischief.NONE
        return self.dice.choice(self.only)

    async def look(self, peer: ServerConnection, request: Request) -> Response | None:
        """Refuse some handshakes, with and without a Retry-After."""
        if self.sessions < 1 or self.dice.random() >= self.refuse_share:
            return None
        self.log["503 at the handshake"] += 1
        response = peer.respond(HTTPStatus.SERVICE_UNAVAILABLE, "busy\n")
        if self.dice.random() < 0.5:
            response.headers = Headers([*response.headers.raw_items(), ("Retry-After", "1")])
        return response

    async def serve(self, socket: ServerConnection) -> None:
        """Serve one session to its end."""
        self.sessions += 1
        await _Session(self, socket, self.sessions).run()


class _Session:
    """One connection: its audio, its turns, its answers."""

    def __init__(self, service: AdverseService, socket: ServerConnection, number: int) -> None:
        assert socket.request is not None
        self._service = service
        self._socket = socket
        self._prefix = f"s{number}"
        self._ids = count(1)
        self._ga = "OpenAI-Beta" not in socket.request.headers
        self._wants: Event = {}
        self._heard: list[Samples] = []
        self._left = np.zeros(0, dtype=np.int16)
        self._loud = self._quiet = 0
        self._speaking = False
        self._turn: list[Samples] = []
        self._item = ""
        self._response: asyncio.Task[None] | None = None
        self._asking = "apple"
        self._mischief = Mischief.NONE
        self._frames = 0

    async def run(self) -> None:
        life_s = self._service.dice.choice([25, 60, 3600])
        self._session: Event = {
            "id": f"sess_{self._prefix}",
            "object": "realtime.session",
            "expires_at": int(time.time()) + life_s,
        }
        ending = asyncio.get_running_loop().call_later(life_s, self._expire)
        try:
            await self._send("session.created", session=self._session)
            async for frame in self._socket:
                await self._on_event(json.loads(frame))
        except (ConnectionClosed, _Cut):
            return
        finally:
            ending.cancel()
            if self._response is not None:
                self._response.cancel()

    def _expire(self) -> None:
        self._service.log["session lived out"] += 1
        self._expiry = asyncio.ensure_future(self._end_expired())

    async def _end_expired(self) -> None:
        with suppress(ConnectionClosed, _Cut):
            await self._end_with_expiry()

    async def _on_event(self, event: Event) -> None:
        match event["type"]:
            case "session.update":
                _merge(self._session, event["session"])
                await self._send("session.updated", session=self._session)
            case "input_audio_buffer.append":
                await self._on_audio(base64.b64decode(event["audio"], validate=True))
            case "conversation.item.create":
                await self._take_item(event["item"])
            case "response.create":
                self._begin(self._greet if not self._asked else self._answer)
            case "response.cancel":
                await self._cancel()
            case "conversation.item.truncate":
                fields = {k: event[k] for k in ("item_id", "content_index", "audio_end_ms")}
                await self._send("conversation.item.truncated", **fields)

    @property
    def _asked(self) -> bool:
        return bool(self._item)

    async def _take_item(self, item: Event) -> None:
        """Take an item that says what was said before; a question in it is one to be answered."""
        if item.get("role") == "user":
            text = json.dumps(item.get("content", []))
            named = [name for name in QUESTIONS if name in text]
            if named:
                self._asking, self._item = max(named, key=text.rfind), "told"
        await self._announce({**item, "id": item.get("id") or self._id()})

    async def _on_audio(self, audio: bytes) -> None:
        samples = np.concatenate([self._left, np.frombuffer(audio, dtype="<i2")])
        whole = len(samples) // _FRAME * _FRAME
        self._left = samples[whole:]
        for frame in samples[:whole].reshape(-1, _FRAME):
            await self._on_frame(frame)

    async def _on_frame(self, frame: Samples) -> None:
        self._frames += 1
        loud = int(np.abs(frame.astype(np.int32)).max()) > _LOUD
        self._loud, self._quiet = (self._loud + 1, 0) if loud else (0, self._quiet + 1)
        if self._speaking:
            self._turn.append(frame)
            if self._quiet >= _STOPS_AFTER:
                await self._on_stopped()
            return
        self._turn = [*self._turn[-15:], frame]
        if self._loud >= _STARTS_AFTER:
            await self._on_started()

    async def _on_started(self) -> None:
        self._speaking, self._item = True, self._id()
        self._mischief = self._service.next_mischief()
        start_ms = max(self._frames * 20 - _PREFIX_MS, 0)
        await self._send(
            "input_audio_buffer.speech_started", item_id=self._item, audio_start_ms=start_ms
        )
        await self._cancel()
        if self._mischief is Mischief.CLOSE_IN_SPEECH:
            await self._close()

    async def _on_stopped(self) -> None:
        self._speaking = False
        await self._send(
            "input_audio_buffer.speech_stopped",
            item_id=self._item,
            audio_end_ms=self._frames * 20,
        )
        if self._mischief is Mischief.CLOSE_AFTER_SPEECH:
            await self._close()
        self._asking = _name_of(np.concatenate(self._turn))
        self._service.asked[self._asking] += 1
        await self._commit()
        match self._mischief:
            case Mischief.CLOSE_AFTER_COMMIT:
                await self._close()
            case Mischief.EXPIRES:
                self._note()
                await self._end_with_expiry()
            case Mischief.NEVER_ANSWERS:
                self._note()
            case _:
                self._begin(self._answer)

    async def _commit(self) -> None:
        item_id = self._item
        await self._send("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)
        content = [{"type": "input_audio", "transcript": None}]
        await self._announce({"id": item_id, "type": "message", "role": "user", "content": content})
        kind = "conversation.item.input_audio_transcription"
        if self._mischief is Mischief.DEAF_TRANSCRIPT:
            self._note()
            error = {"type": "server_error", "code": None, "message": "no", "param": None}
            await self._send(f"{kind}.failed", item_id=item_id, content_index=0, error=error)
            return
        await self._send(
            f"{kind}.completed",
            item_id=item_id,
            content_index=0,
            transcript=f"The {self._asking} question.",
            usage={"type": "duration", "seconds": 1},
        )

    async def _announce(self, item: Event) -> None:
        kinds = ("added", "done") if self._ga else ("created",)
        for kind in kinds:
            await self._send(f"conversation.item.{kind}", item=item, previous_item_id=None)

    def _begin(self, answering: Callable[[], Awaitable[None]]) -> None:
        if self._response is None or self._response.done():
            self._response = asyncio.ensure_future(self._run(answering))

    async def _run(self, answering: Callable[[], Awaitable[None]]) -> None:
        with suppress(ConnectionClosed, _Cut):
            await answering()

    async def _cancel(self) -> None:
        if self._response is not None and not self._response.done():
            self._response.cancel()
            await asyncio.gather(self._response, return_exceptions=True)
            await self._done("cancelled", reason="client_cancelled")

    async def _greet(self) -> None:
        await self._speak(_tone(GREETING_HZ, _GREETING_MS))
        await self._done("completed")

    async def _answer(self) -> None:
        tone = _tone(ANSWERS_HZ[self._asking], _ANSWER_MS)
        mischief, self._mischief = self._mischief, Mischief.NONE  # asked again, it answers
        if mischief in _SILENT:
            self._service.log[mischief.value] += 1
            await self._created()
            await self._done(*_SILENT[mischief])
            return
        await self._speak(tone, mischief)

    async def _speak(self, tone: Samples, mischief: Mischief = Mischief.NONE) -> None:
        if mischief in _IN_ANSWER:
            self._service.log[mischief.value] += 1
        await self._created()
        if mischief is Mischief.CLOSE_BEFORE_AUDIO:
            await self._close()
        if mischief is Mischief.STALLS_BEFORE_AUDIO:
            await asyncio.Event().wait()
        item_id = self._id()
        item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        at = {"response_id": self._reply, "output_index": 0}
        await self._send("response.output_item.added", item=item, **at)
        at |= {"item_id": item_id, "content_index": 0}
        audio = "response.output_audio" if self._ga else "response.audio"
        deltas = _cut(tone.astype("<i2").tobytes(), mischief)
        for number, delta in enumerate(deltas):
            await self._spoil(mischief, number, len(deltas))
            await self._deliver(f"{audio}.delta", mischief, delta=delta, **at)
        words = "response.output_audio_transcript" if self._ga else "response.audio_transcript"
        await self._send(f"{words}.done", transcript=f"Of the {self._asking}.", **at)
        await self._send(f"{audio}.done", **at)
        await self._done("completed", item={**item, "status": "completed"})

    async def _spoil(self, mischief: Mischief, number: int, deltas: int) -> None:
        if mischief is Mischief.SLOW and number < 10:
            await asyncio.sleep(0.2)
        if number != deltas // 2:
            return
        match mischief:
            case Mischief.CLOSE_MID_AUDIO:
                await self._close()
            case Mischief.STALLS_MID_AUDIO:
                await asyncio.Event().wait()
            case Mischief.RUBBISH:
                await self._socket.send('{"type": "response.output_audio.delta", "del')
            case Mischief.STRANGE_EVENTS:
                await self._send("response.mood.changed", mood={"is": ["good"]})
                await self._send("session.warmed", at=None)

    async def _deliver(self, kind: str, mischief: Mischief, **fields: object) -> None:
        frame = self._event(kind, **fields)
        for _ in range(2 if mischief is Mischief.DUPLICATES else 1):
            await self._socket.send(frame)

    async def _created(self) -> None:
        self._reply = self._id("resp")
        response = {"id": self._reply, "status": "in_progress", "output": []}
        await self._send("response.created", response=response)

    async def _done(self, status: str, reason: str = "", item: Event | None = None) -> None:
        details: Event = {"type": status, **({"reason": reason} if reason else {})}
        if status == "failed":
            details["error"] = {"type": "server_error", "code": reason, "message": "no"}
        response = {
            "id": self._reply,
            "status": status,
            "status_details": None if status == "completed" else details,
            "output": [item] if item else [],
        }
        await self._send("response.done", response=response)

    async def _end_with_expiry(self) -> None:
        error = {
            "type": "invalid_request_error",
            "code": "session_expired",
            "message": "Your session hit the maximum duration.",
        }
        await self._send("error", error=error)
        await self._socket.close(1001, "the session's time is over")
        raise _Cut

    async def _close(self) -> None:
        """Close with a code of the dice's, or cut the connection."""
        code = self._service.dice.choice(CLOSE_CODES)
        self._service.log[f"{self._mischief_name()}: {code or 'cut'}"] += 1
        if code is None:
            self._socket.transport.abort()
        else:
            await self._socket.close(code, "adverse")
        raise _Cut

    def _mischief_name(self) -> str:
        return "closes" if self._mischief is Mischief.NONE else self._mischief.value

    def _note(self) -> None:
        self._service.log[self._mischief.value] += 1

    def _id(self, kind: str = "item") -> str:
        return f"{kind}_{self._prefix}_{next(self._ids)}"

    async def _send(self, kind: str, **fields: object) -> None:
        await self._socket.send(self._event(kind, **fields))

    def _event(self, kind: str, **fields: object) -> str:
        return json.dumps({"event_id": self._id("event"), "type": kind, **fields})


class _Cut(Exception):
    """The connection was ended on purpose."""


_SILENT = {
    Mischief.DONE_WITHOUT_AUDIO: ("completed", ""),
    Mischief.INCOMPLETE: ("incomplete", "max_output_tokens"),
    Mischief.CANCELLED: ("cancelled", "turn_detected"),
    Mischief.FAILED: ("failed", "server_error"),
    Mischief.RATE_LIMITED: ("failed", "rate_limit_exceeded"),
}
_IN_ANSWER = {
    Mischief.STALLS_BEFORE_AUDIO,
    Mischief.STALLS_MID_AUDIO,
    Mischief.ODD_BYTES,
    Mischief.UNPADDED,
    Mischief.URL_SAFE,
    Mischief.RUBBISH,
    Mischief.STRANGE_EVENTS,
    Mischief.DUPLICATES,
    Mischief.SLOW,
}


def _merge(config: Event, update: Event) -> None:
    """Take what an update names, and leave the rest."""
    for name, value in update.items():
        if isinstance(value, dict) and isinstance(config.get(name), dict):
            _merge(config[name], value)
        else:
            config[name] = value


def _cut(audio: bytes, mischief: Mischief) -> list[str]:
    """Return the deltas of an answer, cut and encoded as the mischief wants it."""
    step = RATE_HZ * _DELTA_MS // 1000 * 2
    if mischief is Mischief.ODD_BYTES:
        step = 4001
    if mischief in (Mischief.UNPADDED, Mischief.URL_SAFE):
        step = 4000  # no multiple of three: there is padding to leave out
    encode = base64.urlsafe_b64encode if mischief is Mischief.URL_SAFE else base64.b64encode
    deltas = [encode(audio[at : at + step]).decode() for at in range(0, len(audio), step)]
    return [each.rstrip("=") for each in deltas] if mischief is Mischief.UNPADDED else deltas


def _tone(pitch_hz: int, lasts_ms: int) -> Samples:
    at_s = np.arange(RATE_HZ * lasts_ms // 1000) / RATE_HZ
    tone: Samples = (9000 * np.sin(2 * np.pi * pitch_hz * at_s)).astype(np.int16)
    return tone


def _name_of(heard: Samples) -> str:
    """Return the question that a turn's audio holds: the one nearest to its strongest pitch."""
    pitch_hz = strongest_hz(heard, RATE_HZ)
    return min(QUESTIONS, key=lambda name: abs(QUESTIONS[name] - pitch_hz))


def strongest_hz(heard: Samples, rate_hz: int) -> float:
    """Return the pitch with the most power in it."""
    power = np.abs(np.fft.rfft(heard.astype(np.float64) * np.hanning(len(heard))))
    return float(np.argmax(power)) * rate_hz / len(heard)


@asynccontextmanager
async def adverse_service(service: AdverseService) -> AsyncIterator[str]:
    """Serve sessions; give the URL."""
    async with serve(
        service.serve, "127.0.0.1", 0, process_request=service.look, close_timeout=1
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime"
