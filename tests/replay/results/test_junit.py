"""JUnit XML as CI servers read it."""

from pathlib import Path
from xml.etree import ElementTree

from bridge.replay.results.history import Timing
from bridge.replay.results.junit import make_junit
from tests.support.replay_results import TOO_BUSY, Plan, write_example


def _parse(directory: Path) -> ElementTree.Element:
    results = write_example(directory)
    properties = {"runs/order_status/ga/1": {"call_id": "c_1"}}
    timings = {("order_status", "ga"): Timing(640.0, 700.0, 9)}
    return ElementTree.fromstring(make_junit(results, properties, timings))


def test_each_arm_is_a_suite_with_its_counts(tmp_path: Path) -> None:
    suites = {suite.get("name"): suite for suite in _parse(tmp_path)}
    ga = suites["ga"]
    counts = [ga.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["9", "3", "1", "0"]
    assert suites["beta"].get("skipped") == "1"


def test_a_failure_says_what_was_expected_and_when(tmp_path: Path) -> None:
    failure = _parse(tmp_path).find(".//testcase[@name='slow_answers [1]']/failure")
    assert failure is not None
    assert failure.text is not None
    assert "expected the agent within 1500 ms; it took 2350 ms" in failure.text
    assert " s of the call)" in failure.text


def test_infrastructure_is_an_error_and_inconclusive_is_skipped(tmp_path: Path) -> None:
    root = _parse(tmp_path)
    error = root.find(".//testcase[@name='refused [1]']/error")
    skipped = root.find(".//testcase[@name='no_wire_log [1]']/skipped")
    assert error is not None
    assert "nothing that speaks SIP" in (error.get("message") or "")
    assert skipped is not None
    assert "there is no record" in (skipped.get("message") or "")


def test_a_testcase_has_its_call_its_latency_and_where_its_files_are(tmp_path: Path) -> None:
    case = _parse(tmp_path).find("testsuite[@name='ga']/testcase[@name='order_status [1]']")
    assert case is not None
    assert case.get("classname") == "call_scripts/order_status.yaml"
    told = {each.get("name"): each.get("value") for each in case.iter("property")}
    assert told == {
        "call_id": "c_1",
        "artifacts": "runs/order_status/ga/1",
        "latency_p50_ms": "640.0",
        "latency_p95_ms": "700.0",
        "attempts": "1",
    }


def test_an_attempt_that_did_not_count_stands_beside_the_verdict(tmp_path: Path) -> None:
    results = write_example(tmp_path, [Plan("a", "ga", ("pass", "fail", "pass"), again=(1, 2))])
    root = ElementTree.fromstring(make_junit(results, {}, {}))
    told = {}
    for case in root.iter("testcase"):
        attempts = case.find("properties/property[@name='attempts']")
        assert attempts is not None
        others = [each for each in case if each.tag not in ("properties", "failure")]
        told[case.get("name")] = (
            attempts.get("value"),
            [(each.tag, each.get("message"), each.findtext("stackTrace")) for each in others],
        )
    assert told == {
        "a [1]": ("2", [("flakyFailure", TOO_BUSY, TOO_BUSY)]),
        "a [2]": ("2", [("rerunFailure", TOO_BUSY, TOO_BUSY)]),
        "a [3]": ("1", []),
    }
    assert [suite.get("failures") for suite in root] == ["0", "1"]
