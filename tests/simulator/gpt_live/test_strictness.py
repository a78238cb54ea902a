"""What the simulated GPT-Live refuses, in which words, and that it goes on after every refusal."""

import base64
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.simulator.client import MODELS, connected
from tests.simulator.gpt_live.live_client import BACKEND, MODEL, live

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_ALLOWED = "unknown_parameter"
MISSING = "missing_required_parameter"
INVALID = "invalid_value"
FIXED = "immutable_field_update"
HISTORY = {"role": "user", "content": [{"text": "Hello."}]}

SESSIONS: list[tuple[str, dict[str, Any], str, str]] = [
    ("no model", {"model": ...}, MISSING, "session.model"),
    ("unheard-of model", {"model": "gpt-realtime-2.1"}, "model_not_found", "session.model"),
    ("unknown field", {"temperature": 0.8}, NOT_ALLOWED, "session.temperature"),
    ("GA's type", {"type": "realtime"}, NOT_ALLOWED, "session.type"),
    ("the beta's voice", {"voice": "alloy"}, NOT_ALLOWED, "session.voice"),
    ("GA's tools", {"tools": []}, NOT_ALLOWED, "session.tools"),
    ("GA's input", {"audio": {"input": {}}}, NOT_ALLOWED, "session.audio.input"),
    (
        "unknown voice",
        {"audio": {"output": {"voice": "nova"}}},
        INVALID,
        "session.audio.output.voice",
    ),
    (
        "pcm without rate",
        {"audio": {"format": {"type": "audio/pcm"}}},
        MISSING,
        "session.audio.format.rate",
    ),
    (
        "pcm at 8 kHz",
        {"audio": {"format": {"type": "audio/pcm", "rate": 8000}}},
        INVALID,
        "session.audio.format.rate",
    ),
    (
        "mu-law at 16 kHz",
        {"audio": {"format": {"type": "audio/pcmu", "rate": 16000}}},
        INVALID,
        "session.audio.format.rate",
    ),
    (
        "opus",
        {"audio": {"format": {"type": "audio/opus", "rate": 48000}}},
        INVALID,
        "session.audio.format.type",
    ),
    (
        "delegation to nobody",
        {"delegation": {"type": "nobody"}},
        INVALID,
        "session.delegation.type",
    ),
    ("decisions", {"delegation": {"type": "decisions"}}, INVALID, "session.delegation.type"),
    (
        "a backend without model",
        {"delegation": {"type": "responses", "responses": {}}},
        MISSING,
        "session.delegation.responses.model",
    ),
    (
        "GA's turn detection",
        {"delegation": {"type": "client", "turn_detection": None}},
        NOT_ALLOWED,
        "session.delegation.turn_detection",
    ),
    ("too long a history", {"input": [HISTORY] * 129}, INVALID, "session.input"),
    (
        "two parts",
        {"input": [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]},
        INVALID,
        "session.input[0].content",
    ),
    (
        "a system's message",
        {"input": [{"role": "system", "content": [{"text": "a"}]}]},
        INVALID,
        "session.input[0].type",
    ),
    ("too much to instruct", {"instructions": "word " * 20_000}, INVALID, "session.instructions"),
    (
        "too many words of old",
        {"input": [{"role": "user", "content": [{"text": "x" * 40_000}]}]},
        INVALID,
        "session.input",
    ),
    ("WebRTC's permissions", {"client": {"data_channel": {}}}, INVALID, "session.client"),
    ("text for a switch", {"store": "yes"}, INVALID, "session.store"),
]

