"""A Realtime server for load: every dialect, no speech engine, tones for answers.

It hears nothing: every session goes round the same turn by the clock, half of it the caller's and
half of it an answer, so that many of them cost this process little and the far end just what real
ones would. Sessions begin at different points of the turn. Events are written by the same code as
the full simulator's, in the order of `PROTOCOL.md` section 7.
"""

import asyncio
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from aiohttp import ClientConnectionResetError, WSMsgType, web

from bridge.clock import Clock, SystemClock
from bridge.errors import InfrastructureError
from bridge.realtime import commands as c
from bridge.realtime.events import (
    ErrorReported,
    InputCommitted,
    ItemAdded,
    ItemDone,
    ItemTruncated,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
)
from bridge.realtime.ids import ItemId
from bridge.realtime.items import ContentPart, ItemStatus, Message, PartKind, Role
from bridge.realtime.session_config import ResponseConfig
from bridge.simulator.connection import Lifetime, wire_for
from bridge.simulator.conversation import Conversation, ConversationEntry, Tokens
from bridge.simulator.dialect_wire import Wire
from bridge.simulator.door import Doorkeeper, Objection, Visitor, live_path
from bridge.simulator.formats import wire_format
from bridge.simulator.generation import Generation, GenerationStep
from bridge.simulator.light_live import APPEND, LightLiveTalk, LightTurn
from bridge.simulator.names import new_name
from bridge.simulator.refusal import EventRefused
from bridge.simulator.scenario import Models, Pacing, SessionLimit
from bridge.simulator.tokens import TokenDesk
from bridge.simulator.wire import DialectName

PATH = "/v1/realtime"
STATS_PATH = "/stats"

TURN_S = 6.0
"""One turn: the caller for half of it, then the answer."""

CALLER_S = 3.0
_CALLER_SILENT_S = 0.5
"""Before and after the caller's words."""

ANSWER_S = 2.5
_TONE_HZ, _TONE_LEVEL = 440.0, 8000
_RATE_HZ = 24_000
_TEXT = "This is a tone."
_PACING = Pacing(think_ms=0, delta_ms=200, speedup=4.0)
"""Deltas of 200 ms, four times as fast as they are spoken."""

_GOLDEN = 0.618034
"""Multiples of it, modulo 1, spread the first turns of any number of sessions evenly."""

_APPENDS = ("input_audio_buffer.append", APPEND)
_CALLER_TEXT = "Hello."
_TYPE_WITHIN = 120
"""Characters at either end of an event in which its type is looked for."""

_AUDIO_KEY = '"audio"'

_LARGEST_FRAME_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class Stats:
    """Counts of what came in, of all sessions.

    Attributes:
        sessions: that are open now.
        appends: events with caller audio.
        audio_ms: caller audio in them.
    """

    sessions: int = 0
    appends: int = 0
    audio_ms: float = 0.0

    def count(self, text: str, bytes_per_ms: float) -> float | None:
        """Count an append of caller audio by its length, unread.

        Returns:
            Its ms; None for any other event, which is not counted.
        """
        ends_of_it = text[:_TYPE_WITHIN] + text[-_TYPE_WITHIN:]
        if not any(each in ends_of_it for each in _APPENDS):
            return None
        begins = text.find('"', text.find(_AUDIO_KEY) + len(_AUDIO_KEY)) + 1
        ends = text.find('"', begins)
        audio_bytes = (ends - begins) * 3 // 4 - text.count("=", max(begins, ends - 2), ends)
        audio_ms = audio_bytes / bytes_per_ms
        self.audio_ms += audio_ms
        self.appends += 1
        return audio_ms


