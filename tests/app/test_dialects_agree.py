"""One caller, the same audio, both dialects: the calls that come of it are the same.

A real `bridge serve`, `bridge simulate` and SIP caller; the call's record and events are what is
compared, and, for tools and truncation, what went over the WebSocket. The caller speaks over one
answer that is still being made, and over one that was made long ago.
"""

import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.audio.resample import downsample_whole
from bridge.config.models import load_models
from bridge.simulator.scenario import default_scenario
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.realtime.official import DialectName
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, serving, write_dialplan
from tests.support.hook import Hook, hook
from tests.support.processes import simulating, write_yaml
from tests.support.relay import Relay, relaying
from tests.support.rtp_caller import RtpCaller

pytestmark = [
    *(pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow),
    pytest.mark.timeout(240),
]

DIALECTS: tuple[DialectName, ...] = ("beta", "ga")
FRAME_MS = 20

SPEEDUP = 2.0
"""The long answer (about 25 s) is made in 12 s, the one of medium length (about 5 s) in 2.5 s."""
EARLY_MS, LATE_MS = 2_500, 3_200
"""What the caller hears of the long answer, and of the other, before he speaks over it."""

HEARD_TOLERANCE_MS = 300
"""Of what was heard at an interruption: the answer ends when the server has heard the caller, which
it does in steps of the appends (20 ms) and of its own, on a machine that does other things."""
WORDS_TOLERANCE = 2
"""Of a text that was cut while it was made: what the server makes in the time above, twice as fast
as it is spoken."""

INVOICE = {"amount": "forty two", "due": "Monday"}

FOLLOWED = {
    "conversation.item.truncate",
    "conversation.item.create",
    "response.cancel",
    "response.create",
    "session.update",
}


@dataclass(frozen=True)
class Told:
    """What a call was, without a word of how its dialect puts it.

    Attributes:
        turns: speaker, text (without that of interrupted turns), whether interrupted.
        cut_texts: of the interrupted turns.
        states: every state of the turn machine.
        tools: name and arguments of each call that was finished.
        outputs: what the model was given for them.
        commands: what the gateway asked for, without its audio.
        truncated_ms: of the truncations.
        heard_ms: of the interrupted turns.
    """

    outcome: tuple[str, str]
    turns: list[tuple[str, str, bool]]
    cut_texts: list[str]
    states: list[str]
    tools: list[tuple[str, Any]]
    outputs: list[Any]
    interruptions: int
    commands: list[str]
    truncated_ms: list[int]
    heard_ms: list[int]


async def test_a_call_is_the_same_in_both_dialects(redis: LocalRedis, tmp_path: Path) -> None:
    scenario = default_scenario().model_dump(mode="json", exclude_none=True)
    scenario["pacing"]["speedup"] = SPEEDUP
    with simulating(tmp_path, write_yaml(tmp_path / "scenario.yaml", scenario)) as url:
        calls = [await place_call(url, redis.url, tmp_path, dialect) for dialect in DIALECTS]
    beta, ga = calls
    differences = [each.name for each in fields(Told) if not agree(each.name, beta, ga)]
    print(side_by_side(beta, ga))
    assert not differences, f"{', '.join(differences)} differ:\n{side_by_side(beta, ga)}"

    # The same, and what the script asks for.
    assert ga.outcome == ("completed", "end_call")
    assert [tool for tool, _ in ga.tools] == ["lookup_invoice", "end_call"]
    assert ga.outputs == [INVOICE]
    assert ga.interruptions == len(ga.truncated_ms) == len(ga.cut_texts) == 2
    assert [speaker for speaker, _, _ in ga.turns].count("caller") == 7
    for heard_ms, meant_ms in zip(ga.heard_ms, (EARLY_MS, LATE_MS), strict=True):
        assert meant_ms <= heard_ms < meant_ms + 1_000


async def place_call(url: str, redis_url: str, directory: Path, dialect: DialectName) -> Told:
    place = directory / dialect
    place.mkdir()
    async with (
        relaying(url) as (relay, relayed),
        CallsInRedis(redis_url) as calls,
        hook(lookup_invoice) as invoices,
    ):
        dialplans = write_dialplan(place / "dialplans", agent_with(invoices))
        arm = {
            "url": relayed,
            "api_key_env": "SIM_KEY",
            "dialect": dialect,
            "model": load_models().newest(dialect),
        }
        with serving(
            place,
            relayed,
            dialplans,
            preflight=False,
            redis_url=redis_url,
            environ={"HOOK_SECRET": "hook-secret-1"},
            arms={"local": arm},
        ) as gateway:
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                await converse(caller, calls, call_id)
                await caller.until(caller.ended.is_set)
            await calls.until_ended(call_id)
            record = await gateway.record_of(call_id)
            events = [told for _, told in await calls.reader.events(call_id)]
    return told_of(record, events, relay)


async def lookup_invoice() -> web.StreamResponse:
    return web.json_response(INVOICE)


