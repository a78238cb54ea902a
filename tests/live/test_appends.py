"""How the end of a sound goes up: through the wait for the socket, or past it."""

import pytest

from bridge.clock import NS_PER_MS as MS
from bridge.engine.media import LastSoundSent
from bridge.live.appends import KEPT, Appends

PIECE_MS = 40


class Told:
    """Appends of 40 ms that are handed 5 ms after their last sample, and what is told of them."""

    def __init__(self) -> None:
        self.sounds: list[LastSoundSent] = []
        self.appends = Appends(self.sounds.append)

    def hand(self, number: int) -> None:
        """Hand the nth append, which ends at n * 40 ms."""
        self.appends.handed(number * PIECE_MS * MS, (number * PIECE_MS + 5) * MS)

    def write(self, number: int, after_ms: int = 1) -> None:
        """Write the nth append so long after it was handed."""
        self.appends.sent(number, (number * PIECE_MS + 5 + after_ms) * MS)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.parametrize(("sound_ms", "number"), [(45, 1), (60, 2), (80, 2), (85, 2), (95, 3)])
def test_append_that_holds_the_sounds_end_is_told(told: Told, sound_ms: int, number: int) -> None:
    for each in (1, 2, 3, 4):
        told.hand(each)
        told.write(each)
    told.appends.sound_ended(sound_ms * MS)
    handed_ms = number * PIECE_MS + 5
    assert told.sounds == [LastSoundSent(sound_ms * MS, handed_ms * MS, (handed_ms + 1) * MS)]


def test_wait_for_the_socket_is_told_once_it_is_over(told: Told) -> None:
    for each in range(1, 11):
        told.hand(each)
    told.appends.sound_ended(80 * MS)
    told.write(1, after_ms=900)
    assert told.sounds == []
    for each in (2, 3):
        told.write(each, after_ms=900)
    assert told.sounds == [LastSoundSent(80 * MS, 85 * MS, 985 * MS)]


def test_sound_whose_append_was_dropped_is_not_told(told: Told) -> None:
    for each in range(1, 6):
        told.hand(each)
    told.appends.sound_ended(80 * MS)
    told.write(4)
    told.write(5)
    assert told.sounds == []


def test_next_sound_takes_the_place_of_one_that_still_waits(told: Told) -> None:
    for each in range(1, 6):
        told.hand(each)
    told.appends.sound_ended(80 * MS)
    told.appends.sound_ended(160 * MS)
    for each in range(1, 6):
        told.write(each)
    assert [sound.at_ns for sound in told.sounds] == [160 * MS]


def test_append_of_kept_audio_is_counted_and_no_more(told: Told) -> None:
    told.appends.skip()
    told.appends.handed(80 * MS, 85 * MS)
    assert told.appends.sent(1, 86 * MS) is None
    assert told.appends.sent(2, 86 * MS) == 80 * MS


def test_sound_that_ended_after_all_appends_is_not_told(told: Told) -> None:
    told.hand(1)
    told.write(1)
    told.appends.sound_ended(60 * MS)
    assert told.sounds == []


def test_sound_that_is_told_too_late_is_not_told_of_another_append(told: Told) -> None:
    for each in range(1, KEPT + 3):
        told.hand(each)
        told.write(each)
    told.appends.sound_ended(3 * PIECE_MS * MS)  # the oldest that is kept: or one before it?
    assert told.sounds == []
    told.appends.sound_ended(4 * PIECE_MS * MS)
    assert [sound.handed_ns for sound in told.sounds] == [(4 * PIECE_MS + 5) * MS]
