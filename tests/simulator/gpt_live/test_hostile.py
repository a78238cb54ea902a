"""Clients of GPT-Live that do what no client should: the server says so, and serves the others."""

import asyncio
import base64
import json

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.simulator.client import KEY, TIMEOUT_S, spoken
from tests.simulator.gpt_live.live_client import AUDIO, LiveClient, live, says

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

SILENCE = base64.b64encode(bytes(4800)).decode()


async def assert_alive(url: str) -> None:
    async with live(url) as other:
        assert (await other.begin())["type"] == "session.started"


async def test_audio_before_the_start_is_refused_and_lost(url: str) -> None:
    async with live(url) as client:
        for _ in range(5):
            await client.send("session.input_audio.append", audio=SILENCE)
        codes = [(await client.error())["code"] for _ in range(5)]
        assert codes == ["invalid_event"] * 5
        await client.begin()
        await client.send("session.close")
        assert (await client.until("session.closed"))["usage"] == {"seconds": 0}
        assert not client.of_type(AUDIO)


async def test_second_start_changes_nothing(url: str) -> None:
    async with live(url) as client:
        first = await client.begin(instructions="First.")
        assert (await client.begin(instructions="Second."))["type"] == "error"
        await client.send("session.close")
        closed = await client.until("session.closed")
        assert closed["session"] == first["session"]


@pytest.mark.parametrize("begun", [False, True])
async def test_binary_frames_are_refused(url: str, begun: bool) -> None:
    async with live(url) as client:
        if begun:
            await client.begin()
        await client.socket.send(bytes(4800))
        assert (await client.error())["code"] == "invalid_event"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("[]", "invalid_event"),
        ('"session.start"', "invalid_event"),
        ("null", "invalid_event"),
        ('{"type": null}', "invalid_event"),
        ('{"type": "session.start", "session": null}', "invalid_value"),
        ('{"type": "session.start", "session": []}', "invalid_value"),
        ('{"type": "session.start", "session": {"client": 1}}', "invalid_value"),
        ('{"type": "session.start", "session": {"model": "\\ud800"}}', "model_not_found"),
    ],
)
async def test_nonsense_is_refused(url: str, text: str, code: str) -> None:
    async with live(url) as client:
        await client.socket.send(text)
        assert (await client.error())["code"] == code
        assert (await client.begin())["type"] == "session.started"


async def test_update_with_nonsense_for_a_session_is_refused(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        nonsense: tuple[object, ...] = (None, [], "all", 7)
        for session in nonsense:
            await client.send("session.update", session=session)
            assert (await client.error())["code"] == "invalid_value"


async def test_events_after_the_close_are_passed_over(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        await client.send("session.close")
        await client.send("session.close")
        await client.send("session.nonsense")
        await client.socket.send(b"\0")
        await client.closed()
        assert [each["type"] for each in client.events] == ["session.started", "session.closed"]


async def test_pieces_of_any_size_make_the_same_track(url: str) -> None:
    audio = spoken("Where is my order?").astype("<i2").tobytes()
    tracks = []
    for piece_bytes in (2, 14_902, len(audio)):
        async with live(url) as client:
            await client.begin()
            await client.send("session.input_audio.mute")
            await client.send_bytes(audio[: 4800 * 4 + 2], piece_bytes)
            await client.send("session.close")
            await client.until("session.closed")
            tracks.append(client.audio())
    assert tracks == [bytes(4800 * 4)] * 3


async def test_append_of_more_than_15_mib_is_refused(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        audio = base64.b64encode(bytes(15 * 1024 * 1024 + 2)).decode()
        await client.send("session.input_audio.append", audio=audio)
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "audio")


async def test_contexts_that_wait_for_audio_are_bounded(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        for _ in range(1025):
            await client.send("session.thinking.append", content="Hm.", delegation_id=None)
        assert (await client.error())["code"] == "rate_limit_exceeded"
        await client.be_silent(200)
        for _ in range(1024):
            await client.until("session.thinking.appended")


async def flood(client: LiveClient) -> None:
    """Send an hour of audio, and read nothing."""
    minutes = base64.b64encode(bytes(14 * 1024 * 1024)).decode()
    async with asyncio.timeout(TIMEOUT_S):
        for _ in range(12):
            await client.send("session.input_audio.append", audio=minutes)


async def test_client_that_floods_and_does_not_read_is_dropped_alone(url: str) -> None:
    beside = url.removesuffix("/realtime") + "/live/sessions"
    headers = {"Authorization": f"Bearer {KEY}"}
    async with connect(beside, additional_headers=headers, compression=None) as socket:
        client = LiveClient(socket, "live")
        await client.begin()
        with pytest.raises(ConnectionClosed):
            await flood(client)
    await assert_alive(url)


async def test_clients_that_vanish_at_any_time_leave_the_server_alive(url: str) -> None:
    for stage in range(4):
        async with live(url) as client:
            if stage > 0:
                await client.begin()
            if stage > 1:
                await client.send_audio(spoken("What is your return policy?"))
            if stage > 2:
                await client.until_silently(says("Northwind"))
            client.socket.transport.abort()
    await assert_alive(url)


async def test_noise_is_no_language(url: str) -> None:
    noise = np.random.default_rng(7).normal(0, 3000, 24_000).astype(np.int16)
    async with live(url) as client:
        await client.begin()
        await client.send_audio(np.concatenate([noise, np.zeros(24_000, np.int16)]))
        await client.until_silently("session.output_transcript.delta")
        assert not client.of_type("session.input_transcript.delta")


async def test_unicode_in_context_comes_back_whole(url: str) -> None:
    async with live(url) as client:
        await client.begin(instructions="Grüß Gott \N{WAVING HAND SIGN}")
        await client.send("session.close", event_id="\N{WAVING HAND SIGN}")
        closed = await client.until("session.closed")
        assert closed["client_event_id"] == "\N{WAVING HAND SIGN}"
        assert json.loads(json.dumps(closed))["session"]["instructions"].startswith("Grüß")
