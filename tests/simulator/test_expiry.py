"""What the clock ends: sessions, and a caller's silence."""

import asyncio

import numpy as np
import pytest

from bridge.clock import NS_PER_S, ManualClock
from bridge.simulator.scenario import SessionLimit
from bridge.simulator.server import SimulatorServer
from tests.realtime.official import DialectName
from tests.simulator.client import Client, connected, spoken
from tests.simulator.conftest import paced
from tests.speech.line import silence

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

IDLE_MS = 5000
SAID = "Your session hit the maximum duration of 0.2 seconds."
IDLE_VAD = {"type": "server_vad", "idle_timeout_ms": IDLE_MS}


@pytest.mark.parametrize("dialect", ["beta", "ga"])
@pytest.mark.parametrize(
    ("told_by", "codes", "close"),
    [
        ("both", ["session_expired"], (1001, SAID)),
        ("close", [], (1001, SAID)),
        ("error", ["session_expired"], (1000, "")),
    ],
)
async def test_session_ends_when_its_time_is_up(
    dialect: DialectName, told_by: str, codes: list[str], close: tuple[int, str]
) -> None:
    limit = SessionLimit.model_validate({"lifetime_s": 0.2, "told_by": told_by})
    server = SimulatorServer(paced().model_copy(update={"session": limit}))
    url = await server.start()
    async with connected(url, dialect=dialect) as client:
        assert await client.closed() == close
        errors = [event["error"] for event in client.of_type("error")]
        assert [error["code"] for error in errors] == codes
        assert all(error["message"] == SAID for error in errors)
    await server.aclose()


@pytest.mark.parametrize(("dialect", "minutes"), [("beta", 30), ("ga", 60)])
async def test_session_says_when_it_expires(dialect: DialectName, minutes: int) -> None:
    clock = ManualClock()
    server = SimulatorServer(paced(), clock=clock)
    url = await server.start()
    async with connected(url, dialect=dialect) as client:
        session = (await client.until("session.created"))["session"]
        assert session["expires_at"] == clock.wall_ns() // NS_PER_S + minutes * 60
    await server.aclose()


async def greeted(client: Client) -> int:
    """Have the idle time counted, let the agent greet, and return how long it spoke, in ms."""
    await client.update(audio={"input": {"turn_detection": IDLE_VAD}})
    await client.send("response.create")
    done = await client.until("response.done")
    return int(done["response"]["usage"]["output_token_details"]["audio_tokens"]) * 50


async def test_silent_caller_is_spoken_to(url: str) -> None:
    async with connected(url) as client:
        spoken_ms = await greeted(client)
        client.events.clear()
        await client.send_audio(silence(spoken_ms + IDLE_MS - 500))
        await client.send("conversation.item.retrieve", item_id="nothing")
        await client.error()
        assert not client.of_type("input_audio_buffer.timeout_triggered")
        client.events.clear()
        await client.send_audio(silence(1000))
        done = await client.until("response.done")
        order = client.order()
        assert order[:5] == [
            "input_audio_buffer.timeout_triggered",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
        ]
        timeout, committed = client.events[:2]
        assert timeout["item_id"] == committed["item_id"]
        assert abs(timeout["audio_end_ms"] - timeout["audio_start_ms"] - IDLE_MS) <= 20
        assert abs(timeout["audio_start_ms"] - spoken_ms) <= 50
        said = done["response"]["output"][0]["content"][0]["transcript"]
        assert said.startswith("Sorry, I did not understand")


async def test_speech_stops_the_idle_time(url: str) -> None:
    async with connected(url) as client:
        await greeted(client)
        unanswered = {**IDLE_VAD, "create_response": False}
        await client.update(audio={"input": {"turn_detection": unanswered}})
        await client.send_audio(spoken("Where is my order?"))
        await client.until("conversation.item.done")
        await client.send_audio(silence(30_000))
        await client.send("conversation.item.retrieve", item_id="nothing")
        await client.error()
        assert not client.of_type("input_audio_buffer.timeout_triggered")


async def test_no_idle_time_before_the_agent_has_spoken(url: str) -> None:
    async with connected(url) as client:
        await client.update(audio={"input": {"turn_detection": IDLE_VAD}})
        await client.send_audio(np.zeros(24 * 8000, np.int16))
        await client.send("conversation.item.retrieve", item_id="nothing")
        async with asyncio.timeout(60):
            await client.error()
        assert not client.of_type("input_audio_buffer.timeout_triggered")
