"""One session of the adverse service: what it hears, its turns, its answers, what goes wrong."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from random import Random
from typing import Protocol

import numpy as np
import numpy.typing as npt
from websockets.exceptions import ConnectionClosed

from tests.support.adverse_mischief import (
    CLOSE_CODES,
    RATE_HZ,
    SILENT,
    STRAYS,
    Event,
    Mischief,
    Opening,
    cut,
    edit,
    merge,
    order,
)
from tests.support.adverse_wire import AdverseConnection

Samples = npt.NDArray[np.int16]

QUESTIONS = {"apple": 500, "berry": 650, "cherry": 800, "damson": 950, "elder": 1100, "fig": 1250}
"""Name and pitch (Hz) of each question."""

ANSWERS_HZ = {name: 1900 + 150 * number for number, name in enumerate(QUESTIONS)}
GREETING_HZ = 3000
ANSWER_MS = 1500
_GREETING_MS = 600
_LOUD = 1000
"""A sample above it is a caller's sound: far above a codec's noise, far below a question's."""
_FRAME = RATE_HZ // 50
_STARTS_AFTER, _STOPS_AFTER = 5, 25
"""Frames of 20 ms: 100 ms of sound open a turn, 500 ms of quiet close it."""
_PREFIX_MS = 300

_FRAMED = (Mischief.CONTINUATION, Mischief.PING_INSIDE, Mischief.SHREDDED, Mischief.BINARY)
_SPOILT = (Mischief.TOO_LARGE, Mischief.COMPRESSED, Mischief.MASKED, Mischief.BAD_UTF8)
_NO_EVENTS = ("null", "[]", "7", '"response.done"', "{}", '{"type": null}', '{"type": ["a"]}')


class Cut(Exception):
    """The connection was ended on purpose."""


class Plan(Protocol):
    """What goes wrong next."""

    def next_mischief(self) -> Mischief:
        """In the next turn."""
        ...

    def next_life_s(self) -> float:
        """How long the next session lives."""
        ...


class Run(Protocol):
    """What all sessions share: see :class:`tests.support.adverse_service.AdverseService`."""

    dice: Random
    log: Counter[str]
    asked: Counter[str]
    endless: set[str]


