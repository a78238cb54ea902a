"""How sessions of the simulated GPT-Live end, and what they say of their use."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.simulator.scenario import SessionLimit
from bridge.simulator.server import SimulatorServer
from tests.simulator.conftest import paced
from tests.simulator.gpt_live.live_client import LiveClient, live

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def limited(**limit: float) -> AsyncIterator[LiveClient]:
    """Connect to a server that bounds sessions so."""
    scenario = paced().model_copy(update={"session": SessionLimit.model_validate(limit)})
    server = SimulatorServer(scenario)
    try:
        async with live(await server.start()) as client:
            yield client
    finally:
        await server.aclose()


async def test_close_is_confirmed_with_the_session_and_its_usage(url: str) -> None:
    async with live(url) as client:
        started = await client.begin(safety_identifier="caller-7")
        await client.be_silent(2300)
        await client.send("session.close", event_id="bye")
        closed = await client.until("session.closed")
        assert closed["reason"] == "close_requested"
        assert closed["client_event_id"] == "bye"
        assert closed["usage"] == {"seconds": 3}
        assert closed["session"] == started["session"]
        assert (await client.closed())[0] == 1000


async def test_context_without_its_place_is_reported_at_the_close(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        for channel in ("thinking", "commentary"):
            await client.send(
                f"session.{channel}.append", content="Late.", delegation_id=None, event_id=channel
            )
        await client.send("session.close")
        for channel in ("thinking", "commentary"):
            error = await client.error()
            assert error["code"] == "context_injection_incomplete"
            assert error["client_event_id"] == channel
        assert (await client.until("session.closed"))["reason"] == "close_requested"


async def test_session_says_when_it_expires(url: str) -> None:
    async with live(url) as client:
        started = await client.begin()
        assert started["session"]["expires_at"] - time.time() == pytest.approx(3600, abs=60)
        assert started["session"]["id"].startswith("live_")


async def test_longest_session_ends_as_expired() -> None:
    async with limited(lifetime_s=0.2) as client:
        await client.begin()
        await client.be_silent(100)
        closed = await client.until("session.closed")
        assert closed["reason"] == "expired"
        assert "client_event_id" not in closed
        assert (await client.closed())[0] == 1000


async def test_client_that_never_starts_is_closed_on_without_a_word() -> None:
    async with limited(lifetime_s=0.1) as client:
        assert (await client.closed())[0] == 1000
        assert client.events == []


async def test_session_that_gets_no_audio_at_all_expires() -> None:
    async with limited(no_audio_s=0.1) as client:
        await client.begin()
        await client.send("session.thinking.append", content="Hm.", delegation_id=None)
        assert (await client.until("session.closed"))["reason"] == "expired"


async def test_session_whose_audio_stops_goes_on() -> None:
    async with limited(no_audio_s=0.1, usage_every_s=0.15) as client:
        await client.begin()
        await client.be_silent(100)
        for _ in range(3):
            await client.until("session.usage.updated")
        assert not client.of_type("session.closed")


async def test_usage_is_a_total_that_grows_with_the_timeline_alone() -> None:
    async with limited(usage_every_s=0.1, context_s=10) as client:
        await client.begin()
        await client.be_silent(2500)
        await client.until(
            lambda event: (
                event["type"] == "session.usage.updated" and event["usage"]["seconds"] == 3
            )
        )
        frozen = [await client.until("session.usage.updated") for _ in range(2)]
        assert [each["usage"] for each in frozen] == [{"seconds": 3}] * 2
        assert frozen[0]["context_window"] == {"usage_ratio": 0.3}
        await client.be_silent(60_000)
        full = await client.until(
            lambda event: (
                event["type"] == "session.usage.updated" and event["usage"]["seconds"] == 63
            )
        )
        assert full["context_window"] == {"usage_ratio": 1.0}


async def test_server_that_goes_closes_every_session() -> None:
    server = SimulatorServer(paced())
    async with live(await server.start()) as client:
        await client.begin()
        await asyncio.gather(server.aclose(), client.closed())
        assert client.socket.close_code == 1001
