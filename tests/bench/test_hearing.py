"""What callers hear: losses, lateness, gaps and holes, counted for all calls at once."""

from itertools import count

import numpy as np
import pytest

from bridge.bench.hearing import HeardRtp, RtpHearing
from bridge.clock import NS_PER_MS

LOUD, SILENT = 0x10, 0xFF


class Line:
    """Feeds one row, a packet each 20 ms unless told otherwise."""

    def __init__(self, hearing: RtpHearing, row: int = 3) -> None:
        self._hearing = hearing
        self._row = row
        self._numbers = count(65_530)  # wraps soon
        self._now_ms = 0.0

    def packets(self, number: int, level: int = SILENT, *, delay_ms: float = 0.0) -> None:
        for _ in range(number):
            sequence = next(self._numbers)
            self._now_ms += 20
            self._hearing.take(
                np.array([self._row]),
                np.array([sequence % 65_536]),
                np.array([(sequence - 65_530) * 160]),
                np.array([int((self._now_ms + delay_ms) * NS_PER_MS)]),
                np.full((1, 160), level, dtype=np.uint8),
            )

    def lose(self, number: int) -> None:
        for _ in range(number):
            next(self._numbers)
            self._now_ms += 20


@pytest.fixture
def hearing() -> RtpHearing:
    return RtpHearing(8)


@pytest.fixture
def line(hearing: RtpHearing) -> Line:
    hearing.forget(3)
    return Line(hearing)


def test_steady_stream_has_no_fault(hearing: RtpHearing, line: Line) -> None:
    line.packets(50)

    assert hearing.window() == HeardRtp(50, 0, 0, 0, 20.0, 0)


def test_missing_sequence_numbers_are_lost_packets(hearing: RtpHearing, line: Line) -> None:
    line.packets(3)
    line.lose(4)  # over the wrap
    line.packets(10)

    heard = hearing.window()
    assert (heard.packets, heard.lost, heard.gaps, heard.longest_gap_ms) == (13, 4, 1, 100.0)


def test_packet_within_the_jitter_buffer_is_in_time(hearing: RtpHearing, line: Line) -> None:
    line.packets(10)
    line.packets(5, delay_ms=59)

    assert hearing.window().late == 0


def test_stall_counts_the_packets_it_kept_and_not_the_rest_of_the_call(
    hearing: RtpHearing, line: Line
) -> None:
    line.packets(10)
    line.packets(40, delay_ms=90)  # the far end's clock stood still, and goes on

    heard = hearing.window()
    assert (heard.late, heard.gaps, heard.longest_gap_ms) == (1, 1, 110.0)


def test_buffer_that_slipped_comes_back_with_the_fast_path(hearing: RtpHearing, line: Line) -> None:
    line.packets(10)
    line.packets(1, delay_ms=90)
    line.packets(20)
    line.packets(1, delay_ms=70)

    assert hearing.window().late == 2


def test_short_silence_inside_an_answer_is_a_hole(hearing: RtpHearing, line: Line) -> None:
    line.packets(20, LOUD)
    line.packets(2, SILENT)
    line.packets(20, LOUD)

    assert hearing.window().dropouts == 1


def test_silence_between_two_answers_is_none(hearing: RtpHearing, line: Line) -> None:
    line.packets(20, SILENT)
    line.packets(20, LOUD)
    line.packets(100, SILENT)
    line.packets(20, LOUD)

    assert hearing.window().dropouts == 0


def test_several_packets_of_a_call_in_one_batch_count_in_their_order(hearing: RtpHearing) -> None:
    rows = np.array([1, 2, 1, 1, 2])
    for row in (1, 2):
        hearing.forget(row)

    hearing.take(
        rows,
        np.array([7, 7, 8, 10, 8]),
        np.array([0, 0, 160, 480, 160]),
        np.array([0, 1, 20, 60, 21]) * NS_PER_MS,
        np.full((5, 160), SILENT, dtype=np.uint8),
    )

    heard = hearing.window()
    assert (heard.packets, heard.lost, heard.longest_gap_ms) == (5, 1, 40.0)


def test_window_forgets_what_it_has_told(hearing: RtpHearing, line: Line) -> None:
    line.packets(10)
    line.lose(5)
    line.packets(1)
    hearing.window()
    line.packets(10)

    assert hearing.window() == HeardRtp(10, 0, 0, 0, 20.0, 0)
