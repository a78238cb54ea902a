"""The beta dialect: shapes, what it refuses, and what it lacks."""

import base64
from typing import Any

import pytest

from bridge.audio.g711 import Law, decode, encode
from bridge.audio.resample import downsample_whole
from bridge.simulator.scenario import default_scenario
from bridge.simulator.server import SimulatorServer
from bridge.speech.recognition import Recognizer
from tests.simulator.client import Client, Event, connected, spoken
from tests.simulator.conftest import paced

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

SERVER_VAD = {"type": "server_vad"}
ANSWER = "Your order shipped on Monday and should arrive on Thursday."
UNKNOWN_KEY = "unknown_parameter"
MISSING = "missing_required_parameter"
BAD_VALUE = "invalid_value"


def beta(url: str, **options: Any) -> Any:
    return connected(url, dialect="beta", **options)


async def respond(client: Client, **response: object) -> Event:
    await client.send("response.create", response=response)
    return await client.until("response.done")


async def test_session_created_is_flat_and_complete(url: str) -> None:
    async with beta(url) as client:
        session = (await client.until("session.created"))["session"]
        assert session.pop("id").startswith("sess_")
        assert session.pop("expires_at") > 1_700_000_000
        assert session == {
            "object": "realtime.session",
            "model": "gpt-4o-realtime-preview",
            "modalities": ["text", "audio"],
            "instructions": "",
            "voice": "alloy",
            "speed": 1.0,
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": None,
            "input_audio_noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "create_response": True,
                "interrupt_response": True,
            },
            "tools": [],
            "tool_choice": "auto",
            "temperature": 0.8,
            "max_response_output_tokens": "inf",
            "tracing": None,
        }


async def test_browser_chooses_the_dialect_by_subprotocol(url: str) -> None:
    subprotocols = ["realtime", "openai-insecure-api-key.sk-sim-b", "openai-beta.realtime-v1"]
    model = "gpt-4o-mini-realtime-preview"
    async with connected(url, model=model, key=None, subprotocols=subprotocols) as client:
        client.dialect = "beta"
        created = await client.until("session.created")
        assert created["session"]["modalities"] == ["text", "audio"]
        assert client.socket.subprotocol == "realtime"


