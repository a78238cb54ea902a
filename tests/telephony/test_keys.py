"""Presses told apart: many packets, two methods, late packets, long presses."""

import pytest

from bridge.clock import ManualClock
from bridge.telemetry.labels import DtmfMethod
from bridge.telephony.keys import KeyFilter, KeyPress


class Keys:
    """A filter, and what it told: accepted keys, and those told again in brackets."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.filter = KeyFilter(self.clock)
        self.told = ""

    def event(self, digit: str, begins_ms: int, *lengths_ms: int, ended: bool = True) -> None:
        for number, length_ms in enumerate(lengths_ms, 1):
            over = ended and number == len(lengths_ms)
            self._note(self.filter.on_event(digit, begins_ms, length_ms, over))
            self.clock.advance_ms(20)

    def info(self, digit: str) -> None:
        self._note(self.filter.on_info(digit))

    def _note(self, press: KeyPress | None) -> None:
        if press is not None:
            self.told += f"[{press.digit}]" if press.repeated else press.digit


def test_packets_of_one_event_are_one_press() -> None:
    keys = Keys()
    keys.event("5", 1000, 20, 40, 60, 80, 80, 80)
    assert keys.told == "5"


def test_same_key_twice_is_two_presses_however_long_they_were() -> None:
    keys = Keys()
    keys.event("1", 1000, 20, 40, 60)
    keys.event("1", 1120, 80, 100)  # its first packets were lost
    assert keys.told == "11"


def test_packet_that_comes_late_is_no_press() -> None:
    keys = Keys()
    keys.event("1", 1000, 20, 60)
    keys.event("1", 1000, 40)
    keys.event("2", 1200, 20)
    keys.event("1", 1000, 60)
    assert keys.told == "12"


def test_long_press_in_segments_is_one() -> None:
    keys = Keys()
    keys.event("*", 0, 20, 8191, ended=False)
    keys.event("*", 8191, 20, 40)
    assert keys.told == "*"


def test_sender_that_moves_the_timestamp_presses_once() -> None:
    keys = Keys()
    for begins_ms in range(0, 100, 20):
        keys.event("3", begins_ms, begins_ms + 20, ended=begins_ms == 80)
    assert keys.told == "3"


def test_two_presses_whose_end_was_lost_are_two() -> None:
    keys = Keys()
    keys.event("3", 0, 20, 40, ended=False)
    keys.event("3", 200, 20, 40)
    assert keys.told == "33"


@pytest.mark.parametrize("info_first", [True, False])
def test_press_told_by_both_counts_once(info_first: bool) -> None:
    keys = Keys()
    for begins_ms, digit in enumerate("112"):
        if info_first:
            keys.info(digit)
        keys.event(digit, begins_ms * 200, 20, 40, 60)
        if not info_first:
            keys.info(digit)
    assert keys.told.replace("[1]", "").replace("[2]", "") == "112"
    assert keys.told.count("[") == 3


def test_infos_that_come_after_all_events_are_paired_in_order() -> None:
    keys = Keys()
    for begins_ms, digit in enumerate("1212"):
        keys.event(digit, begins_ms * 200, 20, 40)
    for digit in "1212":
        keys.info(digit)
    assert keys.told == "1212[1][2][1][2]"


def test_info_of_a_key_that_was_held_is_its_press() -> None:
    keys = Keys()
    keys.event("7", 0, *range(20, 5_000, 20))
    keys.info("7")
    assert keys.told == "7[7]"


def test_presses_of_one_method_are_never_paired() -> None:
    keys = Keys()
    for digit in "4444":
        keys.info(digit)
    assert keys.told == "4444"


def test_same_key_later_by_the_other_method_is_a_press() -> None:
    keys = Keys()
    keys.info("4")
    keys.clock.advance_ms(2_100)
    keys.event("4", 0, 20)
    assert keys.told == "44"


def test_events_that_are_no_keys_are_left_out() -> None:
    assert KeyFilter(ManualClock()).on_event("R", 0, 20, False) is None


def test_press_says_how_it_was_told() -> None:
    assert KeyFilter(ManualClock()).on_info("1") == KeyPress("1", DtmfMethod.INFO)