def agent_with(invoices: Hook) -> dict[str, object]:
    webhook = {"url": invoices.url, "secret_env": "HOOK_SECRET", "allow_private": True}
    lookup = {
        "name": "lookup_invoice",
        "description": "Look an invoice up.",
        "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
        "webhook": webhook,
    }
    end = {"name": "end_call"}
    return {**PLAIN_AGENT, "greeting": "Hello there.", "tools": [lookup, end]}


async def converse(caller: RtpCaller, calls: CallsInRedis, call_id: str) -> None:
    """Say the caller's part; what he waits for is what he would hear."""
    answers = itertools.count(1)

    async def answered() -> None:
        await calls.until_spoken(call_id, "agent", next(answers))

    await answered()
    for question in ("Where is my order?", "How much is my invoice?"):
        say(caller, question)
        await answered()
    await answered()  # after the tool
    for question, after_ms in (
        ("What is your return policy?", EARLY_MS),
        ("When are you open?", LATE_MS),
    ):
        say(caller, question)
        await hear(caller, after_ms)
        say(caller, "Sorry, let me interrupt you there.")
        await answered()  # as far as it was heard
        await answered()
    say(caller, "That is all, thank you.")


def say(caller: RtpCaller, sentence: str) -> None:
    caller.speak(downsample_whole(Synthesizer("en-us", 150).say(sentence)))


async def hear(caller: RtpCaller, audio_ms: int) -> None:
    """Wait until the agent has begun to speak, and for so much of it, pauses included."""
    before = len(caller.heard)

    def begun() -> int | None:
        loud = (n for n in range(before, len(caller.heard)) if caller.heard[n].loud)
        return next(loud, None)

    await caller.until(lambda: begun() is not None)
    first = begun() or 0
    await caller.until(lambda: len(caller.heard) - first >= audio_ms // FRAME_MS)


def is_question(event: dict[str, Any]) -> bool:
    """Whether it only asks if the service lives: a busy machine's simulator may be slow to tell."""
    return not set(event.get("session", {"some": "settings"})) - {"type"}


def told_of(record: dict[str, Any], events: list[dict[str, str]], relay: Relay) -> Told:
    turns = record["turns"]
    calls = [
        event["item"]
        for event in relay.received
        if event["type"] == "response.output_item.done" and event["item"]["type"] == "function_call"
    ]
    sent = [event for event in relay.sent if event["type"] in FOLLOWED and not is_question(event)]
    return Told(
        outcome=(record["outcome"], record["reason"]),
        turns=[
            (turn["speaker"], "" if turn["interrupted"] else turn["text"], turn["interrupted"])
            for turn in turns
        ],
        cut_texts=[turn["text"] for turn in turns if turn["interrupted"]],
        states=without_pauses(event["new"] for event in events if event["kind"] == "phase"),
        tools=[(call["name"], json.loads(call["arguments"])) for call in calls],
        outputs=[
            json.loads(event["item"]["output"])
            for event in sent
            if event["type"] == "conversation.item.create"
        ],
        interruptions=record["interruptions"],
        commands=[event["type"] for event in sent],
        truncated_ms=[event["audio_end_ms"] for event in sent if "audio_end_ms" in event],
        heard_ms=[turn["heard_ms"] for turn in turns if turn["interrupted"]],
    )


def without_pauses(states: Iterable[str]) -> list[str]:
    """Return the states but for gaps in an answer: a busy machine makes them, no dialect does."""
    kept: list[str] = []
    for state in states:
        if kept[-2:] == ["speaking", "thinking"] and state == "speaking":
            kept.pop()
        else:
            kept.append(state)
    return kept


def agree(name: str, beta: Told, ga: Told) -> bool:
    """Say whether the two calls tell the same under this name."""
    one, other = getattr(beta, name), getattr(ga, name)
    match name:
        case "truncated_ms" | "heard_ms":
            return len(one) == len(other) and all(
                abs(a - b) <= HEARD_TOLERANCE_MS for a, b in zip(one, other, strict=True)
            )
        case "cut_texts":
            return len(one) == len(other) and all(map(_same_but_for_the_end, one, other))
        case _:
            return bool(one == other)


def _same_but_for_the_end(one: str, other: str) -> bool:
    short, long = sorted((one.split(), other.split()), key=len)
    return long[: len(short)] == short and len(long) - len(short) <= WORDS_TOLERANCE


def side_by_side(beta: Told, ga: Told) -> str:
    lines = [f"{'':<14}{'beta':<70}ga"]
    for name in asdict(beta):
        columns = [_cells(getattr(each, name)) for each in (beta, ga)]
        for place, (one, other) in enumerate(itertools.zip_longest(*columns, fillvalue="-")):
            mark = " " if one == other else "*"
            lines.append(f"{'' if place else name:<13}{mark}{one[:68]:<70}{other[:68]}")
    return "\n".join(lines)


def _cells(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