async def test_update_is_partial(url: str) -> None:
    async with beta(url) as client:
        await client.update(instructions="Be kind.", temperature=0.6)
        whisper = {"model": "whisper-1"}
        updated = await client.update(voice="verse", input_audio_transcription=whisper)
        session = updated["session"]
        assert (session["instructions"], session["temperature"]) == ("Be kind.", 0.6)
        assert session["voice"] == "verse"
        assert session["input_audio_transcription"]["model"] == "whisper-1"
        off = await client.update(input_audio_transcription=None, turn_detection=None)
        assert off["session"]["input_audio_transcription"] is None
        assert off["session"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"type": "realtime"}, UNKNOWN_KEY, "session.type"),
        ({"audio": {}}, UNKNOWN_KEY, "session.audio"),
        ({"output_modalities": ["audio"]}, UNKNOWN_KEY, "session.output_modalities"),
        ({"max_output_tokens": 9}, UNKNOWN_KEY, "session.max_output_tokens"),
        ({"truncation": "auto"}, UNKNOWN_KEY, "session.truncation"),
        ({"client_secret": {"value": "ek_x"}}, UNKNOWN_KEY, "session.client_secret"),
        ({"id": "sess_x"}, UNKNOWN_KEY, "session.id"),
        (
            {"turn_detection": {**SERVER_VAD, "idle_timeout_ms": 6000}},
            UNKNOWN_KEY,
            "session.turn_detection.idle_timeout_ms",
        ),
        ({"turn_detection": {"type": "none"}}, BAD_VALUE, "session.turn_detection.type"),
        ({"turn_detection": {}}, MISSING, "session.turn_detection.type"),
        ({"input_audio_format": {"type": "audio/pcm"}}, BAD_VALUE, "session.input_audio_format"),
        ({"input_audio_format": "pcm24"}, BAD_VALUE, "session.input_audio_format"),
        ({"modalities": ["audio"]}, BAD_VALUE, "session.modalities"),
        ({"voice": "marin"}, BAD_VALUE, "session.voice"),
        ({"voice": None}, BAD_VALUE, "session.voice"),
        ({"instructions": None}, BAD_VALUE, "session.instructions"),
        ({"temperature": 2}, BAD_VALUE, "session.temperature"),
        ({"max_response_output_tokens": 5000}, BAD_VALUE, None),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, None, None),
        ({"model": "gpt-realtime"}, BAD_VALUE, "session.model"),
    ],
)
async def test_update_is_refused_as_a_whole(
    url: str, session: dict[str, Any], code: str | None, param: str | None
) -> None:
    async with beta(url) as client:
        mixed = {"instructions": "must not be taken", **session}
        await client.send("session.update", event_id="mine", session=mixed)
        error = await client.error()
        assert error["event_id"] == "mine"
        assert code is None or error["code"] == code
        assert param is None or error["param"] == param
        assert (await client.update(speed=1.25))["session"]["instructions"] == ""


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "x"}],
            },
            BAD_VALUE,
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "text", "text": "x"}]},
            BAD_VALUE,
            "item.content[0].type",
        ),
        (
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_image", "image_url": "data:,"}],
            },
            BAD_VALUE,
            "item.content[0].type",
        ),
        ({"type": "mcp_approval_response", "approve": True}, BAD_VALUE, "item.type"),
        ({"type": "item_reference", "id": "x"}, BAD_VALUE, "item.type"),
    ],
)
async def test_bad_item_is_refused(url: str, item: dict[str, Any], code: str, param: str) -> None:
    async with beta(url) as client:
        await client.send("conversation.item.create", item=item)
        error = await client.error()
        assert (error["code"], error["param"]) == (code, param)


async def test_items_say_what_they_are_and_history_is_text(url: str) -> None:
    async with beta(url) as client:
        item = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "Hi."}],
        }
        await client.send("conversation.item.create", item=item)
        created = (await client.until("conversation.item.created"))["item"]
        assert created["object"] == "realtime.item"
        assert created["content"] == [{"type": "text", "text": "Hi."}]


async def test_response_says_what_it_was_asked_to_be(url: str) -> None:
    async with beta(url) as client:
        done = await respond(
            client,
            modalities=["text"],
            temperature=0.7,
            max_response_output_tokens=100,
            conversation="none",
            input=[],
            metadata={"why": "test"},
            instructions='Say exactly: "Aside."',
        )
        (created,) = client.of_type("response.created")
        for response in (created["response"], done["response"]):
            assert response["modalities"] == ["text"]
            assert response["temperature"] == 0.7
            assert response["max_output_tokens"] == 100
            assert response["conversation_id"] is None
            assert response["metadata"] == {"why": "test"}
        assert done["response"]["output"][0]["content"] == [{"type": "text", "text": "Aside."}]
        again = (await respond(client, max_output_tokens=50))["response"]
        assert again["max_output_tokens"] == 50
        assert again["conversation_id"].startswith("conv_")
        assert (again["voice"], again["output_audio_format"]) == ("alloy", "pcm16")
        assert again["output"][0]["content"][0]["type"] == "audio"


async def test_rate_limits_come_with_the_response(url: str) -> None:
    async with beta(url) as client:
        await respond(client)
        (limits,) = client.of_type("rate_limits.updated")
        assert [each["name"] for each in limits["rate_limits"]] == ["requests", "tokens"]


async def test_voice_is_fixed_once_the_agent_spoke(url: str) -> None:
    async with beta(url) as client:
        await respond(client)
        refused = await client.update(voice="echo")
        assert refused["error"]["code"] == "cannot_update_voice"
        assert refused["error"]["param"] == "session.voice"