PCM_PIECE = base64.b64encode(bytes(960)).decode()
EVENTS: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "Realtime's update",
        {"type": "session.update", "session": {"type": "realtime"}},
        NOT_ALLOWED,
        "session.type",
    ),
    (
        "Realtime's instructions",
        {"type": "session.update", "session": {"instructions": "Be brief."}},
        FIXED,
        "session.instructions",
    ),
    (
        "another voice",
        {"type": "session.update", "session": {"audio": {"output": {"voice": "cedar"}}}},
        FIXED,
        "session.audio",
    ),
    (
        "another model",
        {"type": "session.update", "session": {"model": MODEL}},
        FIXED,
        "session.model",
    ),
    (
        "another owner of work",
        {"type": "session.update", "session": {"delegation": BACKEND}},
        FIXED,
        "session.delegation.type",
    ),
    ("no session", {"type": "session.update"}, MISSING, "session"),
    (
        "a second start",
        {"type": "session.start", "session": {"model": MODEL}},
        "invalid_event",
        "type",
    ),
    (
        "Realtime's append",
        {"type": "input_audio_buffer.append", "audio": PCM_PIECE},
        INVALID,
        "type",
    ),
    ("a commit", {"type": "session.input_audio.commit"}, INVALID, "type"),
    ("a cancel", {"type": "response.cancel"}, INVALID, "type"),
    (
        "a fixture",
        {"type": "session.output_audio.fixture.play", "audio": PCM_PIECE},
        INVALID,
        "type",
    ),
    ("no type", {"session": {}}, "invalid_event", "type"),
    ("a type that is no text", {"type": 7}, INVALID, "type"),
    (
        "audio under another name",
        {"type": "session.input_audio.append", "delta": PCM_PIECE},
        MISSING,
        "audio",
    ),
    ("no base64", {"type": "session.input_audio.append", "audio": "!"}, INVALID, "audio"),
    ("half a sample", {"type": "session.input_audio.append", "audio": "AA=="}, INVALID, "audio"),
    ("audio as numbers", {"type": "session.input_audio.append", "audio": [0, 0]}, INVALID, "audio"),
    (
        "a muting with a reason",
        {"type": "session.input_audio.mute", "why": "hold"},
        NOT_ALLOWED,
        "why",
    ),
    (
        "context without delegation",
        {"type": "session.thinking.append", "content": "a"},
        MISSING,
        "delegation_id",
    ),
    (
        "context of parts",
        {"type": "session.thinking.append", "content": [{"text": "a"}], "delegation_id": None},
        INVALID,
        "content",
    ),
    (
        "no context",
        {"type": "session.commentary.append", "content": "", "delegation_id": None},
        INVALID,
        "content",
    ),
    (
        "too much context",
        {"type": "session.commentary.append", "content": "x" * 2001, "delegation_id": None},
        INVALID,
        "content",
    ),
    (
        "a response's settings",
        {"type": "response.create", "response": {"instructions": "Say hello."}},
        NOT_ALLOWED,
        "response",
    ),
    ("a close with a reason", {"type": "session.close", "reason": "bye"}, NOT_ALLOWED, "reason"),
    ("too long a name", {"type": "session.close", "event_id": "x" * 513}, INVALID, "event_id"),
]


@pytest.mark.parametrize(
    ("change", "code", "param"), [row[1:] for row in SESSIONS], ids=[row[0] for row in SESSIONS]
)
async def test_session_is_refused_and_may_be_asked_for_again(
    url: str, change: dict[str, Any], code: str, param: str
) -> None:
    asked = {"model": MODEL, **change}
    async with live(url) as client:
        session = {key: value for key, value in asked.items() if value is not ...}
        await client.send("session.start", session=session, event_id="start")
        error = await client.error()
        assert (error["code"], error["param"], error["client_event_id"]) == (code, param, "start")
        assert error["type"] == "invalid_request_error"
        assert (await client.begin())["type"] == "session.started"


@pytest.mark.parametrize(
    ("event", "code", "param"), [row[1:] for row in EVENTS], ids=[row[0] for row in EVENTS]
)
async def test_event_is_refused_and_the_session_goes_on(
    url: str, event: dict[str, Any], code: str, param: str
) -> None:
    async with live(url) as client:
        await client.begin()
        fields = {"event_id": "mine", **event}
        await client.send(fields.pop("type", None), **fields)
        error = await client.error()
        assert (error["code"], error["param"]) == (code, param)
        assert error["client_event_id"] == fields["event_id"]
        await client.be_silent(100)
        await client.until("session.output_audio.delta")


async def test_refusal_of_an_unknown_event_names_the_known_ones(url: str) -> None:
    async with live(url) as client:
        await client.begin()
        await client.send("session.input_audio.commit")
        message = (await client.error())["message"]
        for kind in ("session.start", "session.input_audio.append", "session.close"):
            assert f"'{kind}'" in message


async def test_update_is_taken_whole_or_not_at_all(url: str) -> None:
    changes = {"model": "gpt-6-luna", "temperature": 1}
    async with live(url) as client:
        await client.begin(delegation=BACKEND)
        for each in (changes, {}):
            await client.send(
                "session.update",
                session={"delegation": {"type": "responses", "responses": each}},
            )
        assert (await client.error())["param"] == "session.delegation.responses.temperature"
        updated = await client.until("session.updated")
        assert updated["session"]["delegation"]["responses"]["model"] == "gpt-6-sol"


@pytest.mark.parametrize(
    ("key", "query", "status"),
    [
        (None, "", 401),
        ("sk-other", "", 401),
        ("ek_0123456789abcdef", "", 401),
        ("sk-sim-test", f"?model={MODEL}", 400),
        ("sk-sim-test", "?intent=transcription", 400),
    ],
)
async def test_handshake_is_refused(url: str, key: str | None, query: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with live(url, key=key, query=query):
            pass
    assert refused.value.response.status_code == status


async def test_live_model_is_none_of_the_realtime_api(url: str) -> None:
    async with connected(url, model=MODEL) as client:
        assert (await client.error())["code"] == "invalid_model"
        assert (await client.closed())[0] == 4000
    assert MODEL not in MODELS.values()
