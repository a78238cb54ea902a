"""Protocol differences: found in the wire logs of both arms, whichever of them is at fault."""

from collections.abc import Sequence

from pydantic import JsonValue

from bridge.replay.checks.protocol import ArmEvents, ProtocolDifference, compare, sent_paths
from bridge.replay.evidence.evidence import WireEvent

_BETA_DELTA, _GA_DELTA = "response.audio.delta", "response.output_audio.delta"


def _event(
    kind: str,
    at_ms: float = 0.0,
    *,
    sent: bool = False,
    canonical: str | None = "Something",
    fields: Sequence[str] = (),
    **raw: JsonValue,
) -> WireEvent:
    return WireEvent(
        0,
        at_ms,
        "sent" if sent else "received",
        kind,
        canonical,
        {"type": kind, **raw},
        tuple(fields),
    )


def _talk(delta: str) -> list[WireEvent]:
    return [
        _event("session.created", 0),
        _event("response.created", 10, response={"id": "r1"}),
        _event(delta, 20, response_id="r1", event_id="e1"),
        _event("response.done", 30, response={"id": "r1"}),
    ]


def _compare(
    reference: Sequence[WireEvent], other: Sequence[WireEvent], *, faulty: bool = False
) -> tuple[ProtocolDifference, ...]:
    sides = ArmEvents("beta", "beta", [reference]), ArmEvents("ga", "ga", [other])
    return compare(*sides, faulty=faulty)


def _told(found: Sequence[ProtocolDifference]) -> list[tuple[str, str, bool]]:
    return [(each.kind.value, each.event, each.blocks) for each in found]


def test_names_that_differ_by_the_protocol_are_no_difference() -> None:
    assert not _compare(_talk(_BETA_DELTA), _talk(_GA_DELTA))


def test_an_event_that_never_comes_is_missing_or_extra() -> None:
    whole, less = _talk(_BETA_DELTA), _talk(_GA_DELTA)
    del less[2]
    assert _told(_compare(whole, less)) == [("missing", _GA_DELTA, True)]
    assert _told(_compare(less, whole)) == [("extra", _GA_DELTA, True)]


def test_what_depends_on_the_talk_does_not_block() -> None:
    with_cancel = [*_talk(_GA_DELTA), _event("response.cancel", 40, sent=True)]
    assert _told(_compare(_talk(_BETA_DELTA), with_cancel)) == [("extra", "response.cancel", False)]


def test_what_one_of_several_calls_has_is_no_difference() -> None:
    rare = [*_talk(_BETA_DELTA), _event("response.cancel", 40, sent=True)]
    sides = (
        ArmEvents("beta", "beta", [rare, _talk(_BETA_DELTA)]),
        ArmEvents("ga", "ga", [_talk(_GA_DELTA)]),
    )
    assert not compare(*sides)


def test_an_event_that_a_dialect_does_not_know_blocks_on_either_arm() -> None:
    strange = [*_talk(_GA_DELTA), _event("response.novelty", 50, canonical=None)]
    for reference, other in ((_talk(_BETA_DELTA), strange), (strange, _talk(_BETA_DELTA))):
        kinds = _told(_compare(reference, other))
        assert ("unknown", "response.novelty", True) in kinds


def test_an_event_that_both_do_not_know_is_no_difference() -> None:
    extra = _event("response.novelty", 50, canonical=None)
    assert not _compare([*_talk(_BETA_DELTA), extra], [*_talk(_GA_DELTA), extra])


def test_an_event_that_comes_twice_is_a_duplicate() -> None:
    talk = _talk(_GA_DELTA)
    twice = [*talk[:3], talk[2], talk[3]]
    assert _told(_compare(_talk(_BETA_DELTA), twice)) == [("duplicate", _GA_DELTA, True)]


def test_an_event_before_its_turn_is_out_of_order() -> None:
    talk = _talk(_GA_DELTA)
    swapped = [talk[0], talk[2], talk[1], talk[3]]
    found = _compare(_talk(_BETA_DELTA), swapped)
    assert _told(found) == [("out_of_order", "response.created", True)]
    assert found[0].at_ms == 10


def test_a_response_after_another_is_in_order() -> None:
    second = [
        _event("response.created", 50, response={"id": "r2"}),
        _event(_GA_DELTA, 60, response_id="r2", event_id="e2"),
    ]
    assert not _compare(_talk(_BETA_DELTA), [*_talk(_GA_DELTA), *second])


def test_a_field_that_never_holds_anything_on_one_arm_blocks() -> None:
    full = [_event("response.done", fields=["usage.total", "usage.output_audio", "status"])]
    less = [_event("response.done", fields=["status"])]
    (found,) = _compare(full, less)
    assert (found.kind, found.detail) == ("field_missing", "usage is never there on ga")
    (found,) = _compare(less, full)
    assert (found.kind, found.detail) == ("field_extra", "usage is never there on beta")


def test_a_field_that_is_there_now_and_then_is_no_difference() -> None:
    now_and_then = [_event("response.done", fields=["reason"]), _event("response.done")]
    assert not _compare(now_and_then, [_event("response.done")])


def test_settings_are_compared_under_the_same_names() -> None:
    flat: JsonValue = {
        "voice": "alloy",
        "turn_detection": {"type": "server_vad", "threshold": 0.5},
        "input_audio_format": "pcm16",
        "modalities": ["text", "audio"],
    }
    nested: JsonValue = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "turn_detection": {"type": "server_vad", "threshold": 0.5},
            },
            "output": {"voice": "alloy"},
        },
    }
    beta = [_event("session.update", sent=True, session=flat)]
    assert not _compare(beta, [_event("session.update", sent=True, session=nested)])


def test_a_setting_that_one_adapter_forgets_is_named() -> None:
    flat: JsonValue = {"turn_detection": {"type": "server_vad", "threshold": 0.5}}
    nested: JsonValue = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    beta = [_event("session.update", sent=True, session=flat)]
    (found,) = _compare(beta, [_event("session.update", sent=True, session=nested)])
    assert found.detail == "session.turn_detection.threshold is never there on ga"


def test_nothing_blocks_where_the_service_was_told_to_fail() -> None:
    less = _talk(_GA_DELTA)
    del less[2]
    assert _told(_compare(_talk(_BETA_DELTA), less, faulty=True)) == [("missing", _GA_DELTA, False)]


def test_without_a_wire_log_nothing_is_said() -> None:
    assert not _compare([], _talk(_GA_DELTA))


def test_shapes_that_are_the_dialplans_own_are_not_looked_into() -> None:
    tool: JsonValue = {"name": "pay", "parameters": {"type": "object", "properties": {}}}
    assert set(sent_paths({"session": {"tools": [tool]}})) == {
        "session.tools[].name",
        "session.tools[].parameters",
    }
