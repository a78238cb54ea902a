"""Makes a run's ``result.json`` and markers from its evidence: transcript, stages, tools.

Pure.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from pydantic import JsonValue

from bridge.engine.tools.calls import END_CALL_TOOL, TRANSFER_TOOL
from bridge.replay.call.timeline import CallLog, Doing, make_turns, voices
from bridge.replay.checks.defaults import turns_of
from bridge.replay.checks.protocol import common_name
from bridge.replay.checks.run import RunJudgement
from bridge.replay.checks.side_effects import called_tools, item_of
from bridge.replay.evidence.evidence import Evidence, WireEvent
from bridge.replay.evidence.heard_items import heard_items, references
from bridge.replay.json_fields import number_of, parts_of
from bridge.replay.results.detail import (
    Marker,
    PressedKeys,
    RunDetail,
    ToolUse,
    TranscriptTurn,
    TransferMade,
    TurnStages,
)

_SPOKEN = (Doing.SAY, Doing.INTERRUPT, Doing.BACKCHANNEL)


def detail_from_evidence(
    evidence: Evidence, judgement: RunJudgement, call: Mapping[str, JsonValue]
) -> tuple[RunDetail, tuple[Marker, ...]]:
    """Return a run's ``result.json`` and its markers.

    Args:
        call: :meth:`bridge.replay.results.call.CallResult.as_json`.
    """
    log, wire = evidence.log, evidence.wire or ()
    record = evidence.record or {}
    zero_ms = _call_began_ms(evidence)
    tools = tuple(_tools(wire, record))
    detail = RunDetail(
        call=call,
        checks=judgement.checks,
        transcript=()
        if log is None
        else tuple(_transcript(log, evidence, judgement.off_script_ms)),
        turns=tuple(
            TurnStages(number, stages, total_ms)
            for number, (_, total_ms, stages) in enumerate(
                turns_of(evidence.figures or {}), start=1
            )
        ),
        tools=tools,
        dtmf=() if log is None else tuple(_keys(log)),
        transfer=_transfer(record, zero_ms),
        rtp=_rtp(evidence),
        off_script_from=judgement.off_script_ms,
        why=judgement.reason,
        switched_off=judgement.switched_off,
    )
    markers = [*_bridge_markers(wire), *_tool_markers(tools), *_first_rtp(evidence, zero_ms)]
    if log is not None:
        markers += _caller_markers(log)
    if detail.transfer is not None:
        markers.append(Marker(detail.transfer.at_ms, "bridge", "transfer", detail.transfer.to))
    return detail, tuple(sorted(markers, key=lambda marker: marker.at_ms))


def _call_began_ms(evidence: Evidence) -> float | None:
    """Return when the gateway's call began, on the caller's clock; None where that is not known."""
    began_ms = (evidence.record or {}).get("started_at_ms")
    caller = evidence.caller
    if not isinstance(began_ms, int) or caller is None or caller.answered_wall_ns is None:
        return None
    return began_ms - caller.answered_wall_ns / 1e6


def _transcript(
    log: CallLog, evidence: Evidence, off_script_ms: int | None
) -> Iterator[TranscriptTurn]:
    wire = evidence.wire or ()
    turns = make_turns(log)
    callers = [turn for turn in turns if turn.speaker == "caller"]
    recognised: dict[int, list[str]] = {}
    for at_ms, text in _input_transcripts(wire):
        place = sum(turn.start_ms <= at_ms for turn in callers) - 1
        if place >= 0:
            recognised.setdefault(callers[place].start_ms, []).append(text)
    agents = [turn for turn in turns if turn.speaker == "agent"]
    heard_in = [(float(turn.start_ms), float(turn.end_ms)) for turn in agents]
    said = iter(references(heard_in, heard_items(wire, evidence.silenced_ms)))
    for turn in turns:
        off_script = off_script_ms is not None and turn.start_ms > off_script_ms
        if turn.speaker == "caller":
            heard = recognised.get(turn.start_ms)
            yield TranscriptTurn(
                "caller",
                turn.text,
                turn.text,
                None if heard is None else " ".join(heard),
                turn.start_ms,
                turn.end_ms,
                off_script,
            )
        else:
            yield TranscriptTurn(
                "agent", turn.text, next(said), None, turn.start_ms, turn.end_ms, off_script
            )


def _input_transcripts(wire: Sequence[WireEvent]) -> Iterator[tuple[float, str]]:
    """Yield what the session understood of the caller, and when that was committed."""
    committed: dict[str, float] = {}
    for event in wire:
        item_id = str(event.raw.get("item_id"))
        if event.type == "input_audio_buffer.committed":
            committed[item_id] = event.at_ms
        elif event.type.endswith("input_audio_transcription.completed"):
            yield committed.get(item_id, event.at_ms), str(event.raw.get("transcript", "")).strip()


def _keys(log: CallLog) -> Iterator[PressedKeys]:
    for deed in log.deeds:
        if deed.doing is Doing.DTMF:
            yield PressedKeys(float(deed.start_ms), deed.text)


def _tools(wire: Sequence[WireEvent], record: Mapping[str, JsonValue]) -> Iterator[ToolUse]:
    outputs: dict[str, tuple[float, str]] = {}
    for event in wire:
        item = item_of(event)
        if event.direction == "sent" and item.get("type") == "function_call_output":
            outputs[str(item.get("call_id"))] = event.at_ms, str(item.get("output"))
    results = _results(record)
    for call in called_tools(wire):
        name = call.name
        end_ms, output = outputs.get(call.call_id, (None, None))
        ok = results[name].pop(0) if results.get(name) else _went_well(name, output, record)
        yield ToolUse(name, call.arguments, output, call.at_ms, end_ms, ok)


def _went_well(name: str, output: str | None, record: Mapping[str, JsonValue]) -> bool:
    """Return how a tool of the bridge's own ended; no webhook says so."""
    if output is not None:
        with suppress(ValueError):
            answer = json.loads(output)
            return not (isinstance(answer, dict) and "error" in answer)
        return True
    # What ends the model's part of the call has nobody to answer to.
    if name == END_CALL_TOOL:
        return record.get("reason") == END_CALL_TOOL
    handoffs = parts_of(record, "handoffs")
    return name == TRANSFER_TOOL and bool(handoffs) and handoffs[-1].get("result") == "completed"


