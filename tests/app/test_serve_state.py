"""What a gateway tells about a real conversation: Redis, `/metrics`, the record, the recording."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.audio.resample import downsample_whole
from bridge.audio.wav import read_wav
from bridge.config.settings import MediaSettings
from bridge.simulator.scenario import default_scenario
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import Synthesizer
from bridge.store.client import RedisLink
from bridge.store.keys import CALL_FIELDS, Keys
from bridge.store.local import LocalRedis, start_local_redis
from tests.support.gateways import CallsInRedis, Gateway, Overrides, serving, write_dialplan
from tests.support.redis_servers import redis_server
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION = "Where is my order?"
ANSWER = "Your order shipped on Monday and should arrive on Thursday."

PROBES = ("/healthz", "/readyz")

# Of dialplans that tell their callers something first.
OF_CONSENT = {"consent", "consent_version"}
OF_ROLLOUTS = frozenset(
    {"rollout", "rollout_reason", "rollout_version", "rescued_by"}
    | {"rollout_share", "rollout_caller", "rollout_counted"}
)
"""Fields of calls whose arm a flag deals."""
OF_TRUNKS = {"asserted", "privacy", "diversion", "history_info", "user_to_user", "headers"}
"""Fields of calls whose INVITE says more about its caller, or how they came here."""

OF_HANDOFFS = frozenset(field for field in CALL_FIELDS if field.startswith("handoff_"))
OF_PEOPLE = frozenset(
    {"waiting_since_at", "watchers", "watched_by", "watched_since", "flagged", "handled_by"}
    | {"hold", "muted"}
    | {"wrap_up_code", "wrap_up_note", "wrapped_up_by", "wrapped_up_at"}
).union(OF_HANDOFFS)
"""Fields of calls that somebody looked at, or took."""


@asynccontextmanager
async def talking(gateway: Gateway, redis_url: str) -> AsyncIterator[tuple[RtpCaller, str]]:
    """Place a call in which a question was asked and answered; give caller and call id."""
    async with CallsInRedis(redis_url) as calls, RtpCaller(gateway.sip_port) as caller:
        assert await caller.call() == 200
        call_id = await calls.until_active(gateway.node)
        caller.speak(downsample_whole(Synthesizer("en-us", 150).say(QUESTION)))
        assert await calls.until_spoken(call_id, "caller") == QUESTION
        assert await calls.until_spoken(call_id, "agent") == ANSWER
        yield caller, call_id


async def test_a_conversation_is_told_everywhere(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url) as gateway:
        begun_ms = time.time_ns() // 1_000_000
        async with CallsInRedis(redis.url) as calls:
            async with talking(gateway, redis.url) as (caller, call_id):
                during = await calls.reader.call(call_id)
                ttl_during_s = await _ttl_s(redis.url, call_id)
                node = await calls.reader.node(gateway.node)
                await caller.hang_up()
            after = await calls.until_ended(call_id)
            ttl_after_s = await _ttl_s(redis.url, call_id)
            events = [fields for _, fields in await calls.reader.events(call_id)]
        ended_ms = time.time_ns() // 1_000_000
        record = await gateway.record_of(call_id)
        metrics = await gateway.metrics()
        logged = gateway.process.logged

    # Redis: every field of `ARCHITECTURE.md` section 5, the sequences of appends and deltas.
    assert during is not None
    of_others = OF_CONSENT | OF_ROLLOUTS | OF_TRUNKS | OF_PEOPLE
    assert after.keys() == CALL_FIELDS - of_others
    assert (after["call_id"], after["node"], after["arm"]) == (call_id, gateway.node, "local")
    assert (after["dialplan"], after["dialect"]) == ("test", "ga")
    assert (during["phase"], after["phase"]) == ("listening", "ended")
    assert (after["outcome"], after["fault"]) == ("completed", "none")
    assert after["session_id"].startswith("sess_")
    assert after["conversation_id"].startswith("conv_")
    assert after["item_id"].startswith("item_")
    times_ms = [int(after[name]) for name in ("started_at", "answered_at", "ended_at")]
    assert begun_ms <= times_ms[0] <= times_ms[1] <= times_ms[2] <= ended_ms
    talked_ms = times_ms[2] - times_ms[1]
    append_ms = MediaSettings().append_ms_for(4)
    sent_ms = int(after["last_user_audio_seq"]) * append_ms
    assert sent_ms == pytest.approx(talked_ms, abs=500)
    assert int(after["last_agent_audio_seq"]) > 10
    assert int(after["last_user_audio_seq"]) >= int(during["last_user_audio_seq"])
    assert ttl_during_s == -1  # a call that goes on doesn't expire
    assert 0 < ttl_after_s <= 24 * 3600
    assert node is not None
    assert (node["active"], node["draining"]) == ("1", "0")
    kinds = [each["kind"] for each in events]
    assert {"phase", "turn", "ended"} <= set(kinds)
    assert kinds[-1] == "ended"

    # The record, and the recording: caller left, agent as heard right.
    turns = [(each["speaker"], each["text"]) for each in record["turns"]]
    assert turns == [("caller", QUESTION), ("agent", ANSWER)]
    assert record["outcome"] == "completed"
    assert record["turns"][1]["latency_ms"] > 0
    assert abs(int(after["played_ms"]) - record["turns"][1]["heard_ms"]) <= 20
    samples, rate_hz = read_wav(record["recording"])
    assert (rate_hz, samples.shape[1]) == (8000, 2)
    assert len(samples) / 8 == pytest.approx(talked_ms, abs=500)
    hears = Recognizer([QUESTION, ANSWER], default_scenario().pronunciations)
    assert [piece.text for piece in hears.hear_all(samples[:, 0], rate_hz)] == [QUESTION]
    assert [piece.text for piece in hears.hear_all(samples[:, 1], rate_hz)] == [ANSWER]

    # The figures beside it: a file for reports, a line a call, the last event in Redis.
    figures = json.loads((gateway.recordings / "metrics" / f"session_{call_id}.json").read_text())
    assert figures["average_response_latency"] == record["turns"][1]["latency_ms"] / 1000
    assert figures["tokens"]["in"]["audio"] > 0
    assert figures["tokens"]["out"]["audio"] > 0
    assert figures["estimated_cost"] > 0
    assert figures["function_success_rate"] is None  # no tool was called
    assert (figures["turns"], figures["interruptions"]) == (2, 0)
    assert figures["estimated_mos"]["in"] > 4.2
    [line] = (gateway.recordings / "calls.jsonl").read_text().splitlines()
    detail = json.loads(line)
    assert detail["call_id"] == call_id
    assert detail["started_at"] < detail["answered_at"] < detail["ended_at"]
    assert detail["talk_ms"] == talked_ms
    assert events[-1]["cost_usd"] == f"{record['cost_usd']:.6f}" == detail["cost_usd"]

    # Metrics.
    assert metrics.value("bridge_rtp_packets_total", direction="in") > 100
    assert metrics.value("bridge_rtp_lost_packets_total") == 0
    assert metrics.value("bridge_call_mos_count", direction="in") == 1
    assert metrics.value("bridge_one_way_audio_calls_total") == 0
    for name in ("calls_offered_total", "calls_answered_total"):
        assert metrics.value(f"bridge_{name}", route="test", arm="local") == 1
    ended = {"outcome": "completed", "reason": "caller_hung_up", "fault": "none"}
    assert metrics.value("bridge_calls_ended_total", **ended) == 1
    assert metrics.value("bridge_calls_active") == 0
    assert metrics.value("bridge_calls_limit") == 4
    assert metrics.value("bridge_turn_response_seconds_count") == 1
    assert metrics.value("bridge_upstream_errors_total") == 0
    assert metrics.value("bridge_upstream_unknown_events_total") == 0
    assert metrics.value("bridge_turn_transitions_refused_total") == 0
    assert metrics.value("bridge_store_dropped_writes_total") == 0

    # Logs: one line a step, nobody's words or number.
    steps = [each["event"] for each in logged if each.get("call_id") == call_id]
    assert steps == ["call_offered", "call_answered", "call_ended"]
    assert [each for each in logged if "call_id" not in each] == []
    for private in (QUESTION, ANSWER, "sip:test"):
        assert private not in gateway.process.stderr


async def test_a_redis_outage_is_not_heard_and_is_caught_up(
    simulator: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("r")
    dialplans = write_dialplan(tmp_path / "dialplans")
    first = start_local_redis(place)
    try:
        with serving(tmp_path, simulator, dialplans, redis_url=first.url) as gateway:
            async with talking(gateway, first.url) as (caller, call_id):
                first.stop()
                loud_before = sum(each.loud for each in caller.heard)
                caller.speak(downsample_whole(Synthesizer("en-us", 150).say(QUESTION)))
                await caller.until(
                    lambda: sum(each.loud for each in caller.heard) > loud_before + 50
                )
                await gateway.until_away("unreachable")
                assert [(await gateway.get(each))[0] for each in PROBES] == [200, 200]
            record = await gateway.record_of(call_id)
            assert [each["speaker"] for each in record["turns"]] == ["caller", "agent"] * 2

            with start_local_redis(place) as second:
                assert second.url == first.url
                await gateway.until_back()
                async with CallsInRedis(second.url) as calls:
                    state = await calls.until_ended(call_id)
        assert state["outcome"] == "completed"
    finally:
        first.stop()


async def test_an_idle_gateway_tells_that_redis_is_away(simulator: str, tmp_path: Path) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with (
        start_local_redis() as redis,
        serving(tmp_path, simulator, dialplans, redis_url=redis.url) as gateway,
    ):
        redis.stop()
        await gateway.until_away("unreachable")
        assert [(await gateway.get(each))[0] for each in PROBES] == [200, 200]


async def test_a_site_may_want_no_calls_without_redis(simulator: str, tmp_path: Path) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    kept: Overrides = {"ready_without": False}
    with (
        start_local_redis() as redis,
        serving(tmp_path, simulator, dialplans, redis_url=redis.url, redis=kept) as gateway,
    ):
        assert (await gateway.get("/readyz"))[0] == 200
        redis.stop()
        await gateway.until_ready(503, "Redis is away: unreachable")
        assert (await gateway.get("/healthz"))[0] == 200


async def test_a_password_that_changed_while_calls_went_on_is_told(
    simulator: str, tmp_path: Path
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with redis_server("--requirepass", "first") as redis:
        url = f"redis://:first@127.0.0.1:{redis.port}"
        with serving(tmp_path, simulator, dialplans, redis_url=url) as gateway:
            redis.stop()
            await gateway.until_away("unreachable")
            redis.start("--requirepass", "second")
            await gateway.until_away("password_refused")
            metrics = await gateway.metrics()
            assert metrics.value("bridge_store_away", reason="unreachable") == 0
            told = [str(each["event"]) for each in gateway.process.logged]
            assert any("refused the user or the password" in each for each in told), told
            assert "first" not in gateway.process.stderr
            redis.stop()
            redis.start("--requirepass", "first")
            await gateway.until_back()


async def _ttl_s(url: str, call_id: str) -> int:
    link = RedisLink(url, timeout_s=2)
    try:
        ttl_s = await link.ask(["TTL", Keys("bridge:").call(call_id)])
    finally:
        await link.aclose()
    assert isinstance(ttl_s, int)
    return ttl_s
