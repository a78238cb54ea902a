"""`bridge calls` against a real Redis that a gateway's store has written to."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli.calls import calls
from bridge.clock import NS_PER_MS, SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.calls import CallStore
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis, start_local_redis

pytestmark = pytest.mark.redis

ENDED, GOING_ON = "c_0123456789abcdef", "c_fedcba9876543210"
MEASURED = (
    {"capture": 40.0, "endpoint": 560.0, "model": 250.0, "playback": 150.0, "response": 1000.0},
    {"endpoint": 300.0, "model": 200.0, "response": 500.0},
)


@pytest.fixture(scope="module")
def redis() -> Iterator[LocalRedis]:
    with start_local_redis() as server:
        asyncio.run(_write(server.url))
        yield server


async def _write(url: str) -> None:
    async for store in _store(url):
        for call_id in (ENDED, GOING_ON):
            store.begin(call_id, {"dialplan": "support", "arm": "ga", "phase": "idle"})
            store.event(call_id, "phase", {"old": "idle", "new": "listening", "cause": "answered"})
        for text in ("Where is", "Where is my order?"):
            said = {"speaker": "caller", "item_id": "i1", "text": text}
            store.event(ENDED, "turn", said)
        for measured in MEASURED:
            store.event(ENDED, "measured", {f"{name}_ms": f"{ms}" for name, ms in measured.items()})
        figures = {"response_p95_ms": 1000, "longest_silence_ms": 2600}
        store.event(ENDED, "ended", {"outcome": "session_lost", **figures})
        store.end(ENDED, {"outcome": "session_lost", "fault": "provider"})


async def _store(url: str) -> AsyncIterator[CallStore]:
    store = CallStore(RedisSettings(), url, "node-1", clock=SystemClock())
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


def bridge_calls(*arguments: str) -> Result:
    return CliRunner().invoke(calls, list(arguments))


def test_the_list_has_calls_that_go_on_first_and_then_those_that_ended(redis: LocalRedis) -> None:
    result = bridge_calls("list", "--redis", redis.url)
    assert result.exit_code == 0
    assert result.output.index(GOING_ON) < result.output.index(ENDED)
    assert "session_lost" in result.output
    assert "provider" in result.output
    assert ENDED not in bridge_calls("list", "--active", "--redis", redis.url).output


async def _beat_of(link_url: str, node: str, age_ms: int) -> None:
    link = RedisLink(link_url, timeout_s=2.0)
    at_ms = SystemClock().wall_ns() // NS_PER_MS - age_ms
    await link.ask(["ZADD", "bridge:nodes", "0", node])
    await link.ask(["HSET", f"bridge:node:{node}", "updated_at", str(at_ms), "troubles", ""])
    await link.aclose()


def test_a_heartbeat_is_old_by_the_settings_of_the_gateways(tmp_path: Path) -> None:
    settings = tmp_path / "bridge.yaml"
    settings.write_text("redis: {heartbeat_ms: 500}\n")
    with start_local_redis() as server:
        asyncio.run(_beat_of(server.url, "mute", 10_000))
        told = bridge_calls("list", "--redis", server.url, "--config", str(settings)).stderr
        assert "node mute: its last heartbeat is 1" in told
        assert bridge_calls("list", "--redis", server.url).stderr == ""


def test_the_list_as_json(redis: LocalRedis) -> None:
    found = json.loads(bridge_calls("list", "--json", "--redis", redis.url).output)
    assert [each["call_id"] for each in found] == [GOING_ON, ENDED]
    assert found[1]["outcome"] == "session_lost"


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--arm", "ga"], [GOING_ON, ENDED]),
        (["--arm", "beta"], []),
        (["--outcome", "session_lost"], [ENDED]),
        (["--outcome", "completed"], []),
        (["--fault", "provider"], [ENDED]),
        (["--fault", "caller"], []),
        (["--slower-than", "999"], [ENDED]),
        (["--slower-than", "1000"], []),
        (["--silence-over", "2000"], [ENDED]),
        (["--silence-over", "2600"], []),
        (["--fault", "provider", "--slower-than", "5000"], []),
    ],
)
def test_the_list_is_filtered(redis: LocalRedis, filters: list[str], found: list[str]) -> None:
    listed = bridge_calls("list", *filters, "--json", "--redis", redis.url)
    assert [each["call_id"] for each in json.loads(listed.output)] == found


def test_the_list_has_the_figures_of_calls_that_ended(redis: LocalRedis) -> None:
    lines = bridge_calls("list", "--redis", redis.url).output.splitlines()
    (ended,) = (line for line in lines if ENDED in line)
    assert "1000 ms" in ended
    assert "2600 ms" in ended


def test_a_call_is_shown_by_the_beginning_of_its_id(redis: LocalRedis) -> None:
    output = bridge_calls("show", ENDED[:6], "--redis", redis.url).output
    assert "Where is my order?" in output
    assert "Where is\n" not in output  # replaced by the whole turn
    assert "ended" in output


def test_turns_are_drawn_as_a_waterfall_with_their_percentiles(redis: LocalRedis) -> None:
    lines = bridge_calls("show", ENDED, "--redis", redis.url).output.splitlines()
    slow, fast = (line for line in lines if "█" in line)
    assert "1000 ms (capture 40, endpoint 560, model 250, playback 150)" in slow
    assert "500 ms (endpoint 300, model 200)" in fast
    assert slow.count("█") == 2 * fast.count("█")  # to scale
    (inference,) = (line.split() for line in lines if line.split()[:1] == ["inference"])
    assert inference[1:3] == ["500", "810"]


def test_turns_as_json_have_stages_and_percentiles(redis: LocalRedis) -> None:
    shown = json.loads(bridge_calls("show", ENDED, "--json", "--redis", redis.url).output)
    latency = shown["latency"]
    assert [turn["response_ms"] for turn in latency["turns"]] == [1000.0, 500.0]
    assert latency["turns"][1]["stages_ms"] == {"endpoint": 300.0, "model": 200.0}
    assert latency["stages"]["endpoint"] == {"turns": 2, "p50_ms": 300.0, "p95_ms": 560.0}
    assert latency["drift_ms_per_min"] is None  # two turns make no drift


def test_a_call_as_json_has_its_events_in_order(redis: LocalRedis) -> None:
    shown = json.loads(bridge_calls("show", ENDED, "--json", "--redis", redis.url).output)
    assert shown["call"]["fault"] == "provider"
    assert [each["kind"] for each in shown["events"]] == [
        "phase", "turn", "turn", "measured", "measured", "ended",
    ]  # fmt: skip
    assert all(each["at_ms"] >= 0 for each in shown["events"])


def test_waterfall_is_drawn_as_png(redis: LocalRedis, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "call.png"
    result = bridge_calls("show", ENDED, "--png", str(path), "--redis", redis.url)
    assert result.exit_code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_call_without_measured_turns_has_no_waterfall_to_draw(
    redis: LocalRedis, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "call.png"
    result = bridge_calls("show", GOING_ON, "--png", str(path), "--redis", redis.url)
    assert result.exit_code == 2
    assert "no measured turn" in result.output
    assert not path.exists()


def test_following_a_call_ends_with_it(redis: LocalRedis) -> None:
    lines = bridge_calls("tail", ENDED, "--json", "--redis", redis.url).output.splitlines()
    assert [json.loads(line)["kind"] for line in lines][-1] == "ended"


@pytest.mark.parametrize(("beginning", "count"), [("c_nobody", "no call"), ("c_", "2 calls")])
def test_an_unknown_or_ambiguous_call_is_said_so(
    redis: LocalRedis, beginning: str, count: str
) -> None:
    result = bridge_calls("show", beginning, "--redis", redis.url)
    assert result.exit_code == 2
    assert count in result.output
    assert "bridge calls list" in result.output


def test_without_a_redis_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRIDGE_REDIS_URL", raising=False)
    result = bridge_calls("list")
    assert result.exit_code == 2
    assert "--redis" in result.output


def test_a_redis_that_is_away_is_an_infrastructure_error() -> None:
    result = bridge_calls("list", "--redis", "redis://127.0.0.1:1")
    assert result.exit_code == 3
    assert "error:" in result.output


def test_nodes_with_which_something_is_wrong_are_named_on_standard_error() -> None:
    with start_local_redis() as other:
        link = RedisLink(other.url, timeout_s=2)

        async def write() -> None:
            now_ms = SystemClock().wall_ns() // 1_000_000
            await link.ask(["ZADD", "bridge:nodes", 0, "sick"])
            await link.ask(
                ["HSET", "bridge:node:sick", "updated_at", now_ms, "troubles", "disk full"]
            )
            await link.aclose()

        asyncio.run(write())
        result = bridge_calls("list", "--json", "--redis", other.url)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    assert result.stderr == "node sick: disk full\n"