class AdverseSession:
    """One connection: its audio, its turns, its answers."""

    def __init__(self, run: Run, plan: Plan, socket: AdverseConnection, number: int) -> None:
        assert socket.request is not None
        self._run, self._plan, self._socket = run, plan, socket
        self._prefix = f"s{number}"
        self._ids = count(1)
        self._ga = "OpenAI-Beta" not in socket.request.headers
        self._session: Event = {}
        self._left = np.zeros(0, dtype=np.int16)
        self._loud = self._quiet = self._frames = 0
        self._speaking = False
        self._turn: list[Samples] = []
        self._item = self._reply = ""
        self._response: asyncio.Task[None] | None = None
        self._asking = "apple"
        self._mischief = Mischief.NONE
        self._ending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the session to its end."""
        life_s = self._plan.next_life_s()
        ending = asyncio.get_running_loop().call_later(life_s, self._expire)
        try:
            await self._open(life_s)
            async for frame in self._socket:
                await self._on_event(json.loads(frame))
        finally:
            ending.cancel()
            if self._response is not None:
                self._response.cancel()

    async def _open(self, life_s: float) -> None:
        opening = self._socket.opening
        if opening is Opening.SILENT:
            await self._socket.wait_closed()
        if opening is Opening.CLOSES:
            await self._close(opening)
        offset_s = {Opening.EXPIRED: -3600, Opening.SKEWED: 86_400}.get(opening, 0)
        expires_at = None if opening is Opening.EXPIRES_ODDLY else int(time.time() + life_s)
        self._session = {
            "id": f"sess_{self._prefix}",
            "object": "realtime.session",
            "expires_at": expires_at and expires_at + offset_s,
        }
        await self._tell("session.created", session=self._session)
        if opening is Opening.CREATED_AND_GONE:
            await self._close(opening)

    def _expire(self) -> None:
        self._run.log["session lived out"] += 1
        task = asyncio.ensure_future(self._quietly(self._end_with_expiry))
        self._ending.add(task)

    async def _quietly(self, doing: Callable[[], Awaitable[None]]) -> None:
        with suppress(ConnectionClosed, Cut):
            await doing()

    async def _on_event(self, event: Event) -> None:
        match event["type"]:
            case "session.update":
                await self._update(event["session"])
            case "input_audio_buffer.append":
                await self._on_audio(base64.b64decode(event["audio"], validate=True))
            case "input_audio_buffer.commit":
                await self._stop_and_commit()
            case "conversation.item.create":
                await self._take_item(event["item"])
            case "response.create":
                await self._on_asked()
            case "response.cancel":
                await self._cancel()
            case "conversation.item.truncate":
                fields = {k: event[k] for k in ("item_id", "content_index", "audio_end_ms")}
                await self._tell("conversation.item.truncated", **fields)

    async def _update(self, config: Event) -> None:
        opening = self._socket.opening
        merge(self._session, config)
        if opening is Opening.NEVER_UPDATED:
            return
        if opening is Opening.ERROR:
            error = {"type": "server_error", "code": "server_error", "message": "no"}
            await self._tell("error", error=error)
            return
        if opening is Opening.EXPIRES_ODDLY:
            self._session["expires_at"] = "tomorrow"
        for _ in range(2 if opening is Opening.UPDATED_TWICE else 1):
            await self._tell("session.updated", session=self._session)

    def _is_told(self, name: str) -> bool:
        """Return a switch of the session's turn detection; it is on where nothing is said."""
        place = self._session.get("audio", {}).get("input", {}) if self._ga else self._session
        return bool((place.get("turn_detection") or {}).get(name, True))

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
            if self._quiet == _STOPS_AFTER:
                await self._on_stopped()
            return
        self._turn = [*self._turn[-15:], frame]
        if self._loud >= _STARTS_AFTER:
            await self._on_started()

    async def _on_started(self) -> None:
        self._speaking, self._item = True, self._id()
        self._mischief = self._plan.next_mischief()
        start_ms = max(self._frames * 20 - _PREFIX_MS, 0)
        await self._tell(
            "input_audio_buffer.speech_started", item_id=self._item, audio_start_ms=start_ms
        )
        if self._is_told("interrupt_response"):
            await self._cancel()
        if self._mischief is Mischief.CLOSE_IN_SPEECH:
            await self._close()

    async def _on_stopped(self) -> None:
        match self._mischief:
            case Mischief.DEAF:
                self._note()
                self._socket.stop_reading()
                return
            case Mischief.NO_PONGS:
                self._note()
                self._socket.stop_ponging()
            case Mischief.NEVER_STOPS:
                self._note()  # until the client commits
                return
        await self._stop_and_commit()

    async def _stop_and_commit(self) -> None:
        if not self._speaking:
            error = {"type": "invalid_request_error", "code": "input_audio_buffer_commit_empty"}
            await self._tell("error", error={**error, "message": "no"})
            return
        await self._tell(
            "input_audio_buffer.speech_stopped",
            item_id=self._item,
            audio_end_ms=self._frames * 20,
        )
        if self._mischief is Mischief.NEVER_COMMITS:
            self._note()
            self._mischief = Mischief.NONE
            return
        self._speaking = False
        if self._mischief is Mischief.CLOSE_AFTER_SPEECH:
            await self._close()
        self._asking = _name_of(np.concatenate(self._turn))
        self._run.asked[self._asking] += 1
        await self._commit()
        if self._mischief is Mischief.CLOSE_AFTER_COMMIT:
            await self._close()
        if self._mischief is Mischief.EXPIRES:
            self._note()
            await self._end_with_expiry()
        if self._mischief is Mischief.OWN_ANSWER or self._is_told("create_response"):
            await self._on_asked()

    async def _commit(self) -> None:
        item_id = self._item
        await self._tell("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)
        content = [{"type": "input_audio", "transcript": None}]
        await self._announce({"id": item_id, "type": "message", "role": "user", "content": content})
        if self._mischief is Mischief.DEAF_TRANSCRIPT:
            self._note()
            error = {"type": "server_error", "code": None, "message": "no", "param": None}
            kind = "conversation.item.input_audio_transcription.failed"
            await self._tell(kind, item_id=item_id, content_index=0, error=error)
        elif self._mischief is Mischief.NO_TRANSCRIPT:
            self._note()
        elif self._mischief is not Mischief.LATE_TRANSCRIPT:
            await self._transcribe(item_id, self._asking)

    async def _transcribe(self, item_id: str, asking: str) -> None:
        await self._tell(
            "conversation.item.input_audio_transcription.completed",
            item_id=item_id,
            content_index=0,
            transcript=f"The {asking} question.",
            usage={"type": "duration", "seconds": 1},
        )

    async def _announce(self, item: Event) -> None:
        kinds = ("added", "done") if self._ga else ("created",)
        for kind in kinds:
            await self._tell(f"conversation.item.{kind}", item=item, previous_item_id=None)

    async def _on_asked(self) -> None:
        """Begin a response, or not."""
        if self._mischief is Mischief.NEVER_ANSWERS:
            self._note()
            self._mischief = Mischief.NONE
            return
        claims = self._mischief is Mischief.CLAIMS_ACTIVE
        if claims or (self._response is not None and not self._response.done()):
            if claims:
                self._note()
                self._mischief = Mischief.NONE
            code = "conversation_already_has_active_response"
            error = {"type": "invalid_request_error", "code": code, "message": "no"}
            await self._tell("error", error=error)
            return
        answering = self._answer if self._item else self._greet
        self._response = asyncio.ensure_future(self._quietly(answering))

    async def _cancel(self) -> None:
        if self._response is not None and not self._response.done():
            self._response.cancel()
            await asyncio.gather(self._response, return_exceptions=True)
            await self._tell("response.done", **self._done("cancelled", reason="client_cancelled"))

    async def _greet(self) -> None:
        await self._speak(_tone(GREETING_HZ, _GREETING_MS), Mischief.NONE)

    async def _answer(self) -> None:
        mischief, self._mischief = self._mischief, Mischief.NONE  # asked again, it answers
        item_id, asking = self._item, self._asking
        if mischief not in _NOTED_ELSEWHERE:
            self._run.log[mischief.value] += 1
        if mischief in SILENT:
            await self._say_nothing(mischief)
        else:
            await self._speak(_tone(ANSWERS_HZ[asking], ANSWER_MS), mischief)
        if mischief is Mischief.LATE_TRANSCRIPT:
            await self._transcribe(item_id, asking)
        if mischief is Mischief.CLOSE_AFTER_DONE:
            await self._close(mischief)

    async def _say_nothing(self, mischief: Mischief) -> None:
        self._reply = self._id("resp")
        status, reason = SILENT[mischief]
        await self._tell("response.created", **self._created())
        if mischief is Mischief.EMPTY_ITEM:
            item = {"id": self._id(), "type": "message", "role": "assistant", "content": []}
            at = {"response_id": self._reply, "output_index": 0}
            await self._tell("response.output_item.added", item=item, **at)
            await self._tell("response.output_item.done", item=item, **at)
        done = self._done(status, reason)
        if mischief is Mischief.STATUS_NULL:
            done["response"] |= {"output": None, "status_details": None}
        await self._tell("response.done", **done)

    async def _speak(self, tone: Samples, mischief: Mischief) -> None:
        self._reply = self._id("resp")
        events = order(self._events_of(tone, mischief), mischief)
        middle = len(events) // 2
        self._socket.frames = mischief if mischief in _FRAMED else Mischief.NONE
        for number, event in enumerate(events):
            if event["type"] == "response.output_item.added":
                await self._spoil_begin(mischief)
            if number == middle:
                await self._spoil_middle(mischief)
            if mischief is Mischief.SLOW and number < 12:
                await asyncio.sleep(0.2)
            await self._socket.tell(edit(event, mischief))
        self._socket.frames = Mischief.NONE
        if mischief is Mischief.NO_DONE:
            self._run.endless.add(self._session["id"])
            await asyncio.Event().wait()

    def _events_of(self, tone: Samples, mischief: Mischief) -> list[Event]:
        """Return the events of one answer as they ought to be, but for its deltas' cut."""
        item = {"id": self._id(), "type": "message", "role": "assistant", "content": []}
        at = {"response_id": self._reply, "output_index": 0}
        part = at | {"item_id": item["id"], "content_index": 0}
        output = "response.output_audio" if self._ga else "response.audio"
        events = [
            self._event("response.created", **self._created()),
            self._event("response.output_item.added", item=item, **at),
        ]
        for delta in cut(tone.astype("<i2").tobytes(), mischief):
            events.append(self._event(f"{output}.delta", delta=delta, **part))
        words = f"Of the {self._asking}."
        events += [
            self._event(f"{output}_transcript.done", transcript=words, **part),
            self._event(f"{output}.done", **part),
            self._event("response.output_item.done", item=item, **at),
            self._event("response.done", **self._done("completed", item=item)),
        ]
        return events

    async def _spoil_begin(self, mischief: Mischief) -> None:
        if mischief is Mischief.CLOSE_BEFORE_AUDIO:
            await self._close(mischief)
        if mischief is Mischief.STALLS_BEFORE_AUDIO:
            await asyncio.Event().wait()

    async def _spoil_middle(self, mischief: Mischief) -> None:
        for stray in STRAYS.get(mischief, ()):
            await self._socket.tell({"event_id": self._id("event"), **stray})
        if mischief is Mischief.CLOSE_MID_AUDIO:
            await self._close(mischief)
        if mischief is Mischief.STALLS_MID_AUDIO:
            await asyncio.Event().wait()
        if mischief is Mischief.RUBBISH:
            await self._socket.send('{"type": "response.output_audio.delta", "del')
        if mischief is Mischief.NO_OBJECT:
            for text in _NO_EVENTS:
                await self._socket.send(text)
        if mischief in _SPOILT:
            self._socket.spoil(mischief)

    def _created(self) -> Event:
        return {"response": {"id": self._reply, "status": "in_progress", "output": []}}

    def _done(self, status: str | None, reason: str = "", item: Event | None = None) -> Event:
        details: Event = {"type": status, **({"reason": reason} if reason else {})}
        if status == "failed":
            details["error"] = {"type": "server_error", "code": reason, "message": "no"}
        return {
            "response": {
                "id": self._reply,
                "status": status,
                "status_details": None if status == "completed" else details,
                "output": [{**item, "status": "completed"}] if item else [],
            }
        }

    async def _end_with_expiry(self) -> None:
        error = {
            "type": "invalid_request_error",
            "code": "session_expired",
            "message": "Your session hit the maximum duration.",
        }
        await self._tell("error", error=error)
        await self._socket.close(1001, "the session's time is over")
        raise Cut

    async def _close(self, why: Mischief | Opening | None = None) -> None:
        """Close with a code of the dice's, or cut the connection."""
        code = self._run.dice.choice(CLOSE_CODES)
        self._run.log[f"{(why or self._mischief).value}: {code or 'cut'}"] += 1
        if code is None:
            self._socket.cut()
        else:
            await self._socket.close(code, "adverse")
        raise Cut

    def _note(self) -> None:
        self._run.log[self._mischief.value] += 1

    def _id(self, kind: str = "item") -> str:
        return f"{kind}_{self._prefix}_{next(self._ids)}"

    async def _tell(self, kind: str, **fields: object) -> None:
        await self._socket.tell(self._event(kind, **fields))

    def _event(self, kind: str, **fields: object) -> Event:
        return {"event_id": self._id("event"), "type": kind, **fields}


_NOTED_ELSEWHERE = {
    Mischief.NONE,
    Mischief.CLOSE_BEFORE_AUDIO,
    Mischief.CLOSE_MID_AUDIO,
    Mischief.CLOSE_AFTER_DONE,
    Mischief.DEAF_TRANSCRIPT,
    Mischief.NO_TRANSCRIPT,
    Mischief.NO_PONGS,
    Mischief.NEVER_STOPS,
    Mischief.DEAF,
}


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
