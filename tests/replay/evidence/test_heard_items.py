"""Each of the agent's turns is told with the answer that was heard in it, not with another."""

import json
from typing import Any, Literal

import pytest
from pydantic import JsonValue

from bridge.replay.checks.run import RunJudgement
from bridge.replay.evidence.evidence import CallerEvidence, Evidence, WireEvent
from bridge.replay.evidence.heard_items import HeardItem, heard_items, references
from bridge.replay.results.call import CallOutcome
from bridge.replay.results.from_evidence import detail_from_evidence
from bridge.replay.results.run import RunVerdict

Raw = dict[str, Any]  # Any: JSON


def wired(
    at_ms: float, type: str, raw: Raw, direction: Literal["sent", "received"] = "received"
) -> WireEvent:
    return WireEvent(round(at_ms * 1e6), at_ms, direction, type, type, raw)


def spoken(
    item_id: str, text: str, at_ms: float, ms: float, prefix: str = "response.output_"
) -> list[WireEvent]:
    """Return an answer whose audio comes at once, in two pieces."""
    half = {"bytes": int(ms * 24), "ms": ms / 2}
    return [
        wired(at_ms, f"{prefix}audio.delta", {"item_id": item_id, "delta": half}),
        wired(at_ms + 5, f"{prefix}audio.delta", {"item_id": item_id, "delta": half}),
        wired(
            at_ms + 9, f"{prefix}audio_transcript.done", {"item_id": item_id, "transcript": text}
        ),
    ]


@pytest.mark.parametrize("prefix", ["response.", "response.output_"])
def test_an_item_is_heard_after_the_one_before_it(prefix: str) -> None:
    wire = [*spoken("a", "One.", 100, 1000, prefix), *spoken("b", "Two.", 200, 500, prefix)]
    first, second = heard_items(wire)
    assert (first.start_ms, first.end_ms) == (100, 1100)
    assert (second.start_ms, second.text) == (1100, "Two.")


def test_an_interruption_ends_what_is_heard_and_what_was_to_follow() -> None:
    cut = wired(600, "conversation.item.truncate", {"item_id": "a"}, "sent")
    wire = [*spoken("a", "Long.", 0, 5000), *spoken("b", "Never heard.", 100, 900), cut]
    wire += spoken("c", "Sure.", 2000, 800)
    assert [(item.item_id, item.end_ms) for item in heard_items(wire)] == [("a", 600), ("c", 2800)]


def test_an_item_that_was_cut_has_the_words_that_came() -> None:
    audio, *_ = spoken("a", "", 0, 1000)
    words = [
        wired(1, "response.output_audio_transcript.delta", {"item_id": "a", "delta": each})
        for each in ("You can ", "return")
    ]
    (item,) = heard_items([audio, *words])
    assert item.text == "You can return"


def test_a_turn_has_all_that_was_heard_in_it_and_nothing_else() -> None:
    items = [
        HeardItem("a", "One moment, please.", 1000, 2400),
        HeardItem("b", "It costs forty two dollars.", 2700, 4500),
        HeardItem("c", "Goodbye.", 8000, 8600),
    ]
    told = references([(1080, 4580), (8090, 8650)], items)
    assert told == ["One moment, please. It costs forty two dollars.", "Goodbye."]


def test_the_next_answer_that_came_while_a_turn_was_heard_is_not_its_own() -> None:
    items = [HeardItem("a", "One.", 1000, 3000), HeardItem("b", "Two.", 2950, 5000)]
    assert references([(1080, 2980), (3400, 5080)], items) == ["One.", "Two."]


def test_what_the_bridge_itself_said_has_no_reference() -> None:
    items = [HeardItem("a", "One.", 9000, 10_000)]
    assert references([(1000, 3000), (9080, 10_080)], items) == [None, "One."]


def test_a_clock_that_fell_behind_still_finds_the_item() -> None:
    items = [HeardItem("a", "One.", 1000, 1500), HeardItem("b", "Two.", 5000, 5500)]
    assert references([(300, 800), (4200, 4700)], items) == ["One.", "Two."]


def tool_of(name: str, output: str | None, record: dict[str, JsonValue]) -> bool:
    """Return whether a tool is told to have ended well."""
    item = {"type": "function_call", "name": name, "call_id": "call_1", "arguments": "{}"}
    wire = [wired(100, "response.output_item.done", {"item": item})]
    if output is not None:
        answer = {"type": "function_call_output", "call_id": "call_1", "output": output}
        wire.append(wired(200, "conversation.item.create", {"item": answer}, "sent"))
    caller = CallerEvidence(CallOutcome.ANSWERED, 200, "id")
    evidence = Evidence("run", "arm", "ga", caller, record=record, wire=tuple(wire))
    detail, _ = detail_from_evidence(evidence, RunJudgement(RunVerdict.PASS), {})
    (tool,) = detail.tools
    return tool.ok


def test_an_end_call_that_ended_the_call_went_well() -> None:
    assert tool_of("end_call", None, {"reason": "end_call"})
    assert not tool_of("end_call", None, {"reason": "caller_hung_up"})


def test_a_transfer_that_was_completed_went_well() -> None:
    assert tool_of(
        "transfer_to_human", None, {"handoffs": [{"result": "completed", "way": "refer"}]}
    )
    assert not tool_of(
        "transfer_to_human", None, {"handoffs": [{"result": "busy", "way": "refer"}]}
    )


def test_a_tool_of_the_bridges_own_that_answers_with_an_error_failed() -> None:
    assert not tool_of("end_call", json.dumps({"error": "the caller went on"}), {"reason": "x"})
    assert tool_of("collect_digits", json.dumps({"digits": "123"}), {})


def test_a_webhooks_own_word_decides() -> None:
    record: dict[str, JsonValue] = {"tools": [{"name": "pay", "ok": False}]}
    assert not tool_of("pay", "late", record)


def test_an_item_ends_where_the_gateway_silenced_the_agent_though_no_service_heard_of_it() -> None:
    wire = [*spoken("a", "A long answer.", 1000, 9000), *spoken("b", "Go ahead.", 4000, 1000)]
    assert [item.start_ms for item in heard_items(wire)] == [1000, 10_000]
    first, second = heard_items(wire, [3000])
    assert first == HeardItem("a", "A long answer.", 1000, 3000)
    assert (second.item_id, second.start_ms) == ("b", 4000)
