"""Two wire logs beside each other."""

from typing import Literal

from pydantic import JsonValue

from bridge.replay.evidence.evidence import WireEvent
from bridge.replay.report.events import align_events, gather


def _event(
    at_ms: float,
    kind: str,
    *,
    known: bool = True,
    direction: Literal["sent", "received"] = "received",
    **raw: JsonValue,
) -> WireEvent:
    return WireEvent(0, at_ms, direction, kind, "X" if known else None, {"type": kind, **raw})


def test_a_stream_of_deltas_is_one_row_whatever_is_sent_between() -> None:
    wire = [
        _event(1, "response.audio.delta"),
        _event(2, "input_audio_buffer.append", direction="sent"),
        _event(3, "response.audio.delta"),
        _event(4, "input_audio_buffer.append", direction="sent"),
        _event(5, "response.done"),
    ]
    assert [(run.name, run.count) for run in gather(wire)] == [
        ("response.output_audio.delta", 2),
        ("input_audio_buffer.append", 2),
        ("response.done", 1),
    ]


def test_words_and_audio_of_a_response_do_not_cut_each_other_up() -> None:
    wire = [
        _event(1, "response.audio.delta", response_id="r1"),
        _event(2, "response.audio_transcript.delta", response_id="r1"),
        _event(3, "response.audio.delta", response_id="r1"),
        _event(4, "response.audio.delta", response_id="r2"),
    ]
    assert [(run.name, run.type, run.count) for run in gather(wire)] == [
        ("response.output_audio.delta", "response.audio.delta", 2),
        ("response.output_audio_transcript.delta", "response.audio_transcript.delta", 1),
        ("response.output_audio.delta", "response.audio.delta", 1),
    ]


def test_what_a_dialect_has_no_event_for_is_no_difference() -> None:
    (row,) = align_events([], gather([_event(1, "conversation.item.done")]))
    assert (row.same, row.differs) == (False, False)


def test_a_duplicate_is_seen() -> None:
    runs = gather([_event(1, "response.done"), _event(2, "response.done")])
    assert [run.count for run in runs] == [1, 1]


def test_other_names_on_the_wire_are_the_same_event() -> None:
    first = gather([_event(1, "response.audio.delta"), _event(2, "response.done")])
    second = gather(
        [
            _event(1, "response.output_audio.delta"),
            _event(2, "response.output_audio.delta"),
            _event(3, "response.done"),
        ]
    )
    assert all(row.same for row in align_events(first, second))


def test_an_event_of_one_arm_stands_alone() -> None:
    first = gather([_event(1, "session.created"), _event(3, "response.done")])
    second = gather(
        [
            _event(1, "session.created"),
            _event(2, "new.kind", known=False),
            _event(3, "response.done"),
        ]
    )
    rows = align_events(first, second)
    assert [row.same for row in rows] == [True, False, True]
    alone = rows[1].second
    assert alone is not None
    assert (alone.name, alone.known) == ("new.kind", False)


def test_a_long_event_is_cut_and_says_so() -> None:
    (run,) = gather([_event(1, "session.created", instructions="x" * 9000)])
    assert len(run.raw) < 4100
    assert "more characters in wire.jsonl" in run.raw
