"""The report as it is written, without a browser."""

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.divergence import RECORDING
from bridge.replay.checks.protocol import DifferenceKind, ProtocolDifference
from bridge.replay.report import write_report
from bridge.replay.report.page import make_page
from bridge.replay.report.reading import read_material
from bridge.replay.report.writing import AUDIO_BYTES
from bridge.replay.results.files import read_run, write_results, write_run
from bridge.replay.results.history import Timing, keep, make_summary
from bridge.replay.results.run import ProtocolFinding, RunVerdict
from tests.support.replay_results import EXAMPLE, TOO_BUSY, Plan, write_example

_EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


def _written(directory: Path, audio_bytes: int = AUDIO_BYTES) -> str:
    return write_report(directory, audio_bytes=audio_bytes).read_text(encoding="utf-8")


def _sounds(page: str) -> dict[str, str]:
    """Return the audio that a page carries, by the key of its call."""
    return dict(re.findall(r'id="sound-([\d-]+)">(.*?)</script>', page))


def _headline(directory: Path, *plans: Plan) -> str:
    write_example(directory, plans)
    return make_page(read_material(directory), 0).headline


def test_the_headline_says_what_came_of_it(tmp_path: Path) -> None:
    good = [Plan("a", "beta"), Plan("a", "ga")]
    assert _headline(tmp_path / "1", *good) == "Everything passes: 1 script on beta and ga"
    both = [Plan("a", arm, ("fail",)) for arm in ("beta", "ga")]
    assert _headline(tmp_path / "2", *both) == "1 of 1 script fails on beta and ga"
    unknown = [Plan("a", arm, ("inconclusive",)) for arm in ("beta", "ga")]
    assert _headline(tmp_path / "3", *unknown) == "Nothing fails; 1 of 1 script could not be judged"
    down = [Plan("a", "ga", ("infrastructure",))]
    assert _headline(tmp_path / "4", *down) == "1 of 1 script could not be played"


def test_cost_and_tool_success_are_compared_by_arm(tmp_path: Path) -> None:
    plans = [Plan("a", arm, ("pass", "pass")) for arm in ("beta", "ga")]
    results = write_example(tmp_path, plans)
    costs = {("beta", 1): 0.02, ("beta", 2): 0.04}
    tools = {("beta", 1): (3, 1), ("ga", 1): (2, 0)}
    runs = []
    for run in results.runs:
        call = (run.arm, run.number)
        ok, failed = tools.get(call, (0, 0))
        runs.append(replace(run, cost_usd=costs.get(call), tools_ok=ok, tools_failed=failed))
    write_results(tmp_path, replace(results, runs=tuple(runs)))
    told = re.sub(r"<[^>]+>", " ", _written(tmp_path))
    assert re.search(r"Tools that gave their output .*?beta 75 ?%, ga 100 ?%", told, re.S)
    assert "Tool calls: 4 on beta, 2 on ga." in told
    assert re.search(r"Cost of a call .*?beta 0\.0300, ga –", told, re.S)
    assert "Calls whose cost is known: 2 on beta, 0 on ga." in told


def test_what_is_new_on_the_other_arm_comes_first(tmp_path: Path) -> None:
    write_example(
        tmp_path, [Plan("old", "beta", ("fail",)), Plan("old", "ga", ("fail",)), *EXAMPLE]
    )
    broken = make_page(read_material(tmp_path), 0).broken
    assert [(each.card.info.id, each.call.arm, each.new) for each in broken] == [
        ("invoice_number", "ga", True),
        ("slow_answers", "ga", True),
        ("old", "beta", False),
        ("refused", "ga", False),
        ("no_wire_log", "beta", False),
    ]


def test_one_cause_that_kept_many_from_being_played_is_told_once(tmp_path: Path) -> None:
    plans = [Plan(name, "ga", ("infrastructure",)) for name in ("a", "b", "c")]
    failed = [Plan(name, "ga", ("fail",)) for name in ("d", "e")]
    write_example(tmp_path, [*plans, *failed])
    broken = make_page(read_material(tmp_path), 0).broken
    assert [each.card.info.id for each in broken] == ["d", "e", "a"]
    assert [card.info.id for card, _ in broken[2].also] == ["b", "c"]


def test_a_check_that_fails_on_both_arms_is_told_once(tmp_path: Path) -> None:
    write_example(tmp_path, [Plan("a", arm, ("fail",), latency_ms=2000) for arm in ("beta", "ga")])
    (broken,) = make_page(read_material(tmp_path), 0).broken
    assert [(card.info.id, call.arm) for card, call in broken.also] == [("a", "ga")]
    assert re.search(r"on</span> beta <span class=.on.>and</span> ga", _written(tmp_path))


def test_the_run_that_is_shown_is_the_one_that_failed(tmp_path: Path) -> None:
    write_example(tmp_path, [Plan("flaky", "ga", ("pass", "inconclusive", "fail", "pass"))])
    (card,) = make_page(read_material(tmp_path), 0).cards
    (call,) = card.calls
    assert call.info.number == 3
    assert [run.number for run in call.all_runs] == [1, 2, 3, 4]


