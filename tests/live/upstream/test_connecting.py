"""With what a call connects: models in order, tokens, both dialects; over real SIP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.live.conftest import StartGateway
from tests.session.peer import accept
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]


class Door:
    """A peer that takes some models and some bearers only; ``asked`` holds (model, bearer)."""

    def __init__(self, *, models: set[str], bearers: set[str] | None = None) -> None:
        self.models, self.bearers = models, bearers
        self.asked: list[tuple[str, str | None]] = []

    def look(self, peer: ServerConnection, request: Request) -> Response | None:
        model = request.path.partition("model=")[2]
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.asked.append((model, bearer))
        if model not in self.models:
            return peer.respond(HTTPStatus.NOT_FOUND, "no\n")
        if self.bearers is not None and bearer not in self.bearers:
            return peer.respond(HTTPStatus.UNAUTHORIZED, "no\n")
        return None

    async def talk(self, peer: ServerConnection) -> None:
        await accept(peer)
        await peer.wait_closed()


@asynccontextmanager
async def opened(door: Door) -> AsyncIterator[str]:
    async with serve(door.talk, "127.0.0.1", 0, process_request=door.look) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/realtime"


async def test_call_falls_back_to_the_legacy_model(start_gateway: StartGateway) -> None:
    door = Door(models={"old"})
    async with opened(door) as url:
        gateway, port = await start_gateway(url, model="new", legacy_model="old")
        async with RtpCaller(port) as caller:
            assert await caller.call() == 200
        await asyncio.gather(*gateway.calls.values())
    assert [model for model, _ in door.asked] == ["new", "old"]
    text = gateway.metrics.render()[0].decode()
    # The arm works: what its models do is counted apart.
    assert 'bridge_upstream_connect_failures_total{arm="peer",reason="http_404"} 0.0' in text
    fallback = 'bridge_upstream_model_fallbacks_total{arm="peer",model="new",reason="http_404"} 1.0'
    assert fallback in text


async def test_call_is_refused_where_no_model_answers(start_gateway: StartGateway) -> None:
    async with opened(Door(models=set())) as url:
        gateway, port = await start_gateway(url, model="new", legacy_model="old")
        async with RtpCaller(port) as caller:
            assert await caller.call() == 503
        await asyncio.gather(*gateway.calls.values())


async def test_call_connects_with_a_token_and_the_key_stays_here(
    start_gateway: StartGateway,
) -> None:
    keys: list[str] = []

    async def grant(request: web.Request) -> web.Response:
        keys.append(request.headers["Authorization"])
        if len(keys) > 1:
            return web.json_response({}, status=503)
        return web.json_response({"value": "ek_1", "expires_at": 4_000_000_000})

    app = web.Application()
    app.router.add_post("/client_secrets", grant)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    token_port = runner.addresses[0][1]
    door = Door(models={"m"}, bearers={"ek_1"})
    try:
        async with opened(door) as url:
            gateway, port = await start_gateway(
                url,
                environ={"KEY": "sk-long-lived"},
                model="m",
                api_key_env="KEY",
                credentials="token",
                token_url=f"http://127.0.0.1:{token_port}/client_secrets",
            )
            async with RtpCaller(port) as caller:
                assert await caller.call() == 200
            summaries = await asyncio.gather(*gateway.calls.values())
    finally:
        await runner.cleanup()
    assert keys[0] == "Bearer sk-long-lived"
    assert door.asked == [("m", "ek_1")]
    assert "sk-long-lived" not in json.dumps([str(each) for each in summaries])
    text = gateway.metrics.render()[0].decode()
    assert 'bridge_token_rotations_total{arm="peer",reason="first",result="ok"} 1.0' in text
