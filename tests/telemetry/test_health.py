"""What trouble costs a call, and what a supervisor reads of it."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from bridge.telemetry.health import (
    BAD_BELOW,
    LONG_SILENCE_MS,
    WARN_BELOW,
    CallTroubles,
    health_of,
    while_silent,
)

ROOT = Path(__file__).parents[2]


def test_call_without_trouble_is_well_and_needs_no_reason() -> None:
    health = health_of(CallTroubles())
    assert (health.score, health.reasons) == (100, ())


@pytest.mark.parametrize("name", [field.name for field in fields(CallTroubles)])
def test_every_trouble_costs_points_and_names_itself(name: str) -> None:
    health = health_of(CallTroubles(**{name: 9}))
    assert health.score < 100
    assert len(health.reasons) == 1


def test_more_of_a_trouble_is_never_healthier() -> None:
    scores = [health_of(CallTroubles(silences=count)).score for count in range(10)]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] < scores[0]


def test_one_kind_alone_is_bounded_so_that_a_chatty_caller_is_no_disaster() -> None:
    assert health_of(CallTroubles(interruptions=500)).score >= WARN_BELOW


def test_normal_interruptions_cost_nothing() -> None:
    assert health_of(CallTroubles(interruptions=3, agent_interrupted=1)).score == 100


def test_emergency_alone_is_for_now() -> None:
    assert health_of(CallTroubles(emergencies=1)).score < BAD_BELOW


def test_reasons_count_and_the_dearest_comes_first() -> None:
    health = health_of(CallTroubles(silences=2, humans_asked=1))
    assert health.reasons == ("2 long silences", "caller asked for a person")
    assert health.score == 70


def test_score_never_falls_below_nought() -> None:
    assert health_of(CallTroubles(**{field.name: 99 for field in fields(CallTroubles)})).score == 0


def test_silence_that_goes_on_counts_before_it_has_ended() -> None:
    well = health_of(CallTroubles())
    assert while_silent(well, LONG_SILENCE_MS - 1) == well
    silent = while_silent(well, LONG_SILENCE_MS)
    assert (silent.score, silent.reasons) == (80, ("silent for over 8 s",))


def test_caller_in_84_s_of_silence_needs_a_look_during_it_and_after() -> None:
    silent = while_silent(health_of(CallTroubles()), 84_000)
    assert silent.score < WARN_BELOW
    assert silent.reasons == ("silent for over 20 s",)
    waited = health_of(CallTroubles(silences=1, silent_s=84))
    assert waited.score < BAD_BELOW
    assert waited.reasons == ("the caller waited 84 s in silence", "a long silence")
    assert health_of(CallTroubles(silences=1, silent_s=20)).score < WARN_BELOW
    assert health_of(CallTroubles(silences=1, silent_s=8)).score == 90


def test_pages_and_handbook_have_the_same_bands() -> None:
    page = (ROOT / "bridge/console/static/js/health.js").read_text()
    bands = dict(re.findall(r"^const (\w+_BELOW) = (\d+);$", page, flags=re.MULTILINE))
    assert bands == {"BAD_BELOW": str(BAD_BELOW), "WARN_BELOW": str(WARN_BELOW)}
    handbook = (ROOT / "deploy/CONSOLE.md").read_text()
    assert set(re.findall(r"with a health below (\d+)", handbook)) == set(bands.values())


def test_small_troubles_say_look_only_together() -> None:
    alone = {
        field.name: health_of(CallTroubles(**{field.name: 99})).score
        for field in fields(CallTroubles)
    }
    small = {name for name, score in alone.items() if score >= WARN_BELOW}
    assert {"errors", "slow_answers", "humans_asked"} <= small
    assert health_of(CallTroubles(**dict.fromkeys(small, 99))).score < WARN_BELOW
    assert health_of(CallTroubles(sessions_lost=2)).score < WARN_BELOW
    assert health_of(CallTroubles(handoffs_failed=2)).score < WARN_BELOW
    assert alone["emergencies"] < BAD_BELOW
