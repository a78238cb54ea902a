"""A Realtime server that plays a tape: the service's recorded events, sent again.

The n-th connection of a call gets the tape's n-th session; the next call begins with ``POST
/admin/rewind``. Where a later session of the tape begins after the end of another, the other's
connection is closed: a log does not say how. Any key is taken, for it is the client that is tried.
The sound that the tape lacks is spoken anew: its items' words, as long as they were.
"""

import asyncio
import hmac
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import JsonValue

from bridge.clock import NS_PER_S, Clock, SystemClock
from bridge.realtime.session_config import AudioFormat
from bridge.simulator.endpoints import ADMIN_HEADER
from bridge.simulator.formats import wire_format
from bridge.simulator.names import new_name
from bridge.simulator.site import CLOSE_GRACE_S, PATH, listen
from bridge.simulator.tape import Tape, TapeEvent
from bridge.simulator.tape_player import TICK_NS, TapePlayer
from bridge.speech.synthesis import DEFAULT_VOICE, Synthesizer

_WORDS_PER_MINUTE = 175
_SLOWEST, _FASTEST = 110, 300
"""Beyond these, words are hard to make out."""


class TapeServer:
    """The server.

    Args:
        tape: that it plays.
        host: address to listen at.
        port: 0 takes a free one.
        clock: of the play.
        admin_secret: opens ``/admin/rewind`` to requests that bring it as ``X-Simulator-Admin``.
    """

    def __init__(
        self,
        tape: Tape,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        admin_secret: str | None = None,
    ) -> None:
        self._tape = tape
        self._host = host
        self._port = port
        self._clock = clock or SystemClock()
        self._secret = admin_secret
        self._sound: TapeSound | None = None
        self._call: TapeSoundReader | None = None
        self._next = 0
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()

    async def start(self) -> str:
        """Speak the tape's words, listen; return the URL to connect to.

        Raises:
            InfrastructureError: the port is taken, or espeak-ng could not be started.
        """
        events = tuple(chain.from_iterable(self._tape.sessions))
        self._sound = await asyncio.to_thread(TapeSound, events)
        self._rewind()
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        if self._secret is not None:
            app.router.add_post("/admin/rewind", self._on_rewind)
        self._runner, url = await listen(app, self._host, self._port)
        return url

    async def aclose(self) -> None:
        """Close every session (1001, going away) and stop listening. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for socket in tuple(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"server is shutting down")
        await runner.cleanup()

    def _rewind(self) -> None:
        assert self._sound is not None
        self._call, self._next = self._sound.begin(), 0

    async def _on_rewind(self, request: web.Request) -> web.Response:
        given = request.headers.get(ADMIN_HEADER, "")
        if not hmac.compare_digest(given.encode(), (self._secret or "").encode()):
            return web.json_response({"error": f"wrong or missing {ADMIN_HEADER}"}, status=401)
        self._rewind()
        return web.json_response({"sessions": len(self._tape.sessions)})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            protocols=("realtime",), compress=False, max_msg_size=0, timeout=CLOSE_GRACE_S
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            await self._play_next(socket)
        finally:
            self._sockets.discard(socket)
        return socket

    async def _play_next(self, socket: web.WebSocketResponse) -> None:
        sessions, place = self._tape.sessions, self._next
        self._next += 1
        if place >= len(sessions):
            await _turn_away(socket, len(sessions))
            return
        assert self._call is not None
        now_ns, wall_ns = self._clock.now_ns(), self._clock.wall_ns()
        player = TapePlayer(sessions[place], self._call.take, now_ns, wall_ns)
        closes = _is_followed(sessions[place], sessions[place + 1 :])
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._send(socket, player, closes), name="tape")
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    player.feed(message.data, self._clock.now_ns())
            serving.cancel()

    async def _send(self, socket: web.WebSocketResponse, player: TapePlayer, closes: bool) -> None:
        while not socket.closed:
            now_ns = self._clock.now_ns()
            for frame in player.take(now_ns):
                try:
                    await socket.send_str(frame)
                except ConnectionResetError:
                    return
            if closes and player.is_over(now_ns):
                await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the tape ends here")
                return
            await asyncio.sleep(TICK_NS / NS_PER_S)


def _is_followed(session: Sequence[TapeEvent], later: Sequence[Sequence[TapeEvent]]) -> bool:
    """Return whether the service ended it: the client opened another one only afterwards."""
    return bool(later) and later[0][0].at_ns > session[-1].at_ns


async def _turn_away(socket: web.WebSocketResponse, sessions: int) -> None:
    error = {
        "type": "invalid_request_error",
        "code": "tape_is_over",
        "message": f"The tape has {sessions} sessions, and this is one more.",
        "param": None,
        "event_id": None,
    }
    await socket.send_json({"type": "error", "event_id": new_name("event"), "error": error})
    await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"the tape is over")


class TapeSound:
    """The speech of a tape's items, rendered once; each play takes it from its begin.

    Args:
        events: of all its sessions.

    Raises:
        InfrastructureError: espeak-ng could not be started.
    """

    def __init__(self, events: Iterable[TapeEvent]) -> None:
        sizes, self._words = _sizes_and_words(events)
        self._speech = {
            item_id: _speak(self._words.get(item_id, ""), size) for item_id, size in sizes.items()
        }

    def begin(self) -> "TapeSoundReader":
        """Return what gives the items' speech from their begin."""
        return TapeSoundReader(self._speech)


