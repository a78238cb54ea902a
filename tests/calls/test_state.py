"""Call state while Redis is in trouble, and after a gateway that was killed, in both dialects."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from bridge.audio.resample import downsample_whole
from bridge.bench.soak.troubles import TroubledRedis
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.support.gateways import CallsInRedis, Gateway, Record, serving, write_dialplan
from tests.support.machine import Timing
from tests.support.processes import run_to_end
from tests.support.rtp_caller import Heard, RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION = "Where is my order?"
ANSWER = "Your order shipped on Monday and should arrive on Thursday."
LONG_QUESTION = "What is your return policy?"

GAP_MS = 60
"""`NEEDS.md` section 5: what a phone's buffer bridges."""


DIALECTS = ("ga", "beta")


def start(
    place: Path, simulator: str, redis_url: str, *, node: str = "node", connect_timeout_s: float = 2
) -> AbstractContextManager[Gateway]:
    """Run a gateway with an arm and a number for each dialect."""
    place.mkdir(exist_ok=True)
    for dialect in DIALECTS:
        write_dialplan(place / "dialplans", name=dialect, called=dialect, arm=dialect)
    return serving(
        *(place, simulator, place / "dialplans"),
        redis_url=redis_url,
        environ={"BRIDGE_NODE": node},
        arms={
            dialect: {"dialect": dialect, "url": simulator, "api_key_env": "SIM_KEY"}
            for dialect in DIALECTS
        },
        redis={"heartbeat_ms": 500, "connect_timeout_s": connect_timeout_s},
    )


def speak(caller: RtpCaller, text: str) -> None:
    caller.speak(downsample_whole(Synthesizer("en-us", 150).say(text)))


def longest_gap_ms(heard: Sequence[Heard]) -> float:
    """Return the longest pause between two packets, in the order of their sending."""
    arrivals = [each.arrived_ns for each in sorted(heard, key=lambda each: each.sequence)]
    return max(abs(later - at) for at, later in pairwise(arrivals)) / 1e6


async def test_redis_in_trouble_is_not_heard_and_is_caught_up(
    simulator: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, timing: Timing
) -> None:
    """Stopped, frozen and full, each in the middle of a long answer of two calls."""
    redis = TroubledRedis(tmp_path_factory.mktemp("r"))
    whole: dict[str, list[Heard]] = {}
    states: dict[str, dict[str, str]] = {}
    try:
        with start(tmp_path, simulator, redis.url, connect_timeout_s=0.5) as gateway:
            async with CallsInRedis(redis.url) as calls, two_callers(gateway, calls) as talks:
                for caller, _ in talks.values():
                    speak(caller, LONG_QUESTION)
                await asyncio.gather(*(loud(caller, 25) for caller, _ in talks.values()))
                for spoil in (redis.stopped, redis.frozen, redis.full):
                    since = {name: len(caller.heard) for name, (caller, _) in talks.items()}
                    await spoil(1.0)
                    for name, (caller, _) in talks.items():
                        assert any(each.loud for each in caller.heard[since[name] :]), spoil
                    await gateway.until_ready(200)
                for name, (caller, call_id) in talks.items():
                    whole[name] = list(caller.heard)
                    await caller.hang_up()
                    states[name] = await calls.until_ended(call_id)
                    events = [fields for _, fields in await calls.reader.events(call_id)]
                    assert events[-1]["kind"] == "ended"
            records = await gateway.records(len(DIALECTS))

            async def caught_up() -> bool:
                return (await gateway.metrics()).value("bridge_store_pending_writes") == 0

            await wait_until(caught_up, "writes still wait")
            metrics = await gateway.metrics()
    finally:
        redis.close()
    for dialect in DIALECTS:
        timing.check("gap", longest_gap_ms(whole[dialect]), most_ms=GAP_MS)
        # The first Redis took with it what it had; the state was sent again, whole.
        state = states[dialect]
        assert (state["outcome"], state["dialect"]) == ("completed", dialect)
        assert int(state["last_user_audio_seq"]) > 100
    for record in records:
        assert [each["speaker"] for each in record["turns"]] == ["caller", "agent"] * 2
    assert metrics.value("bridge_store_dropped_writes_total") == 0
    timing.check_none("underruns", int(metrics.value("bridge_playout_underruns_total")))