async def test_caller_is_transcribed_word_by_word(url: str) -> None:
    async with beta(url) as client:
        await client.update(input_audio_transcription={"model": "whisper-1"})
        await client.send_audio(spoken("Where is my order?"))
        done = await client.until("response.done")
        (heard,) = client.of_type("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "Where is my order?"
        pieces = client.of_type("conversation.item.input_audio_transcription.delta")
        assert "".join(piece["delta"] for piece in pieces) == "Where is my order?"
        assert "obfuscation" not in pieces[0]
        assert done["response"]["output"][0]["content"][0]["transcript"] == ANSWER


async def test_g711_in_and_out(url: str) -> None:
    async with beta(url) as client:
        await client.update(input_audio_format="g711_alaw", output_audio_format="g711_alaw")
        from_phone = encode(Law.PCMA, downsample_whole(spoken("Where is my order?")))
        audio = base64.b64encode(from_phone).decode()
        await client.send("input_audio_buffer.append", audio=audio)
        await client.until("response.done")
        sent = b"".join(
            base64.b64decode(event["delta"]) for event in client.of_type("response.audio.delta")
        )
        (heard,) = Recognizer([ANSWER]).hear_all(decode(Law.PCMA, sent), 8_000)
        assert heard.text == ANSWER


async def test_truncated_item_is_shorter_when_retrieved(url: str) -> None:
    async with beta(url) as client:
        done = await respond(client)
        item_id = done["response"]["output"][0]["id"]
        place = {"item_id": item_id, "content_index": 0}
        await client.send("conversation.item.truncate", **place, audio_end_ms=1000)
        await client.until("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
        (part,) = item["content"]
        assert part["type"] == "audio"
        assert default_scenario().greeting.startswith(part["transcript"])
        assert 0 < len(part["transcript"]) < 40
        await client.send("conversation.item.truncate", **place, audio_end_ms=60_000)
        error = await client.error()
        assert error["code"] == "invalid_value"
        assert "is already shorter than 60000ms" in error["message"]
        await client.send("conversation.item.delete", item_id=item_id)
        assert (await client.until("conversation.item.deleted"))["item_id"] == item_id


async def test_transcription_session_hears_and_never_answers(url: str) -> None:
    async with beta(f"{url}?intent=transcription", model=None) as client:
        created = await client.until("transcription_session.created")
        assert created["session"]["object"] == "realtime.transcription_session"
        await client.send("session.update", session={"instructions": "x"})
        assert "is not allowed" in (await client.error())["message"]
        session = {"input_audio_transcription": {"model": "whisper-1"}}
        await client.send("transcription_session.update", session=session)
        await client.until("transcription_session.updated")
        await client.send_audio(spoken("Where is my order?"))
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "Where is my order?"
        await client.send("response.create")
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "type")
        assert not client.of_type("response.created")


async def test_realtime_session_takes_no_transcription_update(url: str) -> None:
    async with beta(url) as client:
        await client.send("transcription_session.update", session={})
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "type")


async def test_ga_models_and_unknown_ones(url: str) -> None:
    async with beta(url, model="gpt-realtime") as client:
        await client.until("session.created")
    async with beta(url, model="gpt-live-1") as client:
        assert await client.closed() == (4000, "invalid_request_error.invalid_model")


@pytest.mark.parametrize("by_scenario", [False, True])
async def test_disabled_beta_upgrades_reports_and_closes(*, by_scenario: bool) -> None:
    if by_scenario:
        server = SimulatorServer(paced().model_copy(update={"beta": "disabled"}))
    else:
        server = SimulatorServer(paced(), beta="disabled")
    url = await server.start()
    for key in ("sk-sim-test", "sk-wrong"):
        async with beta(url, key=key) as client:
            assert await client.closed() == (4000, "invalid_request_error.beta_api_shape_disabled")
            (event,) = client.events
            assert event["error"] == {
                "type": "invalid_request_error",
                "code": "beta_api_shape_disabled",
                "message": "The Realtime Beta API is no longer supported. Please use /v1/realtime"
                " for the GA API.",
                "param": None,
                "event_id": None,
            }
    async with connected(url) as client:
        await client.until("session.created")
    await server.aclose()
