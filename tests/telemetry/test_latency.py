import pytest

from bridge.clock import NS_PER_MS
from bridge.telemetry.latency import LatencySummary, LatencyWindow


def test_empty_window_has_no_summary() -> None:
    assert LatencyWindow().summary() is None


def test_one_sample_is_every_percentile() -> None:
    window = LatencyWindow()
    window.add(3 * NS_PER_MS)
    assert window.summary() == LatencySummary(1, 1, 3.0, 3.0, 3.0, 3.0)


def test_percentiles_are_nearest_rank() -> None:
    window = LatencyWindow()
    for ms in reversed(range(1, 101)):
        window.add(ms * NS_PER_MS)
    assert window.summary() == LatencySummary(100, 100, 50.0, 95.0, 99.0, 100.0)


def test_oldest_sample_makes_room() -> None:
    window = LatencyWindow(3)
    for ms in (900, 1, 2, 3):
        window.add(ms * NS_PER_MS)
    assert window.summary() == LatencySummary(4, 3, 2.0, 3.0, 3.0, 3.0)


def test_window_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample, not 0"):
        LatencyWindow(0)
