"""A user of a gateway's console: signed in by the back door, then over HTTP like any browser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from bridge.audio.supervisor_frames import ListenFrame
from bridge.clock import NS_PER_MS, SystemClock
from bridge.config.settings import RedisSettings
from bridge.console.access.secrets import new_token
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from bridge.store.sessions import SessionStore
from bridge.store.users import User, UserStore
from tests.support.supervisor import Hum
from tests.support.supervisor_frames import decode_listen, encode_talk

_KEYS = Keys(RedisSettings().prefix)


class ConsoleUser:
    """Somebody who is signed in."""

    def __init__(self, name: str, http: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        self.name = name
        self._http = http
        self._headers = headers
        self.hum = Hum()

    async def post(self, path: str, content: object) -> dict[str, Any]:  # Any: JSON
        """Return the answer to what is allowed."""
        async with self._http.post(path, json=content, headers=self._headers) as response:
            assert response.status == 200, await response.text()
            told: dict[str, Any] = await response.json()
            return told

    async def read(self, path: str) -> str:
        """Return the answer to what may be read, as it came."""
        async with self._http.get(path, headers=self._headers) as response:
            text = await response.text()
            assert response.status == 200, f"{path}: {text}"
            return text

    async def does(self, call_id: str, action: str, **params: object) -> dict[str, Any]:
        """Do something to a call; return what came of it."""
        return await self.post(f"/api/v1/calls/{call_id}/actions/{action}", params)

    async def listens(self, call_id: str, frames: int) -> list[ListenFrame]:
        """Hear so many frames of a call."""
        async with self.at_call(call_id, "listen") as socket:
            heard = []
            for _ in range(frames):
                heard.append(decode_listen((await socket.receive(timeout=5)).data))
            return heard

    @asynccontextmanager
    async def at_the_microphone(self, call_id: str) -> AsyncIterator[None]:
        """Hum into a call, a frame each 20 ms, while the block runs."""
        async with self.at_call(call_id, "talk") as socket:
            humming = asyncio.create_task(self._keep_humming(socket), name="microphone")
            try:
                yield
            finally:
                humming.cancel()
                await asyncio.gather(humming, return_exceptions=True)

    async def _keep_humming(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in self.hum.frames():
            await socket.send_bytes(encode_talk(frame))

    @asynccontextmanager
    async def at_call(
        self, call_id: str, kind: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a call's audio: ``listen``, ``listen_private`` or ``talk``."""
        told = await self.post(f"/api/v1/calls/{call_id}/audio-token", {"kind": kind})
        headers = {"Origin": self._headers["Origin"]}
        async with self._http.ws_connect(told["url"], headers=headers) as socket:
            yield socket


async def sign_in(redis_url: str, name: str, role: str = "supervisor") -> tuple[str, str]:
    """Make a user who is signed in; return the cookie's token, and the session's for changes."""
    link = RedisLink(redis_url, timeout_s=2)
    now_ms = SystemClock().wall_ns() // NS_PER_MS
    await link.ask_all(UserStore(link, _KEYS).put(User(name, (role,), made_ms=now_ms)))
    sessions, token = SessionStore(link, _KEYS, idle_s=3_600, max_s=3_600), new_token()
    session = await sessions.open(token, new_token(), name, now_ms, via="test", address="127.0.0.1")
    await link.aclose()
    return token, session.csrf_token


@asynccontextmanager
async def console_user(
    http_url: str, redis_url: str, name: str, role: str = "supervisor"
) -> AsyncIterator[ConsoleUser]:
    """Make a user who is signed in."""
    token, csrf_token = await sign_in(redis_url, name, role)
    jar = aiohttp.CookieJar(unsafe=True)
    cookie = "__Host-bridge_session" if http_url.startswith("https:") else "bridge_session"
    jar.update_cookies({cookie: token}, URL(http_url))
    headers = {"Origin": http_url, "X-CSRF-Token": csrf_token}
    # A test's certificates are of its own making.
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(http_url, cookie_jar=jar, connector=connector) as http:
        yield ConsoleUser(name, http, headers)
