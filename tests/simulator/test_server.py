"""Handshake, keys, close codes, and the server's own life."""

import asyncio
import urllib.parse
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from bridge.errors import ConfigError, InfrastructureError
from bridge.simulator.scenario import default_scenario
from bridge.simulator.server import SimulatorServer
from tests.simulator.client import connected, spoken
from tests.simulator.conftest import paced

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def no_leaked_tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    here = asyncio.current_task()
    assert not [task.get_name() for task in asyncio.all_tasks() - before if task is not here]


@pytest.mark.parametrize(
    ("options", "code", "close"),
    [
        ({"model": None}, "missing_model", 4000),
        ({"model": "gpt-4o-realtime-preview"}, "invalid_model", 4000),
        ({"key": "sk-wrong"}, "invalid_api_key", 3000),
    ],
)
async def test_handshake_that_lacks_something_is_told_and_closed(
    url: str, options: dict[str, object], code: str, close: int
) -> None:
    async with connected(url, **options) as client:  # type: ignore[arg-type] # a table of options
        closed = await client.closed()
        (event,) = client.events
        assert event["type"] == "error"
        assert event["error"]["code"] == code
        assert closed == (close, f"invalid_request_error.{code}")


async def test_no_key_is_401(url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connected(url, key=None):
            pass
    assert refused.value.response.status_code == 401


async def test_browser_key_comes_as_a_subprotocol(url: str) -> None:
    subprotocols = ["realtime", "openai-insecure-api-key.sk-sim-browser"]
    async with connected(url, key=None, subprotocols=subprotocols) as client:
        await client.until("session.created")
        assert client.socket.subprotocol == "realtime"


async def test_own_keys_replace_the_scenarios() -> None:
    server = SimulatorServer(paced(), keys=["secret"])
    url = await server.start()
    async with connected(url, key="secret") as client:
        await client.until("session.created")
    async with connected(url) as client:
        assert await client.closed() == (3000, "invalid_request_error.invalid_api_key")
    await server.aclose()


async def test_aclose_ends_sessions_in_the_middle_of_a_response() -> None:
    server = SimulatorServer(paced(speedup=1))
    url = await server.start()
    async with connected(url) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        closing = asyncio.create_task(server.aclose())
        code, _ = await client.closed()
        assert code == 1001
        await closing


async def test_client_that_vanishes_in_the_middle_leaves_nothing(slow_url: str) -> None:
    async with connected(slow_url) as client:
        await client.send_audio(spoken("Where is my order?"))
        await client.until("response.created")
        client.socket.transport.abort()
    async with connected(slow_url) as client:
        await client.until("session.created")


async def test_sessions_do_not_hear_each_other(url: str) -> None:
    async with connected(url) as one, connected(url) as other:
        await asyncio.gather(
            one.send_audio(spoken("Where is my order?")),
            other.send_audio(spoken("When are you open?")),
        )
        answers = await asyncio.gather(one.until("response.done"), other.until("response.done"))
        said = [done["response"]["output"][0]["content"][0]["transcript"] for done in answers]
        assert [each.split()[1] for each in said] == ["order", "are"]


async def test_port_in_use_is_named(url: str) -> None:
    port = urllib.parse.urlsplit(url).port
    with pytest.raises(InfrastructureError, match=rf"127.0.0.1:{port}.*another port"):
        await SimulatorServer(paced(), port=port or 0).start()


async def test_unknown_voice_is_a_config_error() -> None:
    scenario = default_scenario().model_copy(update={"voice": "xx-nowhere"})
    with pytest.raises(ConfigError, match="xx-nowhere"):
        await SimulatorServer(scenario).start()
