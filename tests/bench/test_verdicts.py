"""What is a good figure, and what callers would complain of."""

from dataclasses import replace

import pytest

from bridge.bench.figures import (
    BenchResult,
    CallSetups,
    Climb,
    HeardWindow,
    Inside,
    ServingWay,
    Soak,
    SpentResources,
)
from bridge.bench.run import between, choose_calls
from bridge.bench.verdicts import complaint, doubts_about, ratios_of, verdicts_on
from bridge.errors import ConfigError

SETUP = CallSetups(199, (), 20.0, 40.0, 60.0)
WINDOW = HeardWindow(200, 20.0, 200_000, 0, 0, 0, 25.0, 0, 0, 0, 5.0, 9.0)
INSIDE = Inside(1, 10, 20, 20, 40, 50, 20, 30, 40, underruns=0, overruns=0)
BRIDGE = ServingWay(
    "", SETUP, WINDOW, SpentResources(200, 60.0, 300 << 20, 500_000, 1.0), INSIDE, Climb(300, True)
)
FLOOR = ServingWay("", SETUP, WINDOW, SpentResources(200, 25.0, 100 << 20, 100_000, None))
PLAIN = ServingWay(
    "", SETUP, WINDOW, SpentResources(20, 90.0, 100 << 20, None, 1.0), None, Climb(20, False, 25)
)


def failures(**ways: ServingWay) -> list[str]:
    result = BenchResult({}, {}, {}, ways, ratios=ratios_of(ways))
    return [each.figure for each in verdicts_on(result) if each.ok is False]


def test_good_run_has_no_failure() -> None:
    assert failures(bridge=BRIDGE, floor=FLOOR, plain=PLAIN) == []


@pytest.mark.parametrize(
    ("worse", "figure"),
    [
        (replace(BRIDGE, inside=replace(INSIDE, underruns=1)), "underruns"),
        (replace(BRIDGE, inside=replace(INSIDE, up_p95_ms=80)), "RTP in to append, p95"),
        (replace(BRIDGE, inside=replace(INSIDE, up_p95_ms=float("nan"))), "RTP in to append, p95"),
        (replace(BRIDGE, inside=replace(INSIDE, lag_p99_ms=60)), "tick lag, p99"),
        (replace(BRIDGE, setup=replace(SETUP, setup_p95_ms=251.0)), "setup, p95"),
        (replace(BRIDGE, setup=replace(SETUP, refused=[503])), "calls refused or dropped"),
        (replace(BRIDGE, window=replace(WINDOW, lost=300)), "packets lost or late"),
        (replace(BRIDGE, spent=replace(BRIDGE.spent, bytes_per_call=2e6)), "memory per call"),
        (replace(BRIDGE, climb=Climb(150, False, 200)), "most calls, times the plain way's"),
    ],
)
def test_worse_figure_fails(worse: ServingWay, figure: str) -> None:
    assert failures(bridge=worse, floor=FLOOR, plain=PLAIN) == [figure]


def test_cpu_is_judged_by_itself_and_beside_the_floor() -> None:
    dear = replace(BRIDGE, spent=replace(BRIDGE.spent, cpu_percent=90.0))

    assert failures(bridge=dear, floor=FLOOR) == ["CPU per call", "CPU, times the floor's"]


def test_floor_is_the_mean_of_before_and_after() -> None:
    faster = replace(FLOOR, spent=replace(FLOOR.spent, cpu_percent=15.0))
    ways = {"bridge": BRIDGE, "floor": between(FLOOR, faster)}

    assert ratios_of(ways) == {"bridge_cpu_to_floor_cpu": 3.0}


def test_few_calls_are_not_judged_by_what_a_call_costs() -> None:
    few = replace(BRIDGE, spent=SpentResources(4, 16.0, 100 << 20, 2e6, 1.0), climb=Climb(4, True))
    all_it_holds = replace(PLAIN, climb=Climb(4, True))

    assert failures(bridge=few, floor=FLOOR, plain=all_it_holds) == []


def test_soak_that_keeps_memory_fails() -> None:
    soak = Soak(2000, 200, 20.0, SETUP, 90 << 20, 100 << 20, 104 << 20)
    result = BenchResult({}, {}, {}, soak=soak)

    assert [each.figure for each in verdicts_on(result) if not each.ok] == ["soak: memory kept"]


@pytest.mark.parametrize(
    ("window", "setup", "uplink"),
    [
        (replace(WINDOW, lost=2000), SETUP, 1.0),
        (replace(WINDOW, late=2000), SETUP, 1.0),
        (replace(WINDOW, packets=0), SETUP, 1.0),
        (replace(WINDOW, dropouts=200), SETUP, 1.0),
        (replace(WINDOW, dropped_calls=1), SETUP, 1.0),
        (WINDOW, replace(SETUP, refused=[486]), 1.0),
        (WINDOW, SETUP, 0.9),
    ],
)
def test_callers_complain(window: HeardWindow, setup: CallSetups, uplink: float) -> None:
    assert complaint(window, setup, uplink)


def test_well_served_callers_do_not_complain() -> None:
    assert complaint(WINDOW, SETUP, 0.99) == ""
    assert complaint(WINDOW, SETUP, None) == ""


def test_callers_that_were_too_slow_make_the_run_doubtful() -> None:
    assert doubts_about({"bridge": BRIDGE}) == []
    assert doubts_about({"bridge": replace(BRIDGE, window=replace(WINDOW, overflowed=1))})
    assert doubts_about({"bridge": replace(BRIDGE, window=replace(WINDOW, send_lag_p99_ms=30))})


def test_calls_are_what_is_wanted_or_usual_or_what_pjsip_holds() -> None:
    assert choose_calls(None, 1024) == 200
    assert choose_calls(None, 4) == 4
    assert choose_calls(3, 4) == 3
    with pytest.raises(ConfigError, match="the loaded PJSIP holds 4"):
        choose_calls(5, 4)
