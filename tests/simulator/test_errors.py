"""The error table of `PROTOCOL.md` section 7, in both dialects, with the client's own event_id."""

import base64
import json
from typing import Any

import pytest

from tests.realtime.official import DialectName
from tests.simulator.client import connected, spoken

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

both = pytest.mark.parametrize("dialect", ["beta", "ga"])
UNKNOWN_KEY = "unknown_parameter"
MISSING = "missing_required_parameter"
BAD_VALUE = "invalid_value"
TRUNCATE = {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0}


@both
@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({}, "invalid_event", "type"),
        ({"type": None}, "invalid_event", "type"),
        ({"type": "session.start"}, BAD_VALUE, "type"),
        ({"type": ["response.create"]}, BAD_VALUE, "type"),
        ({"type": "session.update"}, MISSING, "session"),
        ({"type": "session.update", "session": None}, BAD_VALUE, "session"),
        ({"type": "input_audio_buffer.append"}, MISSING, "audio"),
        ({"type": "input_audio_buffer.append", "audio": None}, BAD_VALUE, "audio"),
        ({"type": "input_audio_buffer.append", "audio": "?"}, BAD_VALUE, "audio"),
        ({"type": "input_audio_buffer.append", "audio": "\u00e9"}, BAD_VALUE, "audio"),
        ({"type": "input_audio_buffer.append", "audio": "AA=="}, BAD_VALUE, "audio"),
        ({"type": "input_audio_buffer.commit", "x": 1}, UNKNOWN_KEY, "x"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "conversation.item.create"}, MISSING, "item"),
        ({"type": "conversation.item.create", "item": {"role": "user"}}, MISSING, "item.type"),
        (
            {"type": "conversation.item.retrieve", "item_id": "x"},
            "item_retrieve_invalid_item_id",
            "item_id",
        ),
        (
            {"type": "conversation.item.delete", "item_id": "x"},
            "item_delete_invalid_item_id",
            "item_id",
        ),
        ({**TRUNCATE, "audio_end_ms": 0}, "item_truncate_invalid_item_id", "item_id"),
        (TRUNCATE, MISSING, "audio_end_ms"),
        ({**TRUNCATE, "audio_end_ms": -1}, BAD_VALUE, "audio_end_ms"),
        ({**TRUNCATE, "audio_end_ms": 1.5}, BAD_VALUE, "audio_end_ms"),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        ({"type": "response.create", "response": {"foo": 1}}, UNKNOWN_KEY, "response.foo"),
        (
            {"type": "response.create", "response": {"input": [{"type": "item_reference"}]}},
            MISSING,
            "response.input[0].id",
        ),
        (
            {
                "type": "response.create",
                "response": {"input": [{"type": "item_reference", "id": "nothing"}]},
            },
            BAD_VALUE,
            "response.input",
        ),
        (
            {"type": "response.create", "response": {"metadata": {str(n): "" for n in range(17)}}},
            BAD_VALUE,
            "response.metadata",
        ),
        ({"type": "output_audio_buffer.clear"}, BAD_VALUE, "type"),
    ],
)
async def test_refused_event_is_answered_by_its_own_id(
    url: str, dialect: DialectName, event: dict[str, Any], code: str, param: str | None
) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.socket.send(json.dumps({**event, "event_id": "mine"}))
        error = await client.error()
        assert (error["type"], error["code"]) == ("invalid_request_error", code)
        assert (error["param"], error["event_id"]) == (param, "mine")
        assert (await client.update(instructions="still here"))["type"] == "session.updated"


@both
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{not json", "invalid_json"),
        ("", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("[]", "invalid_event"),
        ("null", "invalid_event"),
        ('"response.create"', "invalid_event"),
        (b"\x00\x01", "invalid_event"),
    ],
)
async def test_frame_that_is_no_event(
    url: str, dialect: DialectName, frame: str | bytes, code: str
) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.socket.send(frame)
        error = await client.error()
        assert (error["code"], error["event_id"]) == (code, None)
        assert (await client.update(instructions="still here"))["type"] == "session.updated"