def test_every_run_can_be_chosen_and_those_that_failed_come_first(tmp_path: Path) -> None:
    plans = [Plan("flaky", "beta", ("pass", "pass")), Plan("flaky", "ga", ("pass", "fail", "pass"))]
    write_example(tmp_path, plans)
    (card,) = make_page(read_material(tmp_path), AUDIO_BYTES).cards
    assert [take.label for take in card.takes] == [
        "beta run 1: pass, ga run 2: fail",
        "beta run 2: pass, ga run 1: pass",
        "ga run 3: pass",
    ]
    keys = [call.key for take in card.takes for call in take.calls]
    assert len(set(keys)) == len(keys) == 5
    page = _written(tmp_path)
    packed = re.findall(r'<template data-take="(\d)">([^<]+)</template>', page)
    assert [number for number, _ in packed] == ["2", "3"]
    last = gzip.decompress(base64.b64decode(packed[-1][1])).decode()
    assert "run 3 of 3" in last
    assert 'data-lanes="1-3-1"' in last


def test_a_call_that_was_placed_again_says_why(tmp_path: Path) -> None:
    plans = [Plan("a", "beta", again=(1,)), Plan("a", "ga", ("fail", "pass"), again=(2,))]
    write_example(tmp_path, plans)
    page = _written(tmp_path)
    assert "too busy for 2 calls, which were placed again" in page
    assert f"beta was placed 2 times. The first call did not count: {TOO_BUSY}" in page
    assert "ga was placed 2 times" not in page  # its second run is packed
    assert page.count(f"Placed 2 times. The first call did not count: {TOO_BUSY}") == 2
    assert page.count("<small>1 placed again</small>") == 4


def test_other_runs_that_did_not_pass_are_heard_before_those_that_did(tmp_path: Path) -> None:
    plans = [
        Plan("a", "ga", ("pass", "pass", "pass")),
        Plan("b", "ga", ("fail", "pass", "fail")),
        Plan("c", "ga", ("pass", "pass", "inconclusive")),
    ]
    write_example(tmp_path, plans)
    kept = list(_sounds(_written(tmp_path)))
    size = max(len(data) for data in _sounds(_written(tmp_path)).values())
    assert len(kept) == 9
    shown = _sounds(_written(tmp_path, audio_bytes=6 * size)).keys()
    assert shown == {"1-1", "2-1", "3-1", "2-2-1", "1-2-1", "3-2-1"}
    shown = _sounds(_written(tmp_path, audio_bytes=4 * size)).keys()
    assert shown == {"1-1", "2-1", "3-1", "2-2-1"}


def test_a_single_run_needs_no_choice(tmp_path: Path) -> None:
    write_example(tmp_path, [Plan("a", "beta"), Plan("a", "ga")])
    page = _written(tmp_path)
    assert "<select data-takes" not in page
    assert "<template data-take" not in page


def test_audio_goes_to_what_is_shown_before_other_runs(tmp_path: Path) -> None:
    write_example(tmp_path, [Plan(name, "ga", ("pass", "pass")) for name in ("a", "b")])
    whole = make_page(read_material(tmp_path), AUDIO_BYTES).cards[0].calls[0].sound
    assert whole is not None
    assert whole.data is not None
    page = make_page(read_material(tmp_path), 3 * len(whole.data))
    kept = [
        (card.info.id, take.number)
        for card in page.cards
        for take in card.takes
        for call in take.calls
        if call.sound is not None and call.sound.data
    ]
    assert kept == [("a", 1), ("a", 2), ("b", 1)]


def test_a_recorded_arm_is_compared_with_its_recording_too(tmp_path: Path) -> None:
    results = write_example(tmp_path, [Plan("a", "beta"), Plan("a", "ga")])
    lost = ProtocolDifference(
        DifferenceKind.FIELD_MISSING,
        "received",
        "response.done",
        "usage is gone",
        None,
        blocks=True,
    )
    arms = (replace(results.arms[0], kind="recorded", url="out/july"), results.arms[1])
    finding = ProtocolFinding("a", "beta", RECORDING, lost)
    write_results(tmp_path, replace(results, arms=arms, protocol=(finding,)))
    page = _written(tmp_path)
    assert "beta against its recording" in page
    assert "usage is gone" in page
    assert make_page(read_material(tmp_path), 0).blocking == 1
    assert '<th scope="col">beta <small>recorded</small></th>' in page


def test_an_arm_that_nothing_is_known_of_says_so(tmp_path: Path) -> None:
    results = write_example(tmp_path, [Plan("a", "ga")])
    unknown = replace(results.arms[1], kind="unknown", url="unknown", model="unknown")
    write_results(tmp_path, replace(results, arms=(unknown,)))
    page = _written(tmp_path)
    assert '<span class="kind unknown">unknown</span>' in page
    assert "What answers on an <strong>unknown</strong> arm" in page
    assert "our side is right" not in page


