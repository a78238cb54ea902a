"""Markers, words and seconds on the clock."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.replay.report.lanes import (
    MARKER_PX,
    Scale,
    clock_text,
    place_captions,
    place_flags,
)
from bridge.replay.results.detail import Marker, TranscriptTurn


@given(st.lists(st.floats(-500, 60_000), max_size=60))
def test_markers_never_lie_upon_each_other(moments_ms: list[float]) -> None:
    scale = Scale.of(60_000)
    flags = place_flags([Marker(at_ms, "bridge", "committed") for at_ms in moments_ms], scale)
    assert len(flags) == len(moments_ms)
    for flag in flags:
        beside = [other.left_px for other in flags if other.row == flag.row and other is not flag]
        assert all(abs(left_px - flag.left_px) >= MARKER_PX - 0.01 for left_px in beside)


def test_markers_that_have_room_stay_in_the_first_row() -> None:
    markers = [Marker(at_ms, "caller", "speech_started") for at_ms in (0.0, 5000.0, 10_000.0)]
    assert {flag.row for flag in place_flags(markers, Scale.of(20_000))} == {0}


def test_a_kind_that_is_not_known_is_named_as_it_is() -> None:
    (flag,) = place_flags([Marker(10.0, "bridge", "new_thing", "x")], Scale.of(1000))
    assert (flag.name, flag.text) == ("new thing", "x")


def test_a_long_call_is_scrolled_and_a_short_one_fits() -> None:
    assert Scale.of(14_000).width_px < 900
    assert Scale.of(600_000).width_px > 10_000
    assert all(
        later - sooner >= 50
        for scale in (Scale.of(9000), Scale.of(600_000))
        for (sooner, _), (later, _) in pairwise(scale.ticks)
    )


def test_words_end_where_the_speakers_next_ones_begin() -> None:
    turns = [
        TranscriptTurn("agent", "One.", None, None, 0, 3000),
        TranscriptTurn("agent", None, "Two.", None, 2000, 4000),
    ]
    first, second = place_captions(turns, Scale(10_000, 50))
    assert (first.left_px, first.width_px, first.text) == (0, 100, "One.")
    assert (second.left_px, second.width_px, second.text) == (100, 100, "Two.")


def test_a_sentence_that_the_recogniser_does_not_know_is_told_by_the_session() -> None:
    turn = TranscriptTurn("agent", "[?] [?]", "Thanks for calling.", None, 0, 3000)
    unknown = TranscriptTurn("agent", "[?]", None, None, 4000, 5000)
    captions = place_captions([turn, unknown], Scale(10_000, 50))
    assert [each.text for each in captions] == ["Thanks for calling.", "[?]"]


def test_moments_read_as_people_say_them() -> None:
    assert [clock_text(at_ms) for at_ms in (-23, -480, 8000, 8400, 59_900, 125_000)] == [
        "0.0 s",
        "−0.5 s",
        "8.0 s",
        "8.4 s",
        "59.9 s",
        "2:05",
    ]
