"""The console on a real port and a real Redis, and browsers as scripts see them."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from fastapi import FastAPI

from bridge.clock import Clock, ManualClock
from bridge.config.console import ConsoleSettings
from bridge.config.settings import HttpSettings, RedisSettings
from bridge.console.access.passwords import Passwords
from bridge.console.access.secrets import new_token
from bridge.console.app import make_app
from bridge.console.call_audio import LocalCalls
from bridge.console.server import HttpServer
from bridge.console.services import ConsoleServices, Sources, open_services
from bridge.console.streams import Streams
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis, start_local_redis
from bridge.store.users import User
from bridge.telemetry.metrics import Metrics
from tests.console.desk import Desk, open_desk
from tests.console.live import Node, Rooms, a_node

QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""Argon2 in a millisecond."""


@pytest.fixture(scope="module")
def redis_server() -> Iterator[LocalRedis]:
    with start_local_redis() as local:
        yield local


@pytest.fixture
async def redis(redis_server: LocalRedis) -> AsyncIterator[RedisLink]:
    """The server, emptied."""
    link = RedisLink(redis_server.url, timeout_s=2)
    await link.ask(["FLUSHALL"])
    yield link
    await link.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(
    redis_server: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """One browser and one floor for all that is only looked at: to start them takes seconds."""
    async with open_desk(redis_server.url, tmp_path_factory.mktemp("floor")) as opened:
        yield opened


class Browser:
    """What a script in a page of the console can do, and what one of another's can."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.csrf_token = ""
        # Cookies of an address, not a name, are kept, too.
        self.http = aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def ask(
        self, method: str, path: str, content: object = None, **headers: str
    ) -> tuple[int, Any]:  # Any: JSON
        """Return status and JSON (or text) of an answer; redirects are not followed."""
        sent = {"Origin": self.url, "X-CSRF-Token": self.csrf_token, **headers}
        async with self.http.request(
            method,
            path,
            json=content,
            headers={name.replace("_", "-"): value for name, value in sent.items() if value},
            allow_redirects=False,
        ) as response:
            text = await response.text()
            is_json = response.headers.get("Content-Type", "").startswith("application/json")
            return response.status, json.loads(text) if is_json and text else text

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, content: object = None, **headers: str) -> tuple[int, Any]:
        return await self.ask("POST", path, content, **headers)


@dataclass
class Console:
    """A console under test."""

    url: str
    app: FastAPI
    services: ConsoleServices
    streams: Streams
    clock: Any  # a ManualClock, unless the test gave another
    metrics: Metrics
    server: HttpServer

    async def aclose(self) -> None:
        await self.server.aclose()

    def browser(self) -> Browser:
        return Browser(self.url)

    async def add_user(self, name: str, *roles: str, **more: Any) -> User:  # Any: fields of User
        """Make or change a user by the back door."""
        user = User(name, roles, made_ms=self.services.now_ms, **more)
        await self.services.link.ask_all(self.services.users.put(user))
        return user

    async def sign_in(self, browser: Browser, name: str) -> str:
        """Give a browser a session by the back door; return its id."""
        token = new_token()
        session = await self.services.sessions.open(
            token, new_token(), name, self.services.now_ms, via="test", address="127.0.0.1"
        )
        browser.http.cookie_jar.update_cookies({"bridge_session": token})
        browser.csrf_token = session.csrf_token
        return session.session_id


MakeConsole = Callable[..., Any]  # Any: an awaitable of a Console


@pytest.fixture
async def make_console(
    redis_server: LocalRedis, redis: RedisLink, tmp_path: Path
) -> AsyncIterator[MakeConsole]:
    """Start consoles that end with the test, and know of no recordings but its own."""
    servers: list[tuple[HttpServer, ConsoleServices]] = []

    async def make(
        extend: Callable[[FastAPI], None] | None = None,
        local: LocalCalls | None = None,
        *,
        port: int = 0,
        sources: Sources | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> Console:
        console = ConsoleSettings(**settings)
        clock = clock or ManualClock()
        metrics = Metrics("1")
        services = open_services(
            console,
            RedisSettings(),
            redis_server.url,
            clock,
            sources
            or Sources(
                tmp_path / "recordings",
                replays_dir=tmp_path / "replays",
                scripts_dir=tmp_path / "scripts",
            ),
            count_audit_failure=metrics.store.audit_failed,
            passwords=Passwords(QUICK),
            local=local,
        )
        app = make_app(services, metrics, list)
        if extend is not None:
            extend(app)
        server = HttpServer(HttpSettings(port=port), console, app)
        servers.append((server, services))
        port = await server.start()
        scheme = "https" if console.tls else "http"
        url = f"{scheme}://127.0.0.1:{port}"
        return Console(url, app, services, app.state.streams, clock, metrics, server)

    yield make
    for server, services in servers:
        await server.aclose()
        await services.aclose()


@pytest.fixture
def rooms() -> Rooms:
    """The calls of the console's own node: those that a test puts there."""
    return Rooms()


@pytest.fixture
async def console(make_console: MakeConsole, rooms: Rooms) -> Console:
    made: Console = await make_console(local=rooms)
    return made


@pytest.fixture
async def node(redis_server: LocalRedis, redis: RedisLink, console: Console) -> AsyncIterator[Node]:
    """The node that has the calls, and takes what is ordered."""
    async with a_node(redis_server.url, redis, console.clock) as node:
        yield node


@pytest.fixture
async def browser(console: Console) -> AsyncIterator[Browser]:
    async with console.browser() as browser:
        yield browser
