"""The conversation as the event stream of a call tells it."""

from collections.abc import Mapping

from bridge.demo.follow import EndLine, FollowedCall, InterruptionLine, Line, TurnLine

BEGUN_MS = 1_795_230_754_274


def feed(call: FollowedCall, *events: tuple[int, Mapping[str, str]]) -> list[Line]:
    """Feed (ms since the answer, fields); return all lines."""
    return [line for ms, fields in events for line in call.feed(f"{BEGUN_MS + ms}-0", fields)]


def phase(old: str, new: str, cause: str = "") -> Mapping[str, str]:
    return {"kind": "phase", "old": old, "new": new, "cause": cause}


def turn(speaker: str, item: str, **more: str) -> Mapping[str, str]:
    fields = {"speaker": speaker, "item_id": item, "text": f"text of {item}", "interrupted": "0"}
    return {"kind": "turn", **fields, **more}


ANSWERED = (0, phase("idle", "listening", "answered"))
GREETED = ((180, phase("thinking", "speaking")), (1030, turn("agent", "a1")))


def test_greeting_takes_its_latency_from_the_answer() -> None:
    call = FollowedCall()

    (line,) = feed(call, ANSWERED, *GREETED)

    assert isinstance(line, TurnLine)
    assert (line.at_ms, line.speaker, line.latency_ms) == (180, "agent", 180)
    assert call.greeting_latency_ms == 180


def test_turn_told_again_is_one_line() -> None:
    call = FollowedCall()

    lines = feed(call, ANSWERED, *GREETED, (7000, turn("agent", "a1", heard_ms="6800")))

    assert len(lines) == 1


def test_turn_waits_for_its_latency_and_keeps_its_place() -> None:
    call = FollowedCall()
    feed(call, ANSWERED, *GREETED)

    asked = feed(call, (9000, turn("caller", "c1")), (9100, turn("agent", "a2")))
    interrupted = feed(call, (9200, {"kind": "interrupted", "played_ms": "20"}))
    told = feed(call, (9300, turn("agent", "a2", latency_ms="781")))

    assert [type(line) for line in asked] == [TurnLine]
    assert interrupted == []
    assert [type(line) for line in told] == [TurnLine, InterruptionLine]


def test_turn_after_the_caller_has_no_greeting_latency() -> None:
    call = FollowedCall()
    feed(call, ANSWERED, *GREETED, (9000, turn("caller", "c1")))

    (line,) = feed(call, (9300, turn("agent", "a2", heard_ms="500")))

    assert isinstance(line, TurnLine)
    assert line.latency_ms is None


def test_interruption_is_marked_where_it_happened() -> None:
    call = FollowedCall()

    lines = feed(call, ANSWERED, *GREETED, (4380, {"kind": "interrupted", "played_ms": "4200"}))

    assert lines[1:] == [InterruptionLine(4380, 4200)]


def test_end_lets_everything_out() -> None:
    call = FollowedCall()
    ended = {"kind": "ended", "outcome": "completed", "reason": "end_call"}

    lines = feed(call, ANSWERED, (100, turn("agent", "a1")), (200, ended))

    assert [type(line) for line in lines] == [TurnLine, EndLine]
    assert call.ended


def test_unknown_kinds_are_passed_over() -> None:
    assert feed(FollowedCall(), (5, {"kind": "digit"}), (6, {})) == []