@both
async def test_longest_event_id_and_one_more(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.send("input_audio_buffer.clear", event_id="x" * 512)
        await client.until("input_audio_buffer.cleared")
        await client.send("input_audio_buffer.clear", event_id="x" * 513)
        error = await client.error()
        assert (error["code"], error["param"]) == (BAD_VALUE, "event_id")
        await client.send("input_audio_buffer.clear", event_id=None)
        await client.until("input_audio_buffer.cleared")


@both
async def test_largest_append_and_two_bytes_more(url: str, dialect: DialectName) -> None:
    largest = 15 * 1024 * 1024
    off: dict[DialectName, dict[str, object]] = {
        "beta": {"turn_detection": None},
        "ga": {"audio": {"input": {"turn_detection": None}}},
    }
    async with connected(url, dialect=dialect) as client:
        await client.update(**off[dialect])
        for size in (largest + 2, largest):
            audio = base64.b64encode(bytes(size)).decode()
            await client.send("input_audio_buffer.append", audio=audio)
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        (error,) = client.of_type("error")
        assert (error["error"]["code"], error["error"]["param"]) == (BAD_VALUE, "audio")


@both
async def test_null_response_is_none_at_all(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.send("response.create", response=None)
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        assert done["response"]["metadata"] is None


@both
async def test_commit_of_less_than_100_ms_says_how_much_there_is(
    url: str, dialect: DialectName
) -> None:
    async with connected(url, dialect=dialect) as client:
        audio = base64.b64encode(bytes(2 * 24 * 99)).decode()
        await client.send("input_audio_buffer.append", audio=audio)
        await client.send("input_audio_buffer.commit")
        error = await client.error()
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert "99.00ms" in error["message"]


@both
async def test_second_response_while_one_runs(slow_url: str, dialect: DialectName) -> None:
    async with connected(slow_url, dialect=dialect) as client:
        await client.send("response.create")
        await client.until("response.content_part.added")
        await client.send("response.create", event_id="mine")
        error = await client.error()
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "mine"
        assert client.of_type("response.created")[0]["response"]["id"] in error["message"]


@both
async def test_item_id_that_is_taken(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        item = {"type": "message", "role": "system", "id": "item_mine", "content": []}
        for _ in range(2):
            await client.send("conversation.item.create", item=item)
        assert (await client.error())["code"] == "item_create_duplicate_item_id"


@both
async def test_voices_are_those_of_the_dialect(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        for voice in ("fable", "cedar", "verse"):
            asked: dict[DialectName, dict[str, object]] = {
                "beta": {"voice": voice},
                "ga": {"audio": {"output": {"voice": voice}}},
            }
            await client.update(**asked[dialect])
        refused = [event["error"]["message"] for event in client.of_type("error")]
        assert len(refused) == (2 if dialect == "beta" else 1)
        assert refused[0].startswith("Invalid value: 'fable'. Supported values are: 'alloy', 'ash'")


@both
async def test_audio_without_a_word_cannot_be_understood(url: str, dialect: DialectName) -> None:
    transcribed: dict[DialectName, dict[str, object]] = {
        "beta": {"input_audio_transcription": {"model": "whisper-1"}},
        "ga": {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
    }
    async with connected(url, dialect=dialect) as client:
        await client.update(**transcribed[dialect])
        await client.send_audio(spoken("My cat is on the roof."))
        failed = await client.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"] == "audio_unintelligible"


async def test_a_dialect_refuses_the_keys_of_the_other(url: str) -> None:
    keys: dict[DialectName, dict[str, object]] = {
        "beta": {"output_modalities": ["text"]},
        "ga": {"modalities": ["text"]},
    }
    for dialect, response in keys.items():
        async with connected(url, dialect=dialect) as client:
            await client.send("response.create", response=response)
            error = await client.error()
            (key,) = response
            assert (error["code"], error["param"]) == (UNKNOWN_KEY, f"response.{key}")