class TapeSoundReader:
    """Gives items' speech piece by piece.

    Args:
        speech: of each item, 24 kHz 16-bit PCM.
    """

    def __init__(self, speech: Mapping[str, bytes]) -> None:
        self._speech = speech
        self._given: dict[str, int] = defaultdict(int)

    def take(self, item_id: str, size_bytes: int) -> bytes:
        """Return the next piece; past its end it is silence."""
        begin = self._given[item_id]
        self._given[item_id] += size_bytes
        found = self._speech.get(item_id, b"")[begin : begin + size_bytes]
        return found.ljust(size_bytes, b"\0")


def _sizes_and_words(events: Iterable[TapeEvent]) -> tuple[dict[str, int], dict[str, str]]:
    """Return the items' bytes of audio, and their words."""
    sizes: dict[str, int] = defaultdict(int)
    pieces: dict[str, str] = defaultdict(str)
    wholes: dict[str, str] = {}
    for event in events:
        item_id = str(event.raw.get("item_id"))
        if event.is_sent:
            continue
        if event.type.endswith("audio_transcript.delta"):
            pieces[item_id] += str(event.raw.get("delta", ""))
        elif event.type.endswith("audio_transcript.done"):
            wholes[item_id] = str(event.raw.get("transcript", ""))
        elif event.type.endswith("audio.delta"):
            sizes[item_id] += _size(event.raw.get("delta"))
    return dict(sizes), {**pieces, **wholes}


def _size(audio: JsonValue) -> int:
    size = audio.get("bytes") if isinstance(audio, dict) else None
    return size if isinstance(size, int) else 0


def _speak(words: str, size_bytes: int) -> bytes:
    """Speak as fast as it takes to be done by then."""
    if not words.strip():
        return b""
    spoken = _render(words, _WORDS_PER_MINUTE)
    if not spoken:
        return b""
    fitting = round(_WORDS_PER_MINUTE * len(spoken) / max(size_bytes, 1))
    pace = min(max(fitting, _SLOWEST), _FASTEST)
    # A voice that is a little early is padded: only what would be cut, or drag, is spoken anew.
    return spoken if 0.85 * size_bytes <= len(spoken) <= size_bytes else _render(words, pace)


def _render(words: str, words_per_minute: int) -> bytes:
    speech = Synthesizer(DEFAULT_VOICE, words_per_minute).say(words)
    return wire_format(AudioFormat.PCM_24KHZ).encode_speech(speech)
