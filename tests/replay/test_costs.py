"""The cost cap: no call begins that might pass it."""

import pytest
from pydantic import JsonValue

from bridge.config.models import Model, Price, Prices
from bridge.errors import ConfigError
from bridge.replay.costs import CostMeter, Use

_MODEL = Model(
    dialects=("ga",),
    prices=Prices(
        text=Price(input=4, cached=0.4, output=16), audio=Price(input=32, cached=0.4, output=64)
    ),
)
_MINUTE_USD = (600 * 32 + 1200 * 64) / 1e6
"""Both sides speak all the time."""


def _begin(meter: CostMeter, run: str) -> bool:
    return meter.begin(run, 60.0, "m", _MODEL)


def test_without_a_cap_everything_may_begin() -> None:
    meter = CostMeter(None)
    assert meter.begin("a", 60.0, "m", None)
    meter.end("a", 12.5)
    assert meter.spent_usd == 12.5


def test_a_first_call_reserves_what_a_talkative_one_costs() -> None:
    assert _begin(CostMeter(_MINUTE_USD), "a")
    assert not _begin(CostMeter(_MINUTE_USD * 0.99), "a")


def test_calls_that_go_on_hold_their_share() -> None:
    meter = CostMeter(2.5 * _MINUTE_USD)
    assert [_begin(meter, run) for run in "abc"] == [True, True, False]
    meter.end("a", 0.001)
    assert _begin(meter, "c")


def test_later_calls_reserve_what_the_dearest_has_cost() -> None:
    meter = CostMeter(_MINUTE_USD)
    assert _begin(meter, "a")
    meter.end("a", _MINUTE_USD * 0.4)
    assert [_begin(meter, run) for run in "bc"] == [True, False]


def test_a_call_of_unknown_cost_has_cost_what_it_reserved() -> None:
    meter = CostMeter(_MINUTE_USD)
    assert _begin(meter, "a")
    meter.end("a", None)
    assert meter.spent_usd == pytest.approx(_MINUTE_USD)


def test_no_cap_can_be_kept_without_a_price() -> None:
    with pytest.raises(ConfigError, match="no price of 'unheard-of'"):
        CostMeter(1.0).begin("a", 60.0, "unheard-of", None)


def test_a_records_cost_and_tools_are_its_calls_use() -> None:
    tools: list[JsonValue] = [
        {"name": "find", "ok": True, "result": "ok", "fault": "none"},
        {"name": "find", "ok": False, "result": "deadline", "fault": "tool"},
        {"name": "find", "ok": False, "result": "cancelled", "fault": "none"},
    ]
    assert Use.of({"cost_usd": 0.25, "tools": tools}) == Use(0.25, tools_ok=1, tools_failed=1)
    assert Use.of({"cost_usd": None, "tools": []}) == Use.of(None) == Use()
