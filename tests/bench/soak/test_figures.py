"""What a soak is judged by: each thing that may be wrong fails its own verdict."""

from dataclasses import replace

import pytest

from bridge.bench.soak.figures import (
    Happened,
    HeldResources,
    Records,
    SoakPlan,
    SoakResult,
    doubts_about,
    verdicts_on,
)

HELD = HeldResources(
    calls=0,
    tasks=10,
    files=16,
    sockets=3,
    unix_sockets=6,
    threads=14,
    rows=0,
    conference_ports=85,
    sessions=1,
    pending_writes=0,
)


def crowd(**changes: object) -> dict[str, object]:
    call = {"name": "soak-0-1", "kind": "talk", "how": "hung up", "status": 0}
    return {
        "calls": [call],
        "silences": [(900, "soak-0-1")],
        "heard": {"gaps": 0, "longest_gap_ms": 22.0, "packets": 1000, "lost": 0, "late": 0},
        "gap_ends_ns": [],
        "overflowed": 0,
        "send_lag_p99_ms": 2.0,
        **changes,
    }


GOOD = SoakResult(
    machine={},
    plan=SoakPlan(30, 25, 20, ("ga", "beta"), 7),
    crowd=crowd(),
    outcomes={},
    troubles=[Happened("Redis stopped", 1_000, 2_000)],
    tools={},
    records=Records(1),
    before=HELD,
    after=HELD,
    rss_before_bytes=1,
    rss_after_bytes=1,
    counted={},
    errors={},
    exit_code=0,
)


def failed(result: SoakResult) -> list[str]:
    return [each.figure for each in verdicts_on(result) if each.ok is False]


def test_a_run_without_fault_is_good() -> None:
    assert failed(GOOD) == []
    assert doubts_about(GOOD) == []


def test_what_may_grow_with_use_has_a_bound() -> None:
    assert failed(replace(GOOD, after=replace(HELD, unix_sockets=9, threads=15))) == []


@pytest.mark.parametrize(
    "name", ["calls", "tasks", "files", "sockets", "rows", "sessions", "pending_writes"]
)
def test_whatever_is_still_held_is_a_leak(name: str) -> None:
    kept = replace(HELD, **{name: getattr(HELD, name) + 1})
    assert len(failed(replace(GOOD, after=kept))) == 1


@pytest.mark.parametrize(
    ("records", "figure"),
    [
        (Records(1, missing=["soak-0-1"]), "calls without a record"),
        (Records(2, twice=["soak-0-1"]), "calls with more than one"),
        (Records(1, no_outcome=["c_1"]), "records without an outcome"),
        (Records(1, active=["c_1"]), "calls still active in Redis"),
        (Records(1, unended=["c_1"]), "calls without an end in Redis"),
    ],
)
def test_each_call_needs_one_whole_record(records: Records, figure: str) -> None:
    assert failed(replace(GOOD, records=records)) == [figure]


def test_requests_that_nobody_answers_are_a_stuck_call() -> None:
    stuck = {"name": "soak-0-1", "kind": "talk", "how": "no answer", "status": 0}
    gone = {**stuck, "kind": "gone"}
    result = replace(GOOD, crowd=crowd(calls=[stuck, gone]))
    assert failed(result) == ["requests without an answer"]


def test_gap_is_told_apart_by_what_redis_did_then() -> None:
    heard = {"gaps": 1, "longest_gap_ms": 80.0, "packets": 1000, "lost": 0, "late": 0}
    outside = replace(GOOD, crowd=crowd(heard=heard, gap_ends_ns=[500]))
    assert failed(outside) == ["gaps over 60 ms in the RTP"]
    inside = replace(GOOD, crowd=crowd(heard=heard, gap_ends_ns=[1500]))
    assert len(failed(inside)) == 2


def test_gaps_are_not_judged_by_callers_who_were_late_themselves() -> None:
    heard = {"gaps": 1, "longest_gap_ms": 80.0, "packets": 1000, "lost": 0, "late": 0}
    late = replace(GOOD, crowd=crowd(heard=heard, gap_ends_ns=[500], send_lag_p99_ms=45.0))
    assert failed(late) == []
    assert len(doubts_about(late)) == 1


def test_long_silence_error_and_bad_exit_fail() -> None:
    assert failed(replace(GOOD, crowd=crowd(silences=[(12_500, "soak-0-1")])))
    assert failed(replace(GOOD, errors={"tick_failed": 1})) == ["errors in the gateway's log"]
    assert failed(replace(GOOD, exit_code=-11)) == ["exit code of the gateway"]
