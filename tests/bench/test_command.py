"""`bridge bench` from end to end, with few calls: that it measures, tells, and leaves nothing."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.support.collector import collecting
from tests.support.processes import Ended, run_to_end, spawn
from tests.support.waiting import wait_until

pytestmark = [
    *(pytest.mark.sip, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(240)),
    pytest.mark.skipif(sys.platform != "linux", reason="the callers need Linux"),
]


def run_bench(directory: Path, *arguments: str) -> Ended:
    return run_to_end("bench", "--json", *arguments, directory=directory)


@pytest.mark.parametrize("dialect", ["ga", "live", pytest.param("beta", marks=pytest.mark.nightly)])
def test_three_ways_are_measured(dialect: str, tmp_path: Path) -> None:
    arguments = ("--calls", "2", "--rate", "10", "--hold-s", "3", "--no-climb")

    ended = run_bench(tmp_path, *arguments, "--dialect", dialect, "--report", "report")

    assert ended.stdout, ended.stderr
    result = json.loads(ended.stdout)
    assert ended.code == (2 if result["doubts"] else 0 if result["ok"] else 1)
    assert ended.left == []
    assert json.loads((tmp_path / "report" / "bench.json").read_text()) == result
    assert set(result["ways"]) == {"floor", "bridge", "plain"}
    for name, way in result["ways"].items():
        window, calls = way["window"], way["spent"]["calls"]
        assert way["setup"]["refused"] == [], name
        assert window["packets"] > 100 * calls, name  # of 150 that 3 s have
        assert way["spent"]["cpu_percent"] > 0, name
    for name in ("bridge", "plain"):
        assert 0.8 < result["ways"][name]["spent"]["uplink_share"] < 1.2, name
    inside = result["ways"]["bridge"]["inside"]
    assert inside["up_p50_ms"] is not None
    assert inside["down_p50_ms"] is not None, "no answer was heard"
    assert result["ratios"]["bridge_cpu_to_floor_cpu"] > 0


def test_calls_of_another_audio_are_measured_beside_ordinary_ones(tmp_path: Path) -> None:
    ended = run_bench(tmp_path, "--audio", "pcmu", "--calls", "2", "--rate", "10", "--hold-s", "2")

    assert ended.stdout, ended.stderr
    result = json.loads(ended.stdout)
    assert ended.left == []
    assert set(result["ways"]) == {"bridge", "pcmu"}
    for name, way in result["ways"].items():
        assert way["setup"]["refused"] == [], name
        assert 0.8 < way["spent"]["uplink_share"] < 1.2, name  # counted by each one's format
    assert len(result["pairs"]) == 4
    assert result["ratios"]["pcmu_cpu_to_pcm24k_cpu"] > 0


async def test_traced_calls_are_measured_beside_others(tmp_path: Path) -> None:
    plan = ("--calls", "2", "--rate", "10", "--hold-s", "2")
    async with collecting() as collector:
        arguments = ("--traces", collector.url, *plan)
        ended = await asyncio.to_thread(run_bench, tmp_path, *arguments)

    assert ended.stdout, ended.stderr
    result = json.loads(ended.stdout)
    assert ended.left == []
    assert set(result["ways"]) == {"bridge", "traced"}
    assert len(result["pairs"]) == 4
    assert result["ratios"]["traced_cpu_to_untraced_cpu"] > 0
    assert len(collector.named("call")) == 4 * 2, "one gateway's calls, and not the other's"


@pytest.mark.capacity
@pytest.mark.nightly
def test_secure_calls_are_measured_beside_plain_ones(tmp_path: Path) -> None:
    ended = run_bench(tmp_path, "--secure", "--calls", "2", "--rate", "10", "--hold-s", "3")

    assert ended.stdout, ended.stderr
    result = json.loads(ended.stdout)
    assert ended.left == []
    assert set(result["ways"]) == {"bridge", "secure"}
    for name, way in result["ways"].items():
        assert way["setup"]["refused"] == [], name
        assert way["window"]["packets"] > 200, name  # of 300: the agent's, opened where sealed
        assert 0.8 < way["spent"]["uplink_share"] < 1.2, name
    assert len(result["pairs"]) == 4
    assert result["ratios"]["secure_cpu_to_plain_cpu"] > 0


def test_secure_and_soak_are_one_at_a_time(tmp_path: Path) -> None:
    ended = run_bench(tmp_path, "--secure", "--soak", "10")
    assert ended.code == 2
    assert "give one of them" in ended.stderr


def test_soak_tells_what_short_calls_leave(tmp_path: Path) -> None:
    ended = run_bench(tmp_path, "--soak", "10", "--rate", "10")

    assert ended.stdout, ended.stderr
    result = json.loads(ended.stdout)
    assert ended.left == []
    assert result["soak"]["setup"]["answered"] == 10
    assert result["soak"]["rss_idle_bytes"] < result["soak"]["rss_after_bytes"]


async def test_told_to_stop_it_leaves_no_process(tmp_path: Path) -> None:
    command = spawn("bench", "--calls", "2", "--hold-s", "60", directory=tmp_path)
    try:
        await wait_until(lambda: len(command.processes) > 2, "the floor did not start")
        command.tell(signal.SIGTERM)

        assert await command.ended() == 128 + signal.SIGTERM
        assert command.processes == []
        assert "nothing is left running" in command.stderr
    finally:
        command.end()
