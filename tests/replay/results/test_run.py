"""Results on disk: what was written is read again, and sums up as it should."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.replay.checks.protocol import DifferenceKind, ProtocolDifference
from bridge.replay.results.files import read_results, read_run
from bridge.replay.results.run import (
    ProtocolFinding,
    RunInfo,
    RunVerdict,
    ScriptInfo,
    make_table,
    overall,
)
from tests.support.replay_results import EXAMPLE, TOO_BUSY, Plan, write_example

_PASS, _FAIL = RunVerdict.PASS, RunVerdict.FAIL
_INCONCLUSIVE, _INFRASTRUCTURE = RunVerdict.INCONCLUSIVE, RunVerdict.INFRASTRUCTURE


def _runs(*verdicts: RunVerdict) -> list[RunInfo]:
    return [
        RunInfo("s", "ga", number, verdict, "", None, "runs/s/ga/1", 1.0)
        for number, verdict in enumerate(verdicts, start=1)
    ]


def _verdict(*verdicts: RunVerdict, pass_rate: float = 1.0) -> RunVerdict:
    script = ScriptInfo("s", "s.yaml", "", pass_rate=pass_rate)
    (row,) = make_table(_runs(*verdicts), [script])
    return row.verdict


def test_the_table_counts_the_runs_that_were_placed_again(tmp_path: Path) -> None:
    plans = [Plan("a", "beta", ("pass", "fail", "pass"), again=(1, 2)), Plan("a", "ga")]
    write_example(tmp_path, plans)
    read = read_results(tmp_path)
    assert [row.placed_again for row in read.table] == [2, 0]
    assert [(run.attempts, run.spoiled_by) for run in read.runs] == [
        *[(2, TOO_BUSY)] * 2,
        *[(1, "")] * 2,
    ]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = write_example(tmp_path)
    assert read_results(tmp_path) == written


def test_each_run_has_its_folder(tmp_path: Path) -> None:
    runs = write_example(tmp_path).runs
    assert ("no_wire_log", "beta") in {(run.script, run.arm) for run in runs}
    assert any(run.verdict is not _INFRASTRUCTURE for run in runs)
    for run in runs:
        files = read_run(tmp_path / run.folder)
        assert files.detail.why == run.reason
        if run.script == "no_wire_log" and run.arm == "beta":
            assert files.wire is None
            assert files.record is None
        elif run.verdict is not _INFRASTRUCTURE:
            assert files.audio is not None
            assert files.wire
            assert [marker.at_ms for marker in files.markers] == sorted(
                marker.at_ms for marker in files.markers
            )


def test_the_file_says_its_schema(tmp_path: Path) -> None:
    write_example(tmp_path, EXAMPLE[:1])
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["schema"] == "replayresults/v1"


def test_another_schema_is_refused(tmp_path: Path) -> None:
    write_example(tmp_path, EXAMPLE[:1])
    path = tmp_path / "results.json"
    path.write_text(path.read_text().replace("replayresults/v1", "replayresults/v9"))
    with pytest.raises(ConfigError, match="schema"):
        read_results(tmp_path)


def test_a_damaged_file_is_named_and_its_content_is_not(tmp_path: Path) -> None:
    write_example(tmp_path, EXAMPLE[:1])
    folder = tmp_path / "runs" / "order_status" / "beta" / "1"
    path = folder / "result.json"
    path.write_text(path.read_text().replace('"start_ms": 500', '"start_ms": "secret"'))
    with pytest.raises(ConfigError, match=r"result\.json") as raised:
        read_run(folder)
    assert "secret" not in str(raised.value)


def test_a_script_passes_at_its_pass_rate() -> None:
    assert _verdict(_PASS, _PASS, _FAIL, pass_rate=0.6) is _PASS
    assert _verdict(_PASS, _PASS, _FAIL, pass_rate=0.8) is _FAIL


def test_what_is_inconclusive_decides_nothing() -> None:
    assert _verdict(_INCONCLUSIVE) is _INCONCLUSIVE
    assert _verdict(_INCONCLUSIVE, _INCONCLUSIVE, pass_rate=0.0) is _INCONCLUSIVE
    assert _verdict(_PASS, _INCONCLUSIVE) is _PASS
    assert _verdict(_FAIL, _INCONCLUSIVE) is _FAIL


def test_no_pass_with_infrastructure_that_failed() -> None:
    assert _verdict(_PASS, _PASS, _INFRASTRUCTURE) is _INFRASTRUCTURE


def test_what_was_proven_broken_stays_so() -> None:
    assert _verdict(_FAIL, _INFRASTRUCTURE) is _FAIL


def test_the_whole_is_as_good_as_its_worst(tmp_path: Path) -> None:
    assert overall(write_example(tmp_path / "a")) is _FAIL
    unsure = write_example(tmp_path / "b", [Plan("a", "ga"), Plan("a", "beta", ("inconclusive",))])
    assert overall(unsure) is _INCONCLUSIVE
    assert overall(replace(unsure, table=())) is _INCONCLUSIVE


def test_a_protocol_difference_that_blocks_fails_the_whole(tmp_path: Path) -> None:
    good = write_example(tmp_path, [Plan("a", "ga"), Plan("a", "beta")])
    for blocks, wanted in ((True, _FAIL), (False, _PASS)):
        kind = DifferenceKind.MISSING
        found = ProtocolDifference(kind, "sent", "session.update", "never on ga", None, blocks)
        finding = ProtocolFinding("a", "ga", "beta", found)
        assert overall(replace(good, protocol=(finding,))) is wanted


def test_what_was_stopped_is_no_pass(tmp_path: Path) -> None:
    good = write_example(tmp_path, [Plan("a", "ga")])
    assert overall(replace(good, stopped="SIGINT")) is _INCONCLUSIVE
