"""What the server refuses of GA sessions and items; what both dialects refuse is in test_errors."""

from typing import Any

import pytest

from tests.simulator.client import connected

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

SERVER_VAD = {"type": "server_vad"}


async def test_session_created_comes_first_and_is_complete(url: str) -> None:
    async with connected(url) as client:
        created = await client.until("session.created")
        assert client.order() == ["session.created"]
        session = created["session"]
        assert session["object"] == "realtime.session"
        assert session["id"].startswith("sess_")
        assert (session["type"], session["model"]) == ("realtime", "gpt-realtime-2.1")
        assert session["output_modalities"] == ["audio"]
        assert session["max_output_tokens"] == "inf"
        assert session["audio"]["input"]["turn_detection"] == {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        }
        assert session["audio"]["input"]["transcription"] is None
        assert session["audio"]["output"] == {
            "format": {"type": "audio/pcm", "rate": 24000},
            "voice": "alloy",
            "speed": 1.0,
        }
        assert not {"temperature", "modalities", "input_audio_format"} & session.keys()


async def test_update_is_partial_and_merges_by_key(url: str) -> None:
    async with connected(url) as client:
        detection = {**SERVER_VAD, "silence_duration_ms": 350}
        await client.update(instructions="Be kind.", audio={"input": {"turn_detection": detection}})
        updated = await client.update(audio={"output": {"voice": "marin"}})
        session = updated["session"]
        assert session["instructions"] == "Be kind."
        assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 350
        assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.5
        assert session["audio"]["output"]["voice"] == "marin"


async def test_what_nobody_set_in_a_transcription_is_not_told(url: str) -> None:
    async with connected(url) as client:
        heard = {"transcription": {"model": "gpt-transcribe"}, "noise_reduction": None}
        session = (await client.update(audio={"input": heard}))["session"]
        assert session["audio"]["input"]["transcription"] == {"model": "gpt-transcribe"}
        quiet = {"noise_reduction": {"type": "near_field"}}
        session = (await client.update(audio={"input": quiet}))["session"]
        assert session["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
        assert session["audio"]["input"]["transcription"] == {"model": "gpt-transcribe"}


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"instructions": "x"}, "missing_required_parameter", "session.type"),
        ({"type": "realtime", "foo": 1}, "unknown_parameter", "session.foo"),
        ({"type": "realtime", "temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"type": "realtime", "modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        (
            {"type": "realtime", "turn_detection": SERVER_VAD},
            "unknown_parameter",
            "session.turn_detection",
        ),
        (
            {"type": "realtime", "audio": {"input": {"format": "pcm16"}}},
            "invalid_value",
            "session.audio.input.format",
        ),
        (
            {
                "type": "realtime",
                "audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}},
            },
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {
                "type": "realtime",
                "audio": {"input": {"turn_detection": {**SERVER_VAD, "prefix_padding": 300}}},
            },
            "unknown_parameter",
            "session.audio.input.turn_detection.prefix_padding",
        ),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "none"}}}},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            {"type": "realtime", "output_modalities": ["text", "audio"]},
            "invalid_value",
            "session.output_modalities",
        ),
        ({"type": "realtime", "max_output_tokens": "many"}, "invalid_value", None),
        ({"type": "realtime", "tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
        (
            {"type": "realtime", "tools": [{"type": "function", "function": {"name": "x"}}]},
            "missing_required_parameter",
            "session.tools[0].name",
        ),
        ({"type": "realtime", "model": "gpt-realtime-mini"}, "invalid_value", "session.model"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"type": "realtime", "mcp_servers": True}, "unknown_parameter", "session.mcp_servers"),
    ],
)
async def test_update_is_refused_as_a_whole(
    url: str, session: dict[str, Any], code: str, param: str | None
) -> None:
    async with connected(url) as client:
        mixed = {**session, "instructions": "must not be taken"}
        await client.send("session.update", event_id="e1", session=mixed)
        error = await client.error()
        assert (error["type"], error["code"]) == ("invalid_request_error", code)
        assert param is None or error["param"] == param
        updated = await client.update(include=None)
        assert updated["session"]["instructions"] == ""


async def test_null_turns_detection_off_and_an_object_on(url: str) -> None:
    async with connected(url) as client:
        off = await client.update(audio={"input": {"turn_detection": None}})
        assert off["session"]["audio"]["input"]["turn_detection"] is None
        on = await client.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
        assert on["session"]["audio"]["input"]["turn_detection"]["eagerness"] == "auto"


async def test_voice_is_fixed_once_the_agent_spoke(url: str) -> None:
    async with connected(url) as client:
        await client.update(audio={"output": {"voice": "cedar"}})
        await client.send("response.create")
        await client.until("response.done")
        refused = await client.update(audio={"output": {"voice": "marin"}})
        assert refused["error"]["code"] == "cannot_update_voice"
        same = await client.update(audio={"output": {"voice": "cedar"}})
        assert same["type"] == "session.updated"


UNKNOWN_KEY = "unknown_parameter"
MISSING = "missing_required_parameter"
BAD_VALUE = "invalid_value"


def message(**fields: object) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": [], **fields}


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (
            message(role="assistant", content=[{"type": "text", "text": "x"}]),
            BAD_VALUE,
            "item.content[0].type",
        ),
        (
            message(role="assistant", content=[{"type": "input_text", "text": "x"}]),
            BAD_VALUE,
            "item.content[0].type",
        ),
        (message(role="robot"), BAD_VALUE, "item.role"),
        (message(voice="x"), UNKNOWN_KEY, "item.voice"),
        ({"type": "function_call_output", "output": "x"}, MISSING, "item.call_id"),
        ({"role": "user"}, MISSING, "item.type"),
    ],
)
async def test_bad_item_is_refused(url: str, item: dict[str, Any], code: str, param: str) -> None:
    async with connected(url) as client:
        await client.send("conversation.item.create", item=item)
        error = await client.error()
        assert (error["code"], error["param"]) == (code, param)


async def test_items_are_placed_named_and_deleted(url: str) -> None:
    async with connected(url) as client:

        async def create(name: str, **fields: object) -> Any:
            content = [{"type": "input_text", "text": name}]
            item = {"type": "message", "role": "user", "id": name, "content": content}
            await client.send("conversation.item.create", item=item, **fields)
            return await client.until(
                lambda event: event["type"] in ("conversation.item.done", "error")
            )

        assert (await create("b"))["previous_item_id"] is None
        assert (await create("c"))["previous_item_id"] == "b"
        assert (await create("a", previous_item_id="root"))["previous_item_id"] is None
        assert (await create("ab", previous_item_id="a"))["previous_item_id"] == "a"
        assert (await create("b"))["error"]["code"] == "item_create_duplicate_item_id"
        assert (await create("d", previous_item_id="zz"))["error"]["param"] == "previous_item_id"
        await client.send("conversation.item.delete", item_id="b")
        assert (await client.until("conversation.item.deleted"))["item_id"] == "b"
        assert client.order().count("conversation.item.created") == 0