def test_the_reason_is_the_check_that_the_verdict_was_given_for(tmp_path: Path) -> None:
    results = write_example(tmp_path, [Plan("slow", "ga", ("fail",), latency_ms=2350)])
    folder = tmp_path / results.runs[0].folder
    files = read_run(folder)
    other = Check(3, "no_tool", "no tool", "it called pay", CheckStatus.FAIL, 9000, None)
    write_run(
        folder, replace(files, detail=replace(files.detail, checks=(other, *files.detail.checks)))
    )
    mishap = make_page(read_material(tmp_path), 0).broken[0].call.mishap
    assert mishap is not None
    assert (mishap.kind, mishap.more) == ("within_ms", 1)
    assert mishap.play_from_ms == (mishap.at_ms or 0) - 1000


def test_what_passed_in_the_run_before_is_told(tmp_path: Path) -> None:
    results = write_example(tmp_path / "now", [Plan("a", "beta"), Plan("a", "ga", ("fail",))])
    good = replace(results.table[1], verdict=RunVerdict.PASS, passes=1, fails=0)
    before = replace(results, started_at="2026-11-20T08:00:00+00:00", table=(good,))
    later = replace(before, started_at="2027-01-01T08:00:00+00:00")
    for past in (before, results, later):
        keep(tmp_path / "history", make_summary(past, {("a", "ga"): Timing(700.0, 900.0, 3)}))
    page = make_page(read_material(tmp_path / "now", tmp_path / "history"), 0)
    assert page.broken[0].since_last
    trend = page.trends["a", "ga"]
    assert [spark.rate for spark in trend.sparks] == [1.0, 0.0]
    assert trend.regression == "a on ga: 0% of its runs passed, 100% before"


def test_protocol_differences_block_and_stand_apart(tmp_path: Path) -> None:
    results = write_example(tmp_path)
    unknown = ProtocolDifference(
        DifferenceKind.UNKNOWN, "received", "response.novelty", "unknown", 10.0, blocks=True
    )
    finding = ProtocolFinding("slow_answers", "ga", "beta", unknown)
    write_results(tmp_path, replace(results, protocol=(finding,)))
    (found,) = make_page(read_material(tmp_path), 0).protocols
    assert [(each.what, each.blocks) for each in found.findings] == [("unknown", True)]
    assert (found.compared, found.left_out) == (3, 2)
    assert "blocks the release" in _written(tmp_path)


def test_nothing_that_was_said_becomes_part_of_the_page(tmp_path: Path) -> None:
    results = write_example(tmp_path, [Plan("a", "beta"), Plan("a", "ga", ("fail",))])
    folder = tmp_path / results.runs[1].folder
    files = read_run(folder)
    assert files.wire is not None
    turn = replace(files.detail.transcript[1], text=_EVIL, reference=_EVIL)
    event = replace(files.wire[0], raw={"type": _EVIL}, type=_EVIL)
    marker = replace(files.markers[0], text=_EVIL)
    check = replace(files.detail.checks[1], found=_EVIL)
    detail = replace(files.detail, transcript=(turn,), checks=(check,))
    write_run(folder, replace(files, detail=detail, wire=(event,), markers=(marker,)))
    page = _written(tmp_path)
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert page.count("alert(&#39;x&#39;)") >= 4


def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    write_example(tmp_path)
    page = _written(tmp_path)
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


def test_a_run_whose_files_are_damaged_hides_no_other(tmp_path: Path) -> None:
    results = write_example(tmp_path)
    (tmp_path / results.runs[0].folder / "result.json").write_text("{")
    (tmp_path / results.runs[3].folder / "call.wav").write_bytes(b"RIFF")
    slow = next(run for run in results.runs if (run.script, run.arm) == ("slow_answers", "ga"))
    (tmp_path / slow.folder / "markers.json").unlink()
    page = _written(tmp_path)
    assert "The files of this call on ga can't be shown" in page
    assert "it took 2350 ms" in page
    assert "it said" in page


def test_audio_beyond_the_limit_is_linked_to_and_what_broke_goes_first(tmp_path: Path) -> None:
    write_example(tmp_path)
    whole = _sounds(_written(tmp_path))
    broken = {"2-1", "2-2", "3-1", "3-2"}
    page = _written(tmp_path, audio_bytes=sum(len(whole[key]) for key in broken))
    assert _sounds(page).keys() == broken
    left_out = len(whole) - len(broken)
    assert f"no room for the audio of {left_out} calls" in page
    assert 'href="runs/order_status/beta/1/call.wav"' in page


def test_one_arm_alone_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    write_example(tmp_path, [Plan("a", "ga")])
    path = tmp_path / "results.json"
    document = json.loads(path.read_text())
    document["arms"] = document["arms"][1:]
    path.write_text(json.dumps(document))
    page = _written(tmp_path)
    assert "Behaviour differences" not in page
    assert "Everything passes: 1 script on ga" in page


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        write_report(tmp_path)
