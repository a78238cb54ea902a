"""A Realtime server that plays a tape: the service's recorded events, sent again.

The n-th connection of a call gets the tape's n-th session; the next call begins with ``POST
/admin/rewind``. Where a later session of the tape begins after the end of another, the other's
connection is closed: a log does not say how. Any key is taken, for it is the client that is tried.
"""

import asyncio
import hmac
from collections.abc import Sequence
from itertools import chain

from aiohttp import WSCloseCode, WSMsgType, web

from bridge.clock import NS_PER_S, Clock, SystemClock
from bridge.simulator.endpoints import ADMIN_HEADER
from bridge.simulator.names import new_name
from bridge.simulator.site import CLOSE_GRACE_S, PATH, listen
from bridge.simulator.tape import Tape, TapeEvent
from bridge.simulator.tape_player import TICK_NS, TapePlayer
from bridge.simulator.tape_sound import TapeSound, TapeSoundReader


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
