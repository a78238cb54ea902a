"""The server for load: its turns are official in every dialect, and it counts what it is sent."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from bridge.simulator.light import ANSWER_S, LightServer, tone
from tests.realtime.official import DialectName
from tests.simulator.client import audio_of, connected
from tests.speech.line import silence
from tests.support.waiting import wait_until

ORDER = {
    "ga": [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
    ],
    "beta": [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
    ],
}


@pytest_asyncio.fixture
async def light() -> AsyncIterator[tuple[LightServer, str]]:
    server = LightServer()
    yield server, await server.start()
    await server.aclose()


@pytest.mark.parametrize("dialect", ["ga", "beta"])
async def test_turn_is_official_and_the_answer_is_the_whole_tone_faster_than_speech(
    light: tuple[LightServer, str], dialect: DialectName
) -> None:
    async with connected(light[1], dialect=dialect) as client:
        await client.update(instructions="Be brief.")
        await client.until("response.created")
        begun_s = asyncio.get_running_loop().time()
        done = await client.until("response.done")
        took_s = asyncio.get_running_loop().time() - begun_s

    assert client.order()[: len(ORDER[dialect])] == ORDER[dialect]
    assert done["response"]["status"] == "completed"
    assert (audio_of(client.events) == tone()).all()
    assert took_s < ANSWER_S


async def test_cancelled_answer_is_cut(light: tuple[LightServer, str]) -> None:
    async with connected(light[1]) as client:
        await client.update(instructions="Be brief.")
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        done = await client.until("response.done")

    assert done["response"]["status"] == "cancelled"
    assert 0 < audio_of(client.events).size < tone().size


async def test_caller_audio_is_counted_by_its_length(light: tuple[LightServer, str]) -> None:
    server, url = light
    async with connected(url) as client:
        await client.update(instructions="Be brief.")
        await client.send_audio(silence(500))
        await wait_until(lambda: server.stats.appends == 25, "appends are missing")
        assert server.stats.sessions == 1

    assert server.stats.audio_ms == pytest.approx(500)
    await wait_until(lambda: server.stats.sessions == 0, "the session stays")


async def test_wrong_setting_is_refused(light: tuple[LightServer, str]) -> None:
    async with connected(light[1]) as client:
        answer = await client.update(colour="blue")

    assert answer["error"]["code"] == "unknown_parameter"


async def test_live_session_gives_as_much_audio_as_it_gets_half_of_it_a_tone(
    light: tuple[LightServer, str],
) -> None:
    """A client of our own, by the words of `PROTOCOL.md` section 11 alone."""
    server, url = light
    place = url.replace("/v1/realtime", "/v1/live/sessions")
    headers = {"Authorization": "Bearer sk-sim-x"}
    async with connect(place, additional_headers=headers) as socket:
        session = {"model": "gpt-live-1", "instructions": "Be brief."}
        await socket.send(json.dumps({"type": "session.start", "session": session}))
        assert json.loads(await socket.recv())["type"] == "session.started"
        audio = base64.b64encode(bytes(2 * 2400)).decode()
        for _ in range(60):
            await socket.send(json.dumps({"type": "session.input_audio.append", "audio": audio}))
        await socket.send(json.dumps({"type": "session.close"}))
        events = [json.loads(text) async for text in socket]
    pieces = [
        base64.b64decode(each["delta"])
        for each in events
        if each["type"] == "session.output_audio.delta"
    ]
    assert [len(piece) for piece in pieces] == [2 * 2400] * 60
    assert sum(any(piece) for piece in pieces) == ANSWER_S * 10
    words = {each["type"]: each["delta"] for each in events if "_transcript." in each["type"]}
    assert words["session.output_transcript.delta"] == "This is a tone."
    assert words["session.input_transcript.delta"] == "Hello."
    closed = events[-1]
    assert (closed["type"], closed["usage"]) == ("session.closed", {"seconds": 6})
    assert server.stats.audio_ms == pytest.approx(6000)


async def test_live_session_refuses_what_the_full_server_refuses(
    light: tuple[LightServer, str],
) -> None:
    place = light[1].replace("/v1/realtime", "/v1/live/sessions")
    headers = {"Authorization": "Bearer sk-sim-x"}
    async with connect(place, additional_headers=headers) as socket:
        session = {"model": "gpt-live-1", "type": "realtime"}
        await socket.send(json.dumps({"type": "session.start", "session": session}))
        error = json.loads(await socket.recv())["error"]
    assert error["code"] == "unknown_parameter"
