"""The draw: sticky, fair, monotone."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.routing.rollout.draw import choose, draw, targeting_key

KEYS = [targeting_key(b"s", f"+1555{number:07d}", "") for number in range(20_000)]


def chosen(key: str, weights: dict[str, int]) -> str | None:
    return choose(key, "voice", "salt", weights)


def test_a_callers_draw_is_the_same_at_every_call() -> None:
    again = targeting_key(b"s", "+15550000007", "another-call-id")
    assert again == KEYS[7]
    assert chosen(again, {"old": 500, "new": 500}) == chosen(KEYS[7], {"old": 500, "new": 500})


def test_withheld_numbers_are_dealt_by_call() -> None:
    assert targeting_key(b"s", "", "a@b") != targeting_key(b"s", "", "c@d")


def test_a_key_depends_on_the_secret_and_does_not_hold_the_number() -> None:
    key = targeting_key(b"s", "+15550000007", "")
    assert key != targeting_key(b"t", "+15550000007", "")
    assert "5550000007" not in key


@pytest.mark.parametrize("weight", [1, 10, 50, 250, 500])
def test_the_share_is_the_weight(weight: int) -> None:
    counts = Counter(chosen(key, {"old": 1000 - weight, "new": weight}) for key in KEYS)
    expected = len(KEYS) * weight / 1000
    assert abs(counts["new"] - expected) < 5 * (expected * (1 - weight / 1000)) ** 0.5 + 1


def test_a_growing_arm_keeps_its_callers_among_three() -> None:
    """5% -> 10% keeps the first 5%."""
    moved = Counter[tuple[str | None, str | None]]()
    for key in KEYS:
        before = chosen(key, {"old": 900, "other": 50, "new": 50})
        after = chosen(key, {"old": 850, "other": 50, "new": 100})
        moved[before, after] += 1
    assert moved["new", "new"] > 800
    assert moved["old", "new"] > 800
    assert moved["new", "old"] == moved["new", "other"] == 0


@given(st.integers(0, 1000), st.integers(0, 1000), st.text(min_size=1, max_size=20))
def test_two_arms_are_monotone_for_every_pair_of_weights(one: int, two: int, key: str) -> None:
    less, more = sorted((one, two))
    if chosen(key, {"old": 1000 - less, "new": less}) == "new":
        assert chosen(key, {"old": 1000 - more, "new": more}) == "new"


def test_an_arm_without_weight_gets_nobody_and_nothing_gets_nothing() -> None:
    assert all(chosen(key, {"old": 1000, "new": 0}) == "old" for key in KEYS[:500])
    assert chosen(KEYS[0], {"old": 0}) is None


def test_flags_and_salts_deal_independently() -> None:
    first = [draw(key, "voice", "a", "new") for key in KEYS[:2000]]
    second = [draw(key, "voice", "b", "new") for key in KEYS[:2000]]
    both = sum(1 for one, two in zip(first, second, strict=True) if one < 0.5 and two < 0.5)
    assert 400 < both < 600
