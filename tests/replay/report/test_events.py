"""Two wire logs beside each other."""

from typing import Literal

from pydantic import JsonValue

from bridge.replay.evidence import WireEvent
from bridge.replay.report.events import align_events, gather


def _event(
    at_ms: float,
    name: str | None,
    kind: str = "x",
    direction: Literal["sent", "received"] = "received",
    **raw: JsonValue,
) -> WireEvent:
    return WireEvent(0, at_ms, direction, kind, name, {"type": kind, **raw})


def test_a_stream_of_deltas_is_one_row_whatever_is_sent_between() -> None:
    wire = [
        _event(1, "AudioDelta", "response.audio.delta"),
        _event(2, "AppendAudio", direction="sent"),
        _event(3, "AudioDelta", "response.audio.delta"),
        _event(4, "AppendAudio", direction="sent"),
        _event(5, "ResponseDone"),
    ]
    assert [(run.name, run.count) for run in gather(wire)] == [
        ("AudioDelta", 2),
        ("AppendAudio", 2),
        ("ResponseDone", 1),
    ]


def test_a_duplicate_is_seen() -> None:
    runs = gather([_event(1, "ResponseDone"), _event(2, "ResponseDone")])
    assert [run.count for run in runs] == [1, 1]


def test_other_names_on_the_wire_are_the_same_event() -> None:
    first = gather([_event(1, "AudioDelta", "response.audio.delta"), _event(2, "ResponseDone")])
    second = gather(
        [
            _event(1, "AudioDelta", "response.output_audio.delta"),
            _event(2, "AudioDelta", "response.output_audio.delta"),
            _event(3, "ResponseDone"),
        ]
    )
    assert all(row.same for row in align_events(first, second))


def test_an_event_of_one_arm_stands_alone() -> None:
    first = gather([_event(1, "SessionCreated"), _event(3, "ResponseDone")])
    second = gather(
        [_event(1, "SessionCreated"), _event(2, None, "new.kind"), _event(3, "ResponseDone")]
    )
    rows = align_events(first, second)
    assert [row.same for row in rows] == [True, False, True]
    alone = rows[1].second
    assert alone is not None
    assert (alone.name, alone.known) == ("new.kind", False)


def test_a_long_event_is_cut_and_says_so() -> None:
    (run,) = gather([_event(1, "SessionCreated", instructions="x" * 9000)])
    assert len(run.raw) < 4100
    assert "more characters in wire.jsonl" in run.raw