def _results(record: Mapping[str, JsonValue]) -> dict[str, list[bool]]:
    """Return how each tool's calls ended, in order, by the gateway's record."""
    found: dict[str, list[bool]] = {}
    for tool in parts_of(record, "tools"):
        found.setdefault(str(tool.get("name")), []).append(bool(tool.get("ok")))
    return found


def _transfer(record: Mapping[str, JsonValue], zero_ms: float | None) -> TransferMade | None:
    handoffs = parts_of(record, "handoffs")
    if not handoffs:
        return None
    last = handoffs[-1]
    at_ms = round((number_of(last, "at_ms") or 0.0) + (zero_ms or 0.0), 1)
    target = last.get("target") or last.get("to")
    return TransferMade(at_ms, str(target), str(last["way"]), str(last["result"]))


def _rtp(evidence: Evidence) -> dict[str, JsonValue]:
    caller = {} if evidence.caller is None else dict(evidence.caller.rtp)
    mos = (evidence.record or {}).get("mos")
    loss_pct = {} if evidence.caller is None else dict(evidence.caller.loss_pct)
    return {"caller": dict(caller), "loss_pct": dict(loss_pct), "gateway_mos": mos}


def _caller_markers(log: CallLog) -> Iterator[Marker]:
    for deed in log.deeds:
        if deed.doing in _SPOKEN:
            if deed.doing is Doing.INTERRUPT:
                yield Marker(deed.start_ms, "caller", "interrupt", deed.text)
            yield Marker(deed.start_ms, "caller", "speech_started", deed.text)
            yield Marker(deed.end_ms, "caller", "speech_stopped")
        elif deed.doing is Doing.DTMF:
            yield Marker(deed.start_ms, "caller", "dtmf", deed.text)
    for filler in log.fillers:
        yield Marker(filler.start_ms, "bridge", "filler", f"a {filler.kind} that bids one wait")
    for utterance in voices(log):
        yield Marker(utterance.start_ms, "agent", "speech_started")
        if utterance.end_ms is not None:
            yield Marker(utterance.end_ms, "agent", "speech_stopped")
    yield Marker(log.duration_ms, "agent" if log.ended_by_far_end else "caller", "hangup")


_MARKED = {
    "input_audio_buffer.committed": "committed",
    "response.created": "response_created",
    "conversation.item.truncate": "truncate",
}


def _bridge_markers(wire: Sequence[WireEvent]) -> Iterator[Marker]:
    heard: set[str] = set()
    for event in wire:
        name = common_name(event.type)
        if name in _MARKED:
            cut_ms = event.raw.get("audio_end_ms")
            text = "" if cut_ms is None else f"at {cut_ms} ms of the answer"
            yield Marker(event.at_ms, "bridge", _MARKED[name], text)
        elif name == "response.output_audio.delta":
            item_id = str(event.raw.get("item_id"))
            if item_id not in heard:
                heard.add(item_id)
                yield Marker(event.at_ms, "bridge", "first_delta")


def _tool_markers(tools: Sequence[ToolUse]) -> Iterator[Marker]:
    for tool in tools:
        yield Marker(tool.start_ms, "bridge", "tool_started", tool.name)
        if tool.end_ms is not None:
            yield Marker(tool.end_ms, "bridge", "tool_ended", tool.name)


def _first_rtp(evidence: Evidence, zero_ms: float | None) -> Iterator[Marker]:
    if zero_ms is not None:
        for at_ms, _, _ in turns_of(evidence.figures or {}):
            yield Marker(round(at_ms + zero_ms, 1), "bridge", "first_rtp")
