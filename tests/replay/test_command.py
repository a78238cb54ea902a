"""`bridge replay` as people and CI servers use it: exit codes, files, the end by Ctrl-C."""

import json
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from bridge.cli.replay import replay
from bridge.replay.results.files import read_results
from bridge.replay.results.history import read_history
from tests.support.processes import run_to_end, spawn, write_yaml
from tests.support.replaying import ASKS, Document, write_script
from tests.support.waiting import wait_until

_BROKEN: Document = {
    **ASKS,
    "caller": [{"say": "Where is my order?", "expect": {"text_contains": "on Tuesday"}}],
}
_ROLLED: Document = {
    "arms": {name: {"url": "wss://api.example.com/v1/realtime"} for name in ("old", "new")},
    "rollouts": {"f": {"control": "old", "treatment": "new"}},
    "rollout_key_env": "REPLAY_TEST_KEY",
}
_BOTH = ("--arm", "old", "--arm", "new")


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.slow
def test_a_broken_expectation_is_told_everywhere(tmp_path: Path) -> None:
    write_script(tmp_path, _BROKEN)
    options = ("--arm", "ga", "--report", "out", "--junit", "out/junit.xml", "--history", "kept")
    done = run_to_end("replay", "asks.yaml", *options, "--json", directory=tmp_path)
    assert done.code == 1, done.stderr
    assert not done.left
    told = json.loads(done.stdout)
    (run,) = told["runs"]
    assert run["reason"].startswith("step 1")
    assert 'expected the agent to say "on Tuesday"; it said "Your order was' in run["reason"]
    assert read_results(tmp_path / "out").table[0].fails == 1
    failure = ElementTree.parse(tmp_path / "out" / "junit.xml").find(".//failure")
    assert failure is not None
    assert failure.get("message") == run["reason"]
    (summary,) = read_history(tmp_path / "kept")
    assert summary.scripts[0].timing.p50_ms is not None
    trend = CliRunner().invoke(replay, ["trend", "--history", str(tmp_path / "kept"), "--json"])
    assert trend.exit_code == 0
    assert json.loads(trend.stdout)[0]["script"] == "asks"


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.slow
async def test_ctrl_c_writes_what_there_is_and_leaves_no_process(tmp_path: Path) -> None:
    write_script(tmp_path, ASKS)
    command = spawn(
        *("replay", "asks.yaml", "--repeat", "50", "--jobs", "1", "--report", "out"),
        *("--history", "kept"),
        directory=tmp_path,
    )
    try:
        second = tmp_path / "out" / "runs" / "asks" / "beta" / "2"
        await wait_until(second.exists, "the first call was not played", timeout_s=150.0)
        command.tell(signal.SIGINT)
        assert await command.ended() == 130
        assert not command.processes
    finally:
        command.end()
    results = read_results(tmp_path / "out")
    assert results.stopped == "SIGINT"
    assert [(run.arm, run.number) for run in results.runs] == [("beta", 1)]
    assert read_history(tmp_path / "kept") == ()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("asks.yaml", "--arm", "nonsense"), "there is no arm 'nonsense'; name one of: "),
        (("asks.yaml", "--arm", "ga", "--arm", "ga"), "the arm 'ga' is named twice"),
        (("asks.yaml", "--tag", "other"), "there is no script to play with a tag of other"),
        ((), "there is no script to play"),
        (("asks.yaml", "asks.yaml"), "asks.yaml has, too; results are kept by it"),
        (("asks.yaml", "--target", "localhost", "--arm", "ga"), "--target is no SIP URI"),
        (("asks.yaml", "--target", "sip:h"), "a running gateway chooses the arm itself; name the"),
        (
            ("asks.yaml", "--target", "sip:h", "--arm", "beta", "--arm", "ga"),
            "no rollout of the settings chooses among the arms beta and ga; a running gateway",
        ),
        (
            (*("asks.yaml", "--target", "sip:h", "--config", "rolled.yaml"), *_BOTH),
            "the environment variable REPLAY_TEST_KEY holds no key of 16 characters or more",
        ),
        (
            ("asks.yaml", "--target", "sip:h", "--arm", "old=recorded:asks.yaml"),
            "a running gateway has its own Realtime service",
        ),
        (
            ("asks.yaml", "--arm", "old=recorded:asks.yaml"),
            "asks.yaml:1: is no line of a wire log",
        ),
        (
            ("asks.yaml", "--arm", "old=recorded:nowhere"),
            "nowhere: is not there; name a wire log, a directory with SCRIPT.jsonl in it",
        ),
        (("trend", "--history", "nowhere"), "the history has no run"),
    ],
)
def test_bad_input_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    write_script(tmp_path, ASKS)
    write_yaml(tmp_path / "rolled.yaml", _ROLLED)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(replay, arguments)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
