"""Calls with a full-duplex service over real SIP: who speaks, what is heard, tools, losses."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.audio.resample import downsample_whole
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
from tests.support.hook import Hook, hook
from tests.support.processes import SIMULATOR_KEY
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
    url: str, redis: LocalRedis, directory: Path, *, tools: list[Any] | None = None, **agent: object
) -> Iterator[Gateway]:
    arm = {
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


async def test_greeting_question_and_answer(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    with gateway_at(live_url(simulator), redis, tmp_path) as gateway:
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)
            assert await calls.until_spoken(call_id, "agent", 1) == GREETING
            caller.speak(say(QUESTION))
            assert await calls.until_spoken(call_id, "agent", 2) == ANSWER
            await caller.hang_up()
            await calls.until_ended(call_id)
        record = await gateway.record_of(call_id)
    print(json.dumps(record, indent=1)[:4000])
    for line in wire(tmp_path, call_id):
        if "raw" in line and line["raw"]["type"] not in ("session.output_audio.delta", "session.input_audio.append"):
            print(line["direction"], json.dumps(line["raw"])[:300])
    assert spoken(record, "caller") == [QUESTION]
