"""The official client holds a conversation with the simulator, in both dialects."""

import json
from typing import Any

import pytest

from bridge.simulator.scenario import default_scenario
from bridge.speech.recognition import Recognizer
from bridge.speech.words import sentences_of
from tests.realtime.official import DialectName
from tests.simulator.client import MODELS, audio_of
from tests.simulator.official_talk import client_for, talk

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

TOOL = {"type": "function", "name": "lookup_invoice", "parameters": {"type": "object"}}
ANSWER = "Your order shipped on Monday and should arrive on Thursday."


both = pytest.mark.parametrize("dialect", ["beta", "ga"])


@both
async def test_session_is_set_up(url: str, dialect: DialectName) -> None:
    settings: dict[DialectName, dict[str, Any]] = {
        "beta": {
            "instructions": "Be kind.",
            "voice": "verse",
            "modalities": ["text", "audio"],
            "input_audio_transcription": {"model": "whisper-1", "language": "en"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
            "tools": [TOOL],
            "temperature": 0.9,
        },
        "ga": {
            "instructions": "Be kind.",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
                },
                "output": {"voice": "marin"},
            },
            "tools": [TOOL],
        },
    }
    async with talk(url, dialect) as conversation:
        session = await conversation.update(**settings[dialect])
        assert session.instructions == "Be kind."
        assert session.tools[0].name == "lookup_invoice"
        heard = session if dialect == "beta" else session.audio.input
        assert heard.turn_detection.silence_duration_ms == 400
        voice = session.voice if dialect == "beta" else session.audio.output.voice
        assert voice == ("verse" if dialect == "beta" else "marin")


@both
async def test_text_turn(url: str, dialect: DialectName) -> None:
    modalities = {"beta": {"modalities": ["text"]}, "ga": {"output_modalities": ["text"]}}
    async with talk(url, dialect) as conversation:
        await conversation.update(**modalities[dialect])
        await conversation.type("Where is my order?")
        await conversation.connection.response.create()
        done = await conversation.until("response.done")
        (part,) = done.response.output[0].content
        assert part.text == ANSWER
        assert part.type == ("text" if dialect == "beta" else "output_text")


@both
async def test_spoken_turn(url: str, dialect: DialectName) -> None:
    async with talk(url, dialect) as conversation:
        await conversation.say("Where is my order?")
        done = await conversation.until("response.done")
        (part,) = done.response.output[0].content
        assert part.transcript == ANSWER
        assert part.type == ("audio" if dialect == "beta" else "output_audio")
        assert done.response.usage.output_token_details.audio_tokens > 0
        ears = Recognizer(sentences_of(ANSWER))
        (heard,) = ears.hear_all(audio_of(conversation.events), 24_000)
        assert heard.text == ANSWER


@both
async def test_tool_call(url: str, dialect: DialectName) -> None:
    async with talk(url, dialect) as conversation:
        await conversation.update(tools=[TOOL])
        await conversation.type("How much is my invoice?")
        await conversation.connection.response.create()
        called = await conversation.until("response.function_call_arguments.done")
        await conversation.until("response.done")
        output = {
            "type": "function_call_output",
            "call_id": called.call_id,
            "output": json.dumps({"amount": 99, "due": "Friday"}),
        }
        await conversation.connection.conversation.item.create(item=output)
        await conversation.connection.response.create()
        done = await conversation.until("response.done")
        said = done.response.output[0].content[0].transcript
        assert said == "Your invoice is 99 dollars, and it is due on Friday."


@both
async def test_interruption(slow_url: str, dialect: DialectName) -> None:
    delta = "response.audio.delta" if dialect == "beta" else "response.output_audio.delta"
    async with talk(slow_url, dialect) as conversation:
        await conversation.say("What is your return policy?")
        for _ in range(5):
            item_id = (await conversation.until(delta)).item_id
        await conversation.say("Stop, I have another question.")
        done = await conversation.until("response.done")
        assert done.response.status == "cancelled"
        assert done.response.status_details.reason == "turn_detected"
        await conversation.connection.conversation.item.truncate(
            item_id=item_id, content_index=0, audio_end_ms=100
        )
        await conversation.until("conversation.item.truncated")
        answered = await conversation.until("response.done")
        assert answered.response.output[0].content[0].transcript == "Sure, go ahead."


async def test_ga_client_secret_opens_a_conversation(url: str) -> None:
    async with client_for(url) as client:
        secret = await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "realtime", "model": MODELS["ga"], "instructions": "Be kind."},
        )
    async with talk(url, "ga", secret.value) as conversation:
        await conversation.connection.response.create()
        done = await conversation.until("response.done")
        assert done.response.output[0].content[0].transcript == default_scenario().greeting


async def test_beta_session_token_opens_a_conversation(url: str) -> None:
    async with client_for(url) as client:
        session = await client.beta.realtime.sessions.create(
            model="gpt-4o-realtime-preview", voice="verse"
        )
    async with talk(url, "beta", session.client_secret.value) as conversation:
        await conversation.connection.response.create()
        done = await conversation.until("response.done")
        assert done.response.voice == "verse"
