"""Estimated MOS against the figures of `NEEDS.md` section 3."""

import pytest

from bridge.live.records.rtp import estimated_mos


@pytest.mark.parametrize(("loss", "mos"), [(0.01, 4.23), (0.03, 4.00), (0.05, 3.77)])
def test_mos_at_150_ms(loss: float, mos: float) -> None:
    assert estimated_mos(loss, 150) == pytest.approx(mos, abs=0.01)


def test_a_perfect_line_is_good_and_a_dead_one_is_one() -> None:
    assert 4.3 < estimated_mos(0, 50) <= 4.5
    assert estimated_mos(1, 2000) == 1.0


def test_more_loss_or_delay_is_never_better() -> None:
    by_loss = [estimated_mos(loss / 100, 100) for loss in range(40)]
    by_delay = [estimated_mos(0, delay) for delay in range(0, 1000, 20)]
    assert by_loss == sorted(by_loss, reverse=True)
    assert by_delay == sorted(by_delay, reverse=True)
