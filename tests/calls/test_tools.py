"""Tools over real SIP, in both dialects: the model calls, a real HTTP endpoint answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
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
from tests.support.signatures import HEADER, is_signed

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION = "How much is my invoice?"
BEFORE = "One moment, I will look that up."
FILLER = "I am still looking."
SECRET = "hook-secret-1"
ENVIRON = {"HOOK_SECRET": SECRET, "SIM_KEY": SIMULATOR_KEY}


@asynccontextmanager
async def gateway_with(
    hook: Hook, simulator: str, redis: LocalRedis, dialect: str, directory: Path, **changes: object
) -> AsyncIterator[Gateway]:
    webhook = {"url": hook.url, "secret_env": "HOOK_SECRET", "allow_private": True, "retries": 0}
    tool = {
        "name": "lookup_invoice",
        "description": "Look up the caller's invoice.",
        "parameters": {
            "type": "object",
            "properties": {"which": {"type": "string", "enum": ["latest", "first"]}},
            "required": ["which"],
        },
        "webhook": webhook,
        **changes,
    }
    agent = {**PLAIN_AGENT, "tools": [tool]}
    arm = {"dialect": dialect, "url": simulator, "api_key_env": "SIM_KEY"}
    with serving(
        directory,
        simulator,
        write_dialplan(directory / "dialplans", agent),
        redis_url=redis.url,
        environ=ENVIRON,
        arms={"local": arm},
    ) as gateway:
        yield gateway


async def ask(
    gateway: Gateway, redis_url: str, turns: int, until: asyncio.Event | None = None
) -> tuple[Record, list[dict[str, str]], list[str]]:
    """Place a call that asks for the invoice and waits for so many turns of the agent.

    Args:
        until: hang up when this is set.

    Returns:
        The record, the events in Redis, what the agent said.
    """
    async with CallsInRedis(redis_url) as calls, RtpCaller(gateway.sip_port) as caller:
        assert await caller.call() == 200
        call_id = await calls.until_active(gateway.node)
        caller.speak(downsample_whole(Synthesizer("en-us", 150).say(QUESTION)))
        said = [await calls.until_spoken(call_id, "agent", nth) for nth in range(1, turns + 1)]
        if until is not None:
            await asyncio.wait_for(until.wait(), 60)
        await caller.hang_up()
        await calls.until_ended(call_id)
        events = [fields for _, fields in await calls.reader.events(call_id)]
    return await gateway.record_of(call_id), events, said


async def test_a_tools_answer_is_spoken_and_everything_about_it_is_recorded(
    simulator: str, redis: LocalRedis, dialect: str, tmp_path: Path
) -> None:
    async def answer() -> web.StreamResponse:
        return web.json_response({"amount": "forty two", "due": "Monday", "account": "12345678"})

    async with (
        hook(answer) as endpoint,
        gateway_with(endpoint, simulator, redis, dialect, tmp_path) as gateway,
    ):
        record, events, said = await ask(gateway, redis.url, 2)
        metrics = await gateway.metrics()
    assert said == [BEFORE, "Your invoice is forty two dollars, and it is due on Monday."]
    [(headers, body)] = endpoint.came
    content = json.loads(body)
    assert content["arguments"] == {"which": "latest"}
    assert content["call"]["call_id"] == record["call_id"]
    now_s = int(headers[HEADER].split(",")[0].removeprefix("t="))
    assert is_signed(SECRET, body, headers[HEADER], now_s)
    assert [(each["name"], each["ok"]) for each in record["tools"]] == [("lookup_invoice", True)]
    kinds = [each["kind"] for each in events]
    assert kinds.index("tool_called") < kinds.index("tool_ended")
    told = {each["kind"]: json.loads(each["text"]) for each in events if "tool_call" in each}
    assert told == {
        "tool_arguments": {"which": "latest"},
        "tool_output": {"amount": "forty two", "due": "Monday", "account": "[account]"},
    }
    assert metrics.value("bridge_tool_calls_total", tool="lookup_invoice", result="ok") == 1
    figures = json.loads(
        (gateway.recordings / "metrics" / f"session_{record['call_id']}.json").read_text()
    )
    assert figures["function_success_rate"] == 1.0
    assert SECRET not in gateway.process.stderr


async def test_a_tool_that_fails_is_an_answer_and_the_talk_goes_on(
    simulator: str, redis: LocalRedis, dialect: str, tmp_path: Path
) -> None:
    async def answer() -> web.StreamResponse:
        return web.Response(status=500)

    async with (
        hook(answer) as endpoint,
        gateway_with(endpoint, simulator, redis, dialect, tmp_path) as gateway,
    ):
        record, events, said = await ask(gateway, redis.url, 2)
    assert said[0] == BEFORE
    assert len(said) == 2  # the model was told, and spoke about it
    assert record["tools"][0]["ok"] is False
    [ended] = [each for each in events if each["kind"] == "tool_ended"]
    assert ended["result"] == "http_500"


async def test_while_a_tool_takes_its_time_the_caller_hears_the_filler(
    simulator: str, redis: LocalRedis, dialect: str, tmp_path: Path
) -> None:
    go_on = asyncio.Event()

    async def answer() -> web.StreamResponse:
        await asyncio.sleep(4.0)  # longer than the filler waits
        go_on.set()
        return web.json_response({"amount": "seven", "due": "Friday"})

    async with (
        hook(answer) as endpoint,
        gateway_with(endpoint, simulator, redis, dialect, tmp_path, filler=FILLER) as gateway,
    ):
        record, _, said = await ask(gateway, redis.url, 2)
    assert said[1] == "Your invoice is seven dollars, and it is due on Friday."
    spoken = [(each["speaker"], each["text"]) for each in record["turns"]]
    assert spoken.index(("bridge", FILLER)) < spoken.index(("agent", said[1]))


async def test_a_call_that_ends_ends_its_tools(
    simulator: str, redis: LocalRedis, dialect: str, tmp_path: Path
) -> None:
    async def answer() -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.json_response({})

    async with (
        hook(answer) as endpoint,
        gateway_with(endpoint, simulator, redis, dialect, tmp_path) as gateway,
    ):
        record, _, _ = await ask(gateway, redis.url, 1, endpoint.begun)
    assert record["outcome"] == "completed"
    assert [(each["name"], each["ok"]) for each in record["tools"]] == [("lookup_invoice", False)]


async def test_a_missing_secret_is_an_error_before_any_call(
    simulator: str, redis: LocalRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRON, "HOOK_SECRET", "")
    endpoint = Hook(lambda: asyncio.sleep(0, web.Response()), "https://tools.example.com/invoices")
    with pytest.raises(AssertionError, match=r"test.yaml:\d+: .*HOOK_SECRET is not set"):
        async with gateway_with(endpoint, simulator, redis, "ga", tmp_path):
            pass
