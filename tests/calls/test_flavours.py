"""Servers of each flavour over real SIP: a question, a tool, an interruption, another session.

The fixture servers are `bridge simulate --flavour`, written from the servers' own documentation and
as strict as that; what left the bridge is read off the calls' wire logs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.audio.resample import downsample_whole
from bridge.simulator.scenario import default_scenario
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.hook import Hook, hook
from tests.support.processes import SIMULATOR_KEY, simulating
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

Sent = dict[str, Any]  # Any: JSON as it was sent

LOOKUP = {
    "name": "lookup_invoice",
    "description": "Look up the caller's invoice.",
    "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
}
FUNCTION = {"type": "function", **LOOKUP}
NESTED = {"type": "function", "function": LOOKUP}
PCM = {"type": "audio/pcm", "rate": 24000}
ASKED = {
    "turn_detection": {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 500},
    "transcription": {"model": "gpt-transcribe", "language": "en"},
    "voice": "sage",
    "max_output_tokens": 900,
}
VAD = {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 500}
WORDS = {"model": "gpt-transcribe", "language": "en"}
OURS = {"create_response": False, "interrupt_response": False}
GA_SESSION = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "Be brief.",
    "audio": {
        "input": {"format": PCM, "transcription": WORDS, "turn_detection": {**VAD, **OURS}},
        "output": {"format": PCM, "voice": "sage"},
    },
    "tools": [FUNCTION],
    "max_output_tokens": 900,
}


@dataclass(frozen=True)
class Flavoured:
    """A flavour as a test has it.

    Attributes:
        session: the first update's, written by hand from the server's documentation.
        truncates: an answer that was cut off is truncated.
        server: of the simulator.
        query: that the server was asked with, but for what differs by call.
    """

    session: Sent
    truncates: bool = True
    arm: Mapping[str, object] = field(default_factory=dict)
    server: str = ""


FLAVOURS = {
    "azure": Flavoured(GA_SESSION),
    "xai": Flavoured(
        {
            "instructions": "Be brief.",
            "voice": "sage",
            "turn_detection": VAD,
            "audio": {
                "input": {"format": PCM, "transcription": {"language_hint": "en"}},
                "output": {"format": PCM},
            },
            "tools": [FUNCTION],
        }
    ),
    "inworld": Flavoured({**GA_SESSION, "model": "gpt-realtime-2.1"}),
    "qwen": Flavoured(
        {
            "modalities": ["text", "audio"],
            "instructions": "Be brief.",
            "voice": "sage",
            "input_audio_format": "pcm",
            "output_audio_format": "pcm",
            "input_audio_transcription": {"model": "gpt-transcribe"},
            "turn_detection": VAD,
            "tools": [NESTED],
            "max_tokens": 900,
        },
        truncates=False,
    ),
    "vllm-omni": Flavoured(
        {
            "type": "realtime",
            "model": "gpt-realtime-2.1",
            "output_modalities": ["audio"],
            "instructions": "Be brief.",
            "voice": "sage",
            "turn_detection": VAD,
            "input_audio_transcription": WORDS,
            "audio": {"input": {"format": {**PCM, "rate": 16000}}, "output": {"format": PCM}},
            "tools": [FUNCTION],
            "max_response_output_tokens": 900,
        },
    ),
    "localai": Flavoured(
        {
            **GA_SESSION,
            "audio": {
                "input": {"format": PCM, "transcription": WORDS, "turn_detection": VAD},
                "output": {"format": PCM, "voice": "sage"},
            },
        },
        truncates=False,
    ),
}
FLAVOURS["xai-old"] = Flavoured(FLAVOURS["xai"].session, server="xai-old")


@contextmanager
def server(directory: Path, flavour: str, **parts: object) -> Iterator[str]:
    """Run a fixture server with the usual scenario, but for some parts; give its URL."""
    directory.mkdir()
    scenario = default_scenario().model_dump(mode="json", by_alias=True, exclude_unset=True)
    path = directory / "scenario.yaml"
    path.write_text(json.dumps({**scenario, "flavour": flavour, **parts}))
    with simulating(directory, path) as url:
        yield url


@asynccontextmanager
async def gateway_at(
    url: str, redis: LocalRedis, directory: Path, flavour: str, hook: Hook, **agent: object
) -> AsyncIterator[Gateway]:
    webhook = {"url": hook.url, "allow_private": True, "retries": 0}
    asked = {**PLAIN_AGENT, **ASKED, "tools": [{**LOOKUP, "webhook": webhook}], **agent}
    arm = {"url": url, "flavour": flavour.removesuffix("-old"), "api_key_env": "SIM_KEY"}
    with serving(
        directory,
        url,
        write_dialplan(directory / "dialplans", asked),
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY},
        session={"wire_log_dir": str(directory / "wire")},
        arms={"local": arm},
    ) as gateway:
        yield gateway


async def wire(directory: Path, call_id: str) -> list[Sent]:
    path = directory / "wire" / f"{call_id}.jsonl"
    await wait_until(path.exists, "no wire log was written")
    return [json.loads(line) for line in path.read_text().splitlines()]


async def invoice() -> web.StreamResponse:
    return web.json_response({"amount": 42, "due": "Friday"})


async def ask_for_invoice(caller: RtpCaller, invoices: Hook) -> None:
    """Ask until the tool is called: a busy machine may garble a question."""
    for _ in range(4):
        caller.speak(said("How much is my invoice?"))
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                await invoices.begun.wait()
                return
    raise AssertionError("the tool was not called")


def said(sentence: str) -> Any:  # Any: samples
    return downsample_whole(Synthesizer("en-us", 150).say(sentence))


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_call_is_held_with_a_server_of_each_flavour(
    flavour: str, redis: LocalRedis, tmp_path: Path
) -> None:
    wanted = FLAVOURS[flavour]
    async with hook(invoice) as invoices:
        with server(tmp_path / "server", flavour) as url:
            async with (
                gateway_at(url, redis, tmp_path, flavour, invoices) as gateway,
                CallsInRedis(redis.url) as calls,
                RtpCaller(gateway.sip_port) as caller,
            ):
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                caller.speak(said("Where is my order?"))
                answer = await calls.until_spoken(call_id, "agent")
                await ask_for_invoice(caller, invoices)
                await calls.until_spoken(call_id, "agent", 2)
                await caller.hang_up()
                await calls.until_ended(call_id)
                record = await gateway.record_of(call_id)
    assert "Thursday" in answer
    assert record["outcome"] == "completed"
    lines = await wire(tmp_path, call_id)
    (first, *_) = [line["raw"] for line in lines if line["type"] == "session.update"]
    assert first["session"] == wanted.session
    errors = [line["raw"] for line in lines if line["type"] == "error"]
    assert errors == []


async def test_server_that_cannot_speak_first_answers_the_first_question_after_our_greeting(
    redis: LocalRedis, tmp_path: Path
) -> None:
    greeted = {"greeting": "Hello.", "greeting_by": "cached"}
    async with hook(invoice) as invoices:
        with server(tmp_path / "server", "vllm-omni") as url:
            async with (
                gateway_at(url, redis, tmp_path, "vllm-omni", invoices, **greeted) as gateway,
                CallsInRedis(redis.url) as calls,
                RtpCaller(gateway.sip_port) as caller,
            ):
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                assert await calls.until_spoken(call_id, "bridge") == "Hello."
                await caller.until(lambda: any(each.loud for each in caller.heard))
                caller.speak(said("Where is my order?"))
                answer = await calls.until_spoken(call_id, "agent")
                await caller.hang_up()
                await calls.until_ended(call_id)
    assert "Thursday" in answer
    passed = {line["type"] for line in await wire(tmp_path, call_id)}
    assert passed.isdisjoint({"error", "response.create", "response.cancel"})


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_caller_who_interrupts_is_answered_and_the_server_is_told_what_it_takes(
    flavour: str, redis: LocalRedis, tmp_path: Path
) -> None:
    async with hook(invoice) as invoices:
        with server(tmp_path / "server", flavour) as url:
            async with (
                gateway_at(url, redis, tmp_path, flavour, invoices) as gateway,
                CallsInRedis(redis.url) as calls,
                RtpCaller(gateway.sip_port) as caller,
            ):
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                caller.speak(said("What is your return policy?"))
                await caller.until(lambda: sum(each.loud for each in caller.heard) > 50)
                caller.speak(said("Where is my order?"))
                (cut, *_) = await calls.until_told(call_id, "interrupted")
                await calls.until_spoken(call_id, "agent", 2)
                await caller.hang_up()
                await calls.until_ended(call_id)
                record = await gateway.record_of(call_id)
    assert record["outcome"] == "completed"
    lines = await wire(tmp_path, call_id)
    truncated = [line["raw"] for line in lines if line["type"] == "conversation.item.truncate"]
    assert bool(truncated) == FLAVOURS[flavour].truncates
    # Both stop the answer where the service decides: what it has stopped can't be cancelled.
    errors = {line["raw"]["error"]["code"] for line in lines if line["type"] == "error"}
    assert errors <= {"response_cancel_not_active"}
    assert cut


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_talk_goes_on_in_the_session_that_follows_one_whose_life_is_over(
    flavour: str, redis: LocalRedis, tmp_path: Path
) -> None:
    async with hook(invoice) as invoices:
        with server(tmp_path / "server", flavour, session={"lifetime_s": 12}) as url:
            async with (
                gateway_at(url, redis, tmp_path, flavour, invoices) as gateway,
                CallsInRedis(redis.url) as calls,
                RtpCaller(gateway.sip_port) as caller,
            ):
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                caller.speak(said("Where is my order?"))
                await calls.until_spoken(call_id, "agent")
                await calls.until_told(call_id, "session_restored")
                await ask_for_invoice(caller, invoices)
                await caller.hang_up()
                await calls.until_ended(call_id)
                record = await gateway.record_of(call_id)
    assert record["outcome"] == "completed"
    lines = await wire(tmp_path, call_id)
    updates = [line["raw"]["session"] for line in lines if line["type"] == "session.update"]
    whole = [session for session in updates if len(session) > 1]
    assert len(whole) >= 2
    assert whole == [FLAVOURS[flavour].session] * len(whole)
    created = [line["raw"]["item"] for line in lines if line["type"] == "conversation.item.create"]
    told = json.dumps(created)
    assert "Thursday" in told
    roles = {item["role"] for item in created if item["type"] == "message"}
    assert (roles == {"user"}) == (flavour == "vllm-omni")
