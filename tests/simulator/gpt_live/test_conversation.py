"""A caller talks to the simulated GPT-Live: heard, answered, talked over, on one timeline."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.audio.stdlib_audioop import audioop
from tests.simulator.client import spoken
from tests.simulator.gpt_live.live_client import AUDIO, LiveClient, live, says

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

TICK_BYTES = 4800
ORDER = "Your order shipped on Monday and should arrive on Thursday."
GREETING = "How can I help you?"


def is_speech(audio: bytes) -> bool:
    return int(np.abs(np.frombuffer(audio, "<i2").astype(int)).max()) > 1000


def ticks(client: LiveClient) -> list[bool]:
    """Return the agent's track: whether each tick of it sounds."""
    audio = client.audio()
    return [is_speech(audio[at : at + TICK_BYTES]) for at in range(0, len(audio), TICK_BYTES)]


async def test_question_is_heard_and_answered(url: str) -> None:
    async with live(url) as client:
        started = await client.begin(instructions="Be brief.")
        assert started["session"]["audio"]["format"] == {"type": "audio/pcm", "rate": 24000}
        await client.send_audio(spoken("Where is my order?"))
        await client.until_silently(says("Thursday"))
        assert client.transcript("input") == "Where is my order?"
        assert client.said() == ORDER
        assert {len(each["delta"]) for each in client.of_type(AUDIO)} == {TICK_BYTES * 4 // 3}
        assert any(ticks(client))


async def test_track_is_as_long_as_the_input_and_silent_where_nothing_is_said(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        await client.be_silent(2050)
        await client.send("session.close", event_id="bye")
        await client.until("session.closed")
        assert client.audio() == bytes(20 * TICK_BYTES)
        assert all(set(each) == {"type", "delta"} for each in client.of_type(AUDIO))


async def test_passive_socket_receives_nothing_before_its_start(url: str) -> None:
    async with live(url) as client:
        await client.send("session.nonsense")
        await client.error()
        assert [each["type"] for each in client.events] == ["error"]


async def test_transcripts_are_on_a_grid_and_their_words_bring_their_own_blanks(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        await client.send_audio(spoken("Where is my order?"))
        await client.until_silently(says("Thursday"))
        for side in ("input", "output"):
            pieces = client.of_type(f"session.{side}_transcript.delta")
            assert [each["start_ms"] % 200 for each in pieces] == [0] * len(pieces)
            assert {each["end_ms"] - each["start_ms"] for each in pieces} == {200}
            starts = [each["start_ms"] for each in pieces]
            assert starts == sorted(set(starts))
            assert not pieces[0]["delta"].startswith(" ")
            assert all(each["delta"].startswith(" ") for each in pieces[1:])
        heard = client.of_type("session.input_transcript.delta")
        # The sentence begins after 200 ms and some of the voice's own silence.
        assert heard[0]["start_ms"] in (200, 400)
        assert heard[-1]["end_ms"] <= spoken("Where is my order?").size / 24 - 300


async def test_second_utterance_begins_without_a_blank(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        for content in ("One.", "Two."):
            await client.send(
                "session.commentary.append",
                content=f'Say exactly: "{content}"',
                delegation_id=None,
            )
        await client.until_silently(says("Two."))
        assert client.said() == "One.Two."


async def test_commentary_has_the_agent_speak_first(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        await client.send(
            "session.commentary.append",
            content="Greet the caller.",
            delegation_id=None,
            event_id="greet",
        )
        await client.until_silently(says("help"))
        (placed,) = client.of_type("session.commentary.appended")
        assert placed["client_event_id"] == "greet"
        assert placed["end_ms"] - placed["start_ms"] == 200
        await client.until_silently(says("you?"))
        assert client.said().endswith(GREETING)


async def test_commentary_has_the_agent_answer_what_it_owes_of_the_talk_before(url: str) -> None:
    asked = {"type": "message", "role": "user", "content": [{"text": "Where is my order?"}]}
    async with live(url) as client:
        await client.begin(input=[asked])
        await client.send("session.commentary.append", content="Go on.", delegation_id=None)
        await client.until_silently(says("Thursday."))
        assert "Go on" not in client.said()


async def test_history_is_no_fresh_conversation(url: str) -> None:
    message = {"type": "message", "role": "assistant", "content": [{"text": "Hello."}]}
    async with live(url) as client:
        started = await client.begin(input=[message])
        assert started["session"]["input"][0]["content"][0]["text"] == "Hello."
        await client.send(
            "session.commentary.append", content="We were cut off.", delegation_id=None
        )
        await client.until_silently(says("off."))
        assert client.said() == "We were cut off."


@pytest.mark.parametrize(
    ("channel", "content"),
    [
        ("thinking", "The caller is in a hurry."),
        ("thinking", 'Say exactly: "Hurry."'),
        ("instructions", "The caller is in a hurry."),
    ],
)
async def test_silent_context_is_acknowledged_and_not_said(
    url: str, channel: str, content: str
) -> None:
    async with live(url) as client:
        await client.begin()
        for number in range(2):
            await client.send(
                f"session.{channel}.append",
                content=content,
                delegation_id=None,
                event_id=str(number),
            )
            await client.until_silently(f"session.{channel}.appended")
        await client.be_silent(2000)
        await client.send("session.close")
        await client.until("session.closed")
        appended = client.of_type(f"session.{channel}.appended")
        assert [each["client_event_id"] for each in appended] == ["0", "1"]
        assert not any(ticks(client))


async def test_instructions_that_order_words_are_obeyed(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        await client.send(
            "session.instructions.append",
            content='Say exactly: "This call is recorded."',
            delegation_id=None,
        )
        await client.until_silently(says("recorded."))
        assert client.said() == "This call is recorded."


async def test_context_waits_while_no_audio_comes(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        await client.send("session.thinking.append", content="Wait.", delegation_id=None)
        await client.send("session.input_audio.mute")
        await client.until("session.input_audio.muted")
        assert not client.of_type("session.thinking.appended")
        await client.be_silent(200)
        await client.until("session.thinking.appended")


async def talk_over(client: LiveClient) -> int:
    """Ask, let the agent begin, talk over it; return the tick in which that was heard."""
    await client.begin()
    await client.send_audio(spoken("What is your return policy?"))
    await client.until_silently(says("Northwind"))
    await client.send_audio(spoken("Stop, I have another question."))
    await client.until_silently(says("ahead."))
    return next(
        at for at, sounds in enumerate(ticks(client)) if at > first_sound(client) and not sounds
    )


def first_sound(client: LiveClient) -> int:
    return ticks(client).index(True)


async def test_agent_stops_by_itself_when_talked_over(url: str) -> None:
    async with live(url) as client:
        stopped_at = await talk_over(client)
        said = client.said()
        assert "days of delivery" not in said
        assert said.endswith("Sure, go ahead.")
        # All of the second sentence, and the pause after it, passed in silence.
        sentence = spoken("Stop, I have another question.", 0).size / 2400
        track = ticks(client)
        again_at = track.index(True, stopped_at)
        assert again_at - stopped_at > sentence - 5
        # Nothing says that there was an interruption.
        kinds = {each["type"] for each in client.events}
        assert kinds == {
            "session.started",
            AUDIO,
            "session.input_transcript.delta",
            "session.output_transcript.delta",
        }


async def test_agent_begins_nothing_while_the_caller_speaks(url: str) -> None:
    tone = (8000 * np.sin(np.arange(2400) * 0.1)).astype(np.int16)
    async with live(url) as client:
        await client.begin()
        await client.send_audio(np.tile(tone, 5))
        order = 'Say exactly: "Sure, go ahead."'
        await client.send("session.commentary.append", content=order, delegation_id=None)
        # These words are rendered beforehand: 30 round trips are plenty for them to be ready.
        for _ in range(30):
            await client.send_audio(tone)
            await client.until(AUDIO)
            await asyncio.sleep(0.02)
        assert client.of_type("session.commentary.appended")
        assert not any(ticks(client))
        await client.until_silently(says("ahead."))


async def test_answer_that_was_yet_to_come_is_dropped_where_the_caller_goes_on(url: str) -> None:
    both = np.concatenate([spoken("Where is my order?"), spoken("When are you open?")])
    audio = both.astype("<i2").tobytes()
    async with live(url) as client:
        await client.begin()
        # All at once: the second sentence begins before the first one is understood.
        await client.send_bytes(audio, len(audio))
        await client.until_silently(says("Saturday."))
        assert client.transcript("input") == "Where is my order?When are you open?"
        assert "Thursday" not in client.said()


async def test_muted_model_hears_nothing_and_the_timeline_goes_on(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        await client.send("session.input_audio.mute", event_id="m")
        assert (await client.until("session.input_audio.muted"))["client_event_id"] == "m"
        await client.send_audio(spoken("Where is my order?"))
        await client.send("session.input_audio.unmute", event_id="u")
        assert (await client.until("session.input_audio.unmuted"))["client_event_id"] == "u"
        await client.send_audio(spoken("When are you open?"))
        await client.until_silently(says("Saturday."))
        assert client.transcript("input") == "When are you open?"
        assert len(ticks(client)) >= spoken("Where is my order?").size // 2400


def at_16k(samples: NDArray[np.int16]) -> bytes:
    return audioop.ratecv(samples.astype("<i2").tobytes(), 2, 1, 24000, 16000, None)[0]


def at_8k(samples: NDArray[np.int16]) -> bytes:
    return audioop.ratecv(samples.astype("<i2").tobytes(), 2, 1, 24000, 8000, None)[0]


FORMATS: dict[str, tuple[dict[str, object], int, Callable[[NDArray[np.int16]], bytes], bytes]] = {
    "pcm16k": ({"type": "audio/pcm", "rate": 16000}, 3200, at_16k, b"\0"),
    "pcmu": (
        {"type": "audio/pcmu", "rate": 8000},
        800,
        lambda samples: audioop.lin2ulaw(at_8k(samples), 2),
        b"\xff",
    ),
    "pcma": (
        {"type": "audio/pcma", "rate": 8000},
        800,
        lambda samples: audioop.lin2alaw(at_8k(samples), 2),
        b"\xd5",
    ),
}


LINEAR: dict[str, Callable[[bytes], bytes]] = {
    "pcm16k": lambda audio: audio,
    "pcmu": lambda audio: audioop.ulaw2lin(audio, 2),
    "pcma": lambda audio: audioop.alaw2lin(audio, 2),
}


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_goes_both_ways(url: str, name: str) -> None:
    audio_format, tick_bytes, encode, silence = FORMATS[name]
    async with live(url) as client:
        started = await client.begin(audio={"format": audio_format})
        assert started["session"]["audio"]["format"] == audio_format
        await client.send_bytes(encode(spoken("Where is my order?")), tick_bytes)
        quiet = silence * (tick_bytes * 100)
        await client.send_bytes(quiet, tick_bytes)
        await client.until("session.input_transcript.delta")
        # The words may be found after the silence has passed: more of it.
        while "Thursday." not in client.said():
            await client.send_bytes(silence * tick_bytes, tick_bytes)
            await client.until(AUDIO)
        track = client.audio()
        assert len(track) % tick_bytes == 0
        assert track.startswith(silence * tick_bytes)
        spoken_part = track.strip(silence)
        per_s = tick_bytes * 10
        assert 2 < len(spoken_part) / per_s < 6
        linear = LINEAR[name](track)
        assert audioop.max(linear, 2) > 3000