async def loud(caller: RtpCaller, packets: int) -> None:
    """Wait for so many more loud packets."""
    count = sum(each.loud for each in caller.heard) + packets
    await caller.until(lambda: sum(each.loud for each in caller.heard) >= count)


@asynccontextmanager
async def two_callers(
    gateway: Gateway, calls: CallsInRedis
) -> AsyncIterator[dict[str, tuple[RtpCaller, str]]]:
    """Place a call in each dialect, asked and answered; give caller and call id."""
    talks: dict[str, tuple[RtpCaller, str]] = {}
    async with AsyncExitStack() as stack:
        for dialect in DIALECTS:
            caller = await stack.enter_async_context(RtpCaller(gateway.sip_port))
            assert await caller.call(dialect) == 200
            seen = [call_id for _, call_id in talks.values()]
            call_id = await calls.reader.wait_for_call(seen=seen, timeout_s=10)
            talks[dialect] = caller, call_id
        for caller, _ in talks.values():
            speak(caller, QUESTION)
        for _, call_id in talks.values():
            assert await calls.until_spoken(call_id, "agent") == ANSWER
        yield talks


async def kill_while_they_talk(gateway: Gateway, redis: LocalRedis) -> tuple[dict[str, str], int]:
    """Talk, be silent for a while, and kill the gateway; return call ids, and when (wall ms)."""
    async with CallsInRedis(redis.url) as calls, two_callers(gateway, calls) as talks:
        caller, _ = talks["ga"]
        silent = len(caller.heard) + 100
        await caller.until(lambda: len(caller.heard) >= silent)
        gateway.process.tell(signal.SIGKILL)
        killed_ms = time.time_ns() // 1_000_000
        await gateway.process.ended()
        for caller, _ in talks.values():
            caller.ended.set()  # there is nobody to say BYE to
        return {name: call_id for name, (_, call_id) in talks.items()}, killed_ms


def lines_of(gateway: Gateway) -> list[Record]:
    path = gateway.recordings / "calls.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def judge(line: Record, record: Record, call_id: str, killed_ms: int) -> Iterator[str]:
    """Yield what is wrong with the records of a lost call."""
    expected = {"call_id": call_id, "outcome": "node_lost", "fault": "bridge"}
    wrong = {name: line[name] for name, value in expected.items() if line[name] != value}
    if wrong:
        yield f"the line says {wrong}"
    late_ms = killed_ms - record["ended_at_ms"]
    if not -200 <= late_ms <= 1500:
        yield f"the record ends {late_ms} ms before the node did"
    if line["talk_ms"] != record["ended_at_ms"] - record["answered_at_ms"]:
        yield f"talked for {line['talk_ms']} ms"
    turns = [(each["speaker"], each["text"]) for each in record["turns"]]
    if turns != [("caller", QUESTION), ("agent", ANSWER)]:
        yield f"said: {turns}"
    if record["turns"][1]["latency_ms"] is None or record["turns"][1]["heard_ms"] < 2000:
        yield f"the answer was measured as {record['turns'][1]}"


async def test_calls_of_a_killed_gateway_have_their_records(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    """Another node sweeps them, and writes what Redis has of them to its own records."""
    with start(tmp_path / "doomed", simulator, redis.url, node="doomed") as doomed:
        call_ids, killed_ms = await kill_while_they_talk(doomed, redis)
    with start(tmp_path / "other", simulator, redis.url, node="other") as sweeper:
        await wait_until(lambda: len(lines_of(sweeper)) == 2, "no records of the lost calls")
        records = {name: await sweeper.record_of(each) for name, each in call_ids.items()}
        async with CallsInRedis(redis.url) as calls:
            assert not set(call_ids.values()) & set(await calls.reader.active())
        shown = run_to_end(
            *("calls", "show", call_ids["beta"], "--redis", redis.url, "--json"),
            directory=tmp_path,
        )
        lines = {line["call_id"]: line for line in lines_of(sweeper)}

    for dialect, call_id in call_ids.items():
        line = lines[call_id]
        assert list(judge(line, records[dialect], call_id, killed_ms)) == []
        assert (line["dialect"], line["reason"]) == (dialect, "heartbeat_lost")
    story = json.loads(shown.stdout)
    assert story["call"]["outcome"] == "node_lost"
    assert story["events"][-1]["kind"] == "ended"
