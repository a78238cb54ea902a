"""A GPT-Live session for load: no speech engine, a tone for what the agent says.

It hears nothing, and goes round the same turn as the sessions of :mod:`bridge.simulator.light`, by
its own timeline: for each 100 ms of input one piece of output comes back, silence for the caller's
part of a turn (`PROTOCOL.md` section 11). What a session may be asked to be is checked by the full
simulator's shapes. Text that is put on the timeline is acknowledged, and nobody says it.
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from aiohttp import WSMsgType, web
from numpy.typing import NDArray

from bridge.simulator.gpt_live.config import LiveConfig, check_startable
from bridge.simulator.gpt_live.shapes import ContextAppend, LiveSessionStart
from bridge.simulator.gpt_live.timeline import FRAME_MS
from bridge.simulator.gpt_live.track import TICK_MS
from bridge.simulator.names import new_name
from bridge.simulator.reading import read_request
from bridge.simulator.refusal import EventRefused
from bridge.simulator.wire import WireObject

APPEND = "session.input_audio.append"


@dataclass(frozen=True, slots=True)
class LightTurn:
    """The turn that a session goes round.

    Attributes:
        turn_ms: its length; listen_ms: the caller's part, at its begin.
        speech: the agent's, int16 at 24 kHz.
        text: its words; caller_text: those of the caller.
        phase_ms: where in the caller's part the session begins.
    """

    turn_ms: int
    listen_ms: int
    speech: NDArray[np.int16]
    text: str
    caller_text: str
    phase_ms: int


class LightLiveTalk:
    """One session.

    Args:
        socket: of the client.
        turn: that it goes round.
        expires_at_s: Unix time of its end, for its settings.
        count: takes an append with caller audio and the session's bytes a ms; returns its ms, or
            None for any other event.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        turn: LightTurn,
        expires_at_s: int,
        count: Callable[[str, int], float | None],
    ) -> None:
        self._socket = socket
        self._turn = turn
        self._expires_at_s = expires_at_s
        self._count = count
        self._config: LiveConfig | None = None
        self._pieces: tuple[str, ...] = ()
        self._silence = ""
        self._bytes_per_ms = 1
        self._heard_ms = 0.0
        self._now_ms = 0

    async def converse(self) -> None:
        """Hold the session until the client has enough."""
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                continue
            heard_ms = self._count(message.data, self._bytes_per_ms)
            if heard_ms is None:
                await self._obey(message.data)
            elif self._config is not None:
                self._heard_ms += heard_ms
                await self._advance()

    async def _advance(self) -> None:
        """Bring the timeline to where the input is."""
        while self._now_ms + TICK_MS <= self._heard_ms:
            in_turn_ms = (self._now_ms + self._turn.phase_ms) % self._turn.turn_ms
            said_ms = in_turn_ms - self._turn.listen_ms
            place = said_ms // TICK_MS
            speaks = 0 <= place < len(self._pieces)
            audio = self._pieces[place] if speaks else self._silence
            # The only event without an id, and by far the most frequent one.
            await self._socket.send_str(
                f'{{"type": "session.output_audio.delta", "delta": "{audio}"}}'
            )
            for side, text in self._transcripts(in_turn_ms):
                frame = {"start_ms": self._now_ms, "end_ms": self._now_ms + FRAME_MS}
                await self._emit(f"session.{side}_transcript.delta", **frame, delta=text)
            self._now_ms += TICK_MS

    def _transcripts(self, in_turn_ms: int) -> Iterator[tuple[str, str]]:
        if in_turn_ms // TICK_MS == self._turn.listen_ms // TICK_MS - 1:
            yield "input", self._turn.caller_text
        if in_turn_ms // TICK_MS == self._turn.listen_ms // TICK_MS:
            yield "output", self._turn.text

    async def _obey(self, text: str) -> None:
        try:
            event = read_request(text, _READERS).command
        except EventRefused as refused:
            error = {"type": refused.error.type, "code": refused.error.code}
            await self._emit("error", error={**error, "message": refused.error.message})
            return
        match event:
            case LiveSessionStart():
                await self._begin(event)
            case ContextAppend():
                frame = {"start_ms": self._now_ms, "end_ms": self._now_ms + FRAME_MS}
                answer: WireObject = {"client_event_id": event.event_id, **frame}
                await self._emit(f"{event.type}ed", **answer)
            case "session.close" if self._config is not None:
                await self._emit(
                    "session.closed",
                    reason="close_requested",
                    session=self._config.resource,
                    usage={"seconds": round(self._now_ms / 1000)},
                )
                await self._socket.close()
            case _:
                pass

    async def _begin(self, asked: LiveSessionStart) -> None:
        config = LiveConfig(asked.session, new_name("live"), self._expires_at_s)
        audio_format = config.audio_format
        self._bytes_per_ms = audio_format.bytes_per_ms
        audio = audio_format.encode_speech(self._turn.speech)
        tick = TICK_MS * self._bytes_per_ms
        pieces = (audio[at : at + tick] for at in range(0, len(audio) - tick + 1, tick))
        self._pieces = tuple(base64.b64encode(piece).decode() for piece in pieces)
        silence = audio_format.silence(tick // audio_format.sample_bytes)
        self._silence = base64.b64encode(silence).decode()
        self._config = config
        await self._emit("session.started", client_event_id=asked.event_id, session=config.resource)

    async def _emit(self, kind: str, **fields: object) -> None:
        written = {"type": kind, "event_id": new_name("event"), **fields}
        await self._socket.send_str(json.dumps(written))


def _read_start(event: WireObject) -> LiveSessionStart:
    check_startable(event.get("session"))
    return LiveSessionStart.model_validate(event)


_READERS: dict[str, Callable[[WireObject], object]] = {
    "session.start": _read_start,
    **{
        f"session.{channel}.append": ContextAppend.model_validate
        for channel in ("instructions", "thinking", "commentary")
    },
    "session.close": lambda event: event["type"],
    "session.update": lambda event: event["type"],
}
