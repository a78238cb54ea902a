"""The cost cap: no call begins that might pass it."""

from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from bridge.config.models import Model, ModelPrices, Price
from bridge.errors import ConfigError
from bridge.replay.runs.costs import CostMeter, Use, talk_usd, texts_usd
from bridge.replay.script import CallScript

_MODEL = Model(
    dialects=("ga",),
    prices=ModelPrices(
        text=Price(input=4, cached=0.4, output=16), audio=Price(input=32, cached=0.4, output=64)
    ),
)
_MINUTE_USD = (600 * 32 + 1200 * 64) / 1e6
"""Both sides speak all the time."""


def _begin(meter: CostMeter, run: str) -> bool:
    return meter.begin(run, talk_usd(60.0, "m", _MODEL), 0.0)


def test_without_a_cap_everything_may_begin() -> None:
    meter = CostMeter(None)
    assert meter.begin("a", 0.0, 0.0)
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
        talk_usd(60.0, "unheard-of", None)


_PAID = {"url": "http://127.0.0.1:9/v1", "model": "small", "max_tokens": 100}
_PRICES = {"input": 1, "output": 2}


def _script(persona: Mapping[str, object], judge: Mapping[str, object] | None = None) -> CallScript:
    parts = {"schema": "callscript/v1", "id": "a", "caller": "persona"}
    return CallScript.model_validate(
        {**parts, "persona": {"goal": "x", **persona}, **({"judge": judge} if judge else {})}
    )


@pytest.mark.parametrize(
    ("limits", "usd"), [({"tokens": 5_000}, 5_000 * 2 / 1e6), ({"cost_usd": 0.3}, 0.3)]
)
def test_a_personas_limits_are_what_it_may_cost(limits: dict[str, float], usd: float) -> None:
    model = {**_PAID, "usd_per_million": _PRICES}
    script = _script({"model": model, "limits": limits})
    assert texts_usd(script, 60.0) == pytest.approx(usd)


def test_a_judge_costs_its_questions_over_the_whole_conversation() -> None:
    judge = {"questions": ["Is it polite?", "Is it true?"]}
    paid = {**judge, "model": {**_PAID, "usd_per_million": _PRICES}}
    script = _script({"script": [{"say": "a"}]}, paid)
    assert texts_usd(script, 100.0) == pytest.approx(2 * (900 + 2 * 100) / 1e6)


def test_no_cap_can_be_kept_for_a_text_model_without_a_price() -> None:
    with pytest.raises(ConfigError, match=r"'small' of the script a has no price.*usd_per_million"):
        texts_usd(_script({"model": _PAID}), 60.0)
    assert texts_usd(_script({"script": [{"say": "a"}]}), 60.0) == 0.0


def test_text_models_count_towards_the_cap_and_are_no_talk() -> None:
    meter = CostMeter(1.0)
    assert meter.begin("a", 0.0, 0.9)
    assert not meter.begin("b", 0.0, 0.2)
    assert meter.begin("free", 0.0, 0.0)
    meter.end("a", 0.0, 0.5)
    assert meter.spent_usd == 0.5
    assert meter.begin("b", 0.3, 0.2), "what text models cost says nothing of a talk's cost"


def test_a_records_cost_and_tools_are_its_calls_use() -> None:
    tools: list[JsonValue] = [
        {"name": "find", "ok": True, "result": "ok", "fault": "none"},
        {"name": "find", "ok": False, "result": "deadline", "fault": "tool"},
        {"name": "find", "ok": False, "result": "cancelled", "fault": "none"},
    ]
    assert Use.of({"cost_usd": 0.25, "tools": tools}) == Use(0.25, tools_ok=1, tools_failed=1)
    assert Use.of({"cost_usd": None, "tools": []}) == Use.of(None) == Use()
