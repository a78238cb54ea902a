"""When a registration is renewed and tried again, on a clock that only the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.registration import (
    LONGEST_RETRY_AFTER_S,
    LONGEST_RETRY_OF_REFUSED_S,
    LONGEST_RETRY_S,
    RegisterAnswer,
    Registration,
    RegistrationState,
)

S = 1_000_000_000


@pytest.mark.parametrize(("granted_s", "lasts_s"), [(10, 10), (600, 600), (86_400, 600)])
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_grant_is_renewed_before_its_end(granted_s: int, lasts_s: int, chance: float) -> None:
    kept = Registration(600)
    assert kept.state(0) is RegistrationState.ENDED
    due_s = kept.answered(RegisterAnswer(200, granted_s), 0, chance)
    assert 0.7 * lasts_s <= due_s <= 0.9 * lasts_s
    assert kept.state(lasts_s * S - 1) is RegistrationState.REGISTERED
    assert kept.state(lasts_s * S) is RegistrationState.FAILING


def test_a_refresh_that_fails_leaves_the_binding_to_its_end() -> None:
    kept = Registration(600)
    kept.answered(RegisterAnswer(200, 600), 0, 0)
    assert kept.answered(RegisterAnswer(408), 500 * S, 0) <= 2
    assert kept.state(501 * S) is RegistrationState.REGISTERED
    assert kept.state(600 * S) is RegistrationState.FAILING


@pytest.mark.parametrize("code", [401, 403, 404, 407, 603])
def test_a_refusal_ends_the_binding_and_is_tried_again_much_later(code: int) -> None:
    kept = Registration(600)
    kept.answered(RegisterAnswer(200, 600), 0, 0)
    delays = [kept.answered(RegisterAnswer(code), S, 0) for _ in range(10)]
    assert kept.state(S) is RegistrationState.REFUSED
    assert delays[0] >= 150
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_RETRY_OF_REFUSED_S / 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from([408, 423, 480, 500, 503, 504]),
            st.none() | st.integers(0, 999_999_999),
            st.floats(0, 1),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_failures_are_tried_again_ever_later_and_never_at_once(
    answers: list[tuple[int, int | None, float]],
) -> None:
    kept = Registration(600)
    for code, after_s, chance in answers:
        delay_s = kept.answered(RegisterAnswer(code, retry_after_s=after_s), 0, chance)
        assert delay_s >= 1
        assert delay_s >= min(after_s or 0, LONGEST_RETRY_AFTER_S)
        assert delay_s <= max(LONGEST_RETRY_S, LONGEST_RETRY_AFTER_S * 1.1)
        assert kept.state(0) is RegistrationState.FAILING
    assert kept.answered(RegisterAnswer(200, 100), 0, 0) == 70
    assert kept.answered(RegisterAnswer(503), 0, 0) == 1


def test_two_nodes_do_not_come_back_together() -> None:
    delays = {Registration(600).answered(RegisterAnswer(503), 0, chance) for chance in (0, 0.5, 1)}
    assert len(delays) == 3


def test_a_2xx_without_a_binding_is_no_registration() -> None:
    kept = Registration(600)
    assert kept.answered(RegisterAnswer(200, 0), 0, 0) >= 1
    assert kept.state(0) is RegistrationState.FAILING