class LightServer:
    """The server.

    Args:
        host: address to listen at; the port is a free one.
    """

    def __init__(self, host: str = "127.0.0.1", clock: Clock | None = None) -> None:
        self.stats = Stats()
        self._host = host
        self._tokens = TokenDesk(clock or SystemClock())
        self._doorkeeper = Doorkeeper(("sk-sim*",), Models(), "enabled", self._tokens)
        self._numbers = itertools.count()
        self._speech = tone()
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen; return the URL to connect to, without the query.

        Raises:
            InfrastructureError: it can't listen there.
        """
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        app.router.add_get(live_path(PATH), self._serve)
        app.router.add_get(STATS_PATH, self._serve_stats)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, 0, backlog=1024).start()
        except OSError as error:
            await runner.cleanup()
            raise InfrastructureError(
                f"the light Realtime server cannot listen at {self._host}: {error.strerror}"
            ) from error
        self._runner = runner
        return f"ws://{self._host}:{runner.addresses[0][1]}{PATH}"

    async def aclose(self) -> None:
        """Stop listening and drop every session."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _serve_stats(self, _: web.Request) -> web.Response:
        stats = self.stats
        return web.json_response(
            {"sessions": stats.sessions, "appends": stats.appends, "audio_ms": stats.audio_ms}
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        key = self._doorkeeper.stop(request, takes_tokens=True)
        if isinstance(key, web.Response):
            return key
        visitor = self._doorkeeper.admit(request, key)
        if isinstance(visitor, Objection):
            return web.json_response({"error": visitor.error.message}, status=400)
        socket = web.WebSocketResponse(
            protocols=("realtime",), compress=False, max_msg_size=_LARGEST_FRAME_BYTES
        )
        await socket.prepare(request)
        self.stats.sessions += 1
        try:
            await self._talk(socket, visitor).converse()
        except ClientConnectionResetError:  # it hung up while we spoke
            pass
        finally:
            self.stats.sessions -= 1
        return socket

    def _talk(self, socket: web.WebSocketResponse, visitor: Visitor) -> "_Talk | LightLiveTalk":
        """Return a visitor's session, in its dialect."""
        lifetime = Lifetime(SessionLimit(), visitor.dialect)
        phase = next(self._numbers) * _GOLDEN % 1.0
        if visitor.dialect is not DialectName.LIVE:
            wire = wire_for(visitor, self._tokens.now_s, lifetime)
            return _Talk(socket, wire, self._speech, self.stats, phase)
        listen_ms = int(CALLER_S * 1000)
        turn = LightTurn(
            int(TURN_S * 1000),
            listen_ms,
            self._speech,
            _TEXT,
            _CALLER_TEXT,
            int(phase * listen_ms),
        )
        expires_at_s = self._tokens.now_s + int(lifetime.seconds)
        return LightLiveTalk(socket, turn, expires_at_s, self.stats.count)


class _Talk:
    """One session."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        wire: Wire,
        speech: np.ndarray[tuple[int], np.dtype[np.int16]],
        stats: Stats,
        phase: float,
    ) -> None:
        self._socket = socket
        self._wire = wire
        self._speech = speech
        self._stats = stats
        self._phase = phase
        self._conversation = Conversation()
        self._generation: Generation | None = None
        self._heard_ms = 0.0
        self._talking: asyncio.Task[None] | None = None

    async def converse(self) -> None:
        """Hold the session until the client has enough."""
        await self._send(SessionCreated(self._wire.info))
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT and not self._count_audio(message.data):
                    await self._obey(message.data)
        finally:
            if self._talking is not None:
                self._talking.cancel()
                await asyncio.gather(self._talking, return_exceptions=True)

    def _count_audio(self, text: str) -> bool:
        """Count caller audio; False for any other event."""
        heard_ms = self._stats.count(text, self._wire.config.input_format.bytes_per_ms)
        self._heard_ms += heard_ms or 0.0
        return heard_ms is not None

    async def _obey(self, text: str) -> None:
        try:
            command = self._wire.decode(text).command
        except EventRefused as refused:
            await self._send(ErrorReported(refused.error))
            return
        match command:
            case c.UpdateSession():
                await self._send(SessionUpdated(self._wire.info))
                if self._talking is None:
                    self._talking = asyncio.create_task(self._talk(), name="light talk")
            case c.CreateItem(item=item, previous_item_id=previous) if item.item_id is not None:
                before = self._conversation.add(item.item_id, ConversationEntry(item), previous)
                await self._send(ItemAdded(item, before), ItemDone(item, before))
            case c.TruncateItem(item_id=item_id, content_index=index, audio_end_ms=end_ms):
                await self._send(ItemTruncated(item_id, index, end_ms))
            case c.CancelResponse() if self._generation is not None:
                generation, self._generation = self._generation, None
                await self._send(*generation.cut("client_cancelled"))
            case _:
                pass

    async def _talk(self) -> None:
        """Go round the turn for ever."""
        due_s = asyncio.get_running_loop().time() + self._phase * CALLER_S
        while True:
            await self._listen(due_s)
            await self._answer()
            due_s += TURN_S
            await _sleep_until(due_s)

    async def _listen(self, begun_s: float) -> None:
        item_id = ItemId(new_name("item"))
        await _sleep_until(begun_s + _CALLER_SILENT_S)
        await self._send(SpeechStarted(item_id, int(self._heard_ms)))
        await _sleep_until(begun_s + CALLER_S - _CALLER_SILENT_S)
        stopped = SpeechStopped(item_id, int(self._heard_ms))
        await _sleep_until(begun_s + CALLER_S)
        item = Message(
            Role.USER, (ContentPart(PartKind.INPUT_AUDIO, None),), item_id, ItemStatus.COMPLETED
        )
        before = self._conversation.add(item_id, ConversationEntry(item))
        committed = InputCommitted(item_id, before)
        await self._send(stopped, committed, ItemAdded(item, before), ItemDone(item, before))

    async def _answer(self) -> None:
        # Nothing grows with the length of a call: the conversation so far is forgotten.
        self._conversation = Conversation()
        generation = Generation(self._conversation, _PACING, Tokens(), Tokens(), {})
        self._generation = generation
        audio_format = self._wire.config.output_format
        self._wire.begin_response(generation.response_id, ResponseConfig())
        await self._send(generation.begin())
        audio = wire_format(audio_format).encode_speech(self._speech)
        await self._drive(generation, generation.speak(_TEXT, audio, audio_format))
        if self._generation is generation:
            self._generation = None
            await self._send(generation.finish())

    async def _drive(self, generation: Generation, steps: Iterator[GenerationStep]) -> None:
        due_s = asyncio.get_running_loop().time()
        for step in steps:
            if self._generation is not generation:
                return
            await self._send(*step.events)
            due_s += step.wait_ms / 1000
            if step.wait_ms:
                await _sleep_until(due_s)

    async def _send(self, *events: ServerEvent) -> None:
        for event in events:
            for written in self._wire.encode(event):
                await self._socket.send_str(json.dumps(written))


def tone() -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Return an answer: a steady tone, 24 kHz."""
    at = np.arange(int(ANSWER_S * _RATE_HZ)) / _RATE_HZ
    return (_TONE_LEVEL * np.sin(2 * np.pi * _TONE_HZ * at)).astype(np.int16)


async def _sleep_until(due_s: float) -> None:
    await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
