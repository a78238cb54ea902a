"""Calls with a full-duplex service over real SIP: who speaks, what is heard, tools, losses."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.audio.resample import downsample_whole
from bridge.simulator.scenario import default_scenario
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.realtime.official import problems
from tests.support.gateways import (
    PLAIN_AGENT,
    CallsInRedis,
    Gateway,
    Record,
    serving,
    write_dialplan,
)
from tests.support.hook import hook
from tests.support.processes import SIMULATOR_KEY, simulating
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

GREETING = "Welcome to the shop."
QUESTION = "Where is my order?"
ANSWER = "Your order shipped on Monday and should arrive on Thursday."
LONG_QUESTION = "What is your return policy?"
INTERRUPTION = "Wait a moment, please."
INVOICE = {
    "name": "lookup_invoice",
    "description": "Look up the caller's invoice.",
    "parameters": {
        "type": "object",
        "properties": {"which": {"type": "string", "enum": ["latest", "first"]}},
        "required": ["which"],
    },
}


def live_url(simulator: str) -> str:
    """The place of Live beside the Realtime API."""
    return simulator.replace("/v1/realtime", "/v1/live/sessions")


@contextmanager
def gateway_at(
    url: str,
    redis: LocalRedis,
    directory: Path,
    *,
    tools: list[Any] | None = None,
    audio: str = "pcm24k",
    **agent: object,
) -> Iterator[Gateway]:
    arm = {
        "audio": audio,
        "dialect": "live",
        "url": url,
        "model": "gpt-live-1",
        "api_key_env": "SIM_KEY",
        "session": {"delegation": {"model": "gpt-5.6-luna"}},
    }
    own = {**PLAIN_AGENT, "greeting": GREETING, **agent}
    with serving(
        directory,
        url,
        write_dialplan(directory / "dialplans", own if tools is None else {**own, "tools": tools}),
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY},
        arms={"local": arm},
        session={"wire_log_dir": str(directory / "wire")},
    ) as gateway:
        yield gateway


def say(text: str) -> Any:
    return downsample_whole(Synthesizer("en-us", 150).say(text))


def wire(directory: Path, call_id: str) -> list[dict[str, Any]]:
    lines = (directory / "wire" / f"{call_id}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def spoken(record: Record, speaker: str) -> list[str]:
    return [turn["text"] for turn in record["turns"] if turn["speaker"] == speaker]


def without_sizes(event: dict[str, Any]) -> dict[str, Any]:
    """Put base64 back where the log has the length of audio."""
    return {
        key: "AAAA" if isinstance(value, dict) and "bytes" in value else value
        for key, value in event.items()
    }


@pytest.mark.parametrize(
    ("audio", "on_the_wire"),
    [
        ("pcm24k", {"type": "audio/pcm", "rate": 24000}),
        ("pcm16k", {"type": "audio/pcm", "rate": 16000}),
        ("pcmu", {"type": "audio/pcmu", "rate": 8000}),
        ("pcma", {"type": "audio/pcma", "rate": 8000}),
    ],
)
async def test_greeting_question_and_answer(
    simulator: str, redis: LocalRedis, tmp_path: Path, audio: str, on_the_wire: dict[str, object]
) -> None:
    with gateway_at(live_url(simulator), redis, tmp_path, audio=audio) as gateway:
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)
            assert await calls.until_spoken(call_id, "agent", 1) == GREETING
            caller.speak(say(QUESTION))
            assert await calls.until_spoken(call_id, "agent", 2) == ANSWER
            await caller.hang_up()
            await calls.until_ended(call_id)
        record = await gateway.record_of(call_id)
    assert spoken(record, "caller") == [QUESTION]
    assert spoken(record, "agent") == [GREETING, ANSWER]
    assert [turn["interrupted"] for turn in record["turns"]] == [False] * 3
    assert record["greeting_ms"] is not None
    assert record["latency"]
    assert (record["dialect"], record["model"]) == ("live", "gpt-live-1")
    assert 0 < record["cost_usd"] < 0.05  # 5 cents a minute
    sent = [line["raw"] for line in wire(tmp_path, call_id) if line["direction"] == "sent"]
    received = [line["raw"] for line in wire(tmp_path, call_id) if line["direction"] == "received"]
    assert (sent[0]["type"], sent[-1]["type"]) == ("session.start", "session.close")
    assert sent[0]["session"]["audio"]["format"] == on_the_wire
    assert {each["type"] for each in sent} == {
        "session.start",
        "session.commentary.append",
        "session.input_audio.append",
        "session.close",
    }
    assert [problems("live", "client", without_sizes(event)) for event in sent] == [[]] * len(sent)
    faults = [problems("live", "server", without_sizes(event)) for event in received]
    assert faults == [[]] * len(received)


@pytest.mark.parametrize("decided_by", ["bridge", "service"])
async def test_caller_who_speaks_over_the_agent_silences_it_and_is_answered(
    simulator: str, redis: LocalRedis, tmp_path: Path, decided_by: str
) -> None:
    barge_in = {"decided_by": decided_by}
    with gateway_at(live_url(simulator), redis, tmp_path, barge_in=barge_in) as gateway:
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)
            await calls.until_spoken(call_id, "agent", 1)
            caller.speak(say(LONG_QUESTION))
            await calls.until_told(call_id, "measured")
            caller.speak(say(INTERRUPTION))
            await calls.until_spoken(call_id, "agent", 3)
            await caller.hang_up()
            await calls.until_ended(call_id)
        record = await gateway.record_of(call_id)
    agent = [turn for turn in record["turns"] if turn["speaker"] == "agent"]
    assert [turn["interrupted"] for turn in agent[:2]] == [False, True]
    assert record["interruptions"] == 1
    assert spoken(record, "caller") == [LONG_QUESTION, INTERRUPTION]


async def test_tool_is_called_by_the_backend_and_its_answer_is_spoken(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    async def answer() -> web.StreamResponse:
        return web.json_response({"amount": "forty two", "due": "Monday", "account": "12345678"})

    async with hook(answer) as endpoint:
        webhook = {"url": endpoint.url, "allow_private": True, "retries": 0}
        tools = [{**INVOICE, "webhook": webhook}]
        with gateway_at(live_url(simulator), redis, tmp_path, tools=tools) as gateway:
            async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                await calls.until_spoken(call_id, "agent", 1)
                caller.speak(say("How much is my invoice?"))
                await calls.until_told(call_id, "tool_ended")
                await calls.until_spoken(call_id, "agent", 2)
                await caller.hang_up()
                await calls.until_ended(call_id)
            record = await gateway.record_of(call_id)
    sent = [line["raw"] for line in wire(tmp_path, call_id) if line["direction"] == "sent"]
    kinds = [each["type"] for each in sent if each["type"].startswith("response.")]
    assert kinds == ["response.item.create", "response.create"]
    assert "forty two" in spoken(record, "agent")[-1]
    assert [tool["result"] for tool in record["tools"]] == ["ok"]
    assert_backend_billed(record, wire(tmp_path, call_id))


def assert_backend_billed(record: Record, lines: list[dict[str, Any]]) -> None:
    """Check what the backend cost, beside the voice's time, by what the service has sent."""
    nested = [line["raw"]["event"] for line in lines if line["type"] == "response.event"]
    ended = [each["response"] for each in nested if each["type"] == "response.completed"]
    taken = sum(each["usage"]["input_tokens"] for each in ended)
    made = sum(each["usage"]["output_tokens"] for each in ended)
    assert min(taken, made) > 0
    assert record["tokens"] == {"in": {}, "out": {}, "cached": {}, "written": {}}
    assert record["backend_model"] == "gpt-5.6-luna"
    assert record["backend_tokens"]["in"] == {"text": taken}
    assert record["backend_tokens"]["out"] == {"text": made}
    backend_usd = (taken * 0.20 + made * 1.20) / 1e6  # its official page, 2026-11-24
    assert record["backend_cost_usd"] == pytest.approx(backend_usd)
    voice_usd = record["cost_usd"] - backend_usd
    assert 0 < voice_usd < record["duration_ms"] / 60_000 * 0.05


async def test_session_that_expires_is_changed_and_the_talk_goes_on(
    redis: LocalRedis, tmp_path: Path
) -> None:
    scenario = default_scenario().model_dump(mode="json", by_alias=True, exclude_unset=True)
    path = tmp_path / "scenario.yaml"
    path.write_text(json.dumps({**scenario, "session": {"lifetime_s": 12}}))
    with (
        simulating(tmp_path, path) as url,
        gateway_at(live_url(url), redis, tmp_path / "gateway") as gateway,
    ):
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)
            await calls.until_spoken(call_id, "agent", 1)
            await calls.until_told(call_id, "session_restored")
            caller.speak(say(QUESTION))
            assert await calls.until_spoken(call_id, "agent", 2) == ANSWER
            await caller.hang_up()
            await calls.until_ended(call_id)
        record = await gateway.record_of(call_id)
    assert len(record["sessions"]) >= 2
    starts = [
        line["raw"]["session"]
        for line in wire(tmp_path / "gateway", call_id)
        if line["direction"] == "sent" and line["raw"]["type"] == "session.start"
    ]
    assert starts[1]["input"][0]["content"][0]["text"] == GREETING
