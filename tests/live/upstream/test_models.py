"""An arm of two models whose wanted one is refused: what its calls get, and what is recorded."""

import asyncio
import json
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from bridge.app.gateway import Gateway
from bridge.live.call import CallRunner
from bridge.store.local import LocalRedis
from tests.live.conftest import StartGateway
from tests.live.odd_service import DIALECTS, OddService, Visit, odd_service
from tests.live.talk import redis_call
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

NEW, OLD = "gpt-realtime-2.1", "gpt-realtime"


def only_old(peer: ServerConnection, visit: Visit) -> Response | None:
    return None if visit.model == OLD else peer.respond(HTTPStatus.NOT_FOUND, "no\n")


async def call_once(gateway: Gateway, port: int) -> CallRunner:
    async with RtpCaller(port) as caller:
        assert await caller.call() == 200
        (runner,) = gateway.calls
        await caller.until(lambda: any(each.loud for each in caller.heard))
        await caller.hang_up()
        await asyncio.gather(*gateway.calls.values())
    return runner


def written_models(directory: Path, call_id: str) -> set[str]:
    """Return the models that a call's files name."""
    written = [json.loads(each.read_text()) for each in directory.glob(f"{call_id}*.json")]
    return {each["model"] for each in written if "model" in each}


async def start(
    start_gateway: StartGateway, service: OddService, **dialplan: object
) -> tuple[Gateway, int]:
    return await start_gateway(
        service.url,
        dialect=service.dialect,
        model=NEW,
        legacy_model=OLD,
        dialplan=dialplan or None,
    )


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_model_in_use_is_named_and_its_calls_are_healthy(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path, dialect: str
) -> None:
    async with odd_service(dialect) as service:
        service.door = only_old
        gateway, port = await start(start_gateway, service)
        runners = [await call_once(gateway, port) for _ in range(3)]
    summary = runners[0].record.summary
    assert summary.model == OLD
    assert (await redis_call(redis, summary))["model"] == OLD
    assert written_models(tmp_path, summary.call_id) == {OLD}
    text = gateway.metrics.render()[0].decode()
    assert f'bridge_upstream_sessions_total{{arm="peer",model="{OLD}"}} 3.0' in text
    assert 'bridge_upstream_connect_attempts_total{arm="peer"} 3.0' in text
    failed = [line for line in text.splitlines() if line.startswith("bridge_upstream_connect_fail")]
    assert all(line.endswith(" 0.0") for line in failed)
    # Only the first call asked for the refused one.
    assert [visit.model for visit in service.visits] == [NEW, OLD, OLD, OLD]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_legacy_model_has_its_share_of_the_time(
    start_gateway: StartGateway, dialect: str
) -> None:
    hanging = asyncio.Event()

    async def hang(peer: ServerConnection, visit: Visit) -> Response | None:
        if visit.model == NEW:
            await hanging.wait()
        return None

    async with odd_service(dialect) as service:
        service.slow_door = hang
        gateway, port = await start(start_gateway, service)
        runner = await call_once(gateway, port)
        hanging.set()
    assert runner.record.summary.model == OLD
