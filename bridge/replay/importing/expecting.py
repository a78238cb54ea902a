"""Drafts loose expectations for the steps of an imported call, times rounded up. Pure."""

from collections.abc import Sequence

from bridge.replay.importing.hiding import Hider, stands_in
from bridge.replay.importing.recorded import (
    AgentWords,
    Held,
    RecordedCall,
    RecordedToolUse,
    Stretch,
)
from bridge.replay.importing.steps import DraftStep, Fields, loosely
from bridge.replay.importing.tools import names_of
from bridge.routing.tools import BUILT_IN, TRANSFER_TOOL
from bridge.speech.words import numbers_in

_MOST_NUMBERS = 5
_TRANSFER_MS = 15_000
_PROMPT_MS = 200
"""The bridge tells that it asks a silent caller this long before the first sound, at most."""


def expect(step: DraftStep, stretch: Stretch, call: RecordedCall, hider: Hider) -> Fields:
    """Return what has to come of a step."""
    expected = _times(step, stretch, call)
    numbers = [] if "backchannel" in step.does else _numbers(stretch.words, hider)
    if numbers:
        expected["numbers"] = numbers
    tools = [each for each in stretch.tools if each.name not in BUILT_IN]
    if tools:
        expected["tool"] = [_tool(name, tools, hider) for name in names_of(tools)]
    if any(each.name == TRANSFER_TOOL for each in stretch.tools):
        expected["transfer"] = {"within_ms": _TRANSFER_MS}
    return expected


def _times(step: DraftStep, stretch: Stretch, call: RecordedCall) -> Fields:
    spans, act = call.agent_spans, stretch.act
    if act is None:
        began_ms = min([start for start, _ in spans[:1]] + [each.at_ms for each in call.words[:1]])
        delay_ms = began_ms - call.answered_ms
        return {"greeting_within_ms": loosely(delay_ms, 2.0, 500, least_ms=2_500)}
    if "backchannel" in step.does:
        return {"agent_keeps_talking": True}
    expected: Fields = {}
    over = call.agent_span_at(act.start_ms)
    if "interrupt" in step.does and over is not None:
        stop_ms = loosely(over[1] - act.start_ms, 1.5, 250, least_ms=1_000)
        expected["agent_silent_within_ms"] = min(stop_ms, 10_000)
    begins = [start for start, _ in spans if act.end_ms <= start < stretch.until_ms]
    if begins and not isinstance(act, Held):
        prompts = (at for at in call.prompted_ms if act.end_ms <= at)
        if next(prompts, begins[0] + 2 * _PROMPT_MS) > begins[0] + _PROMPT_MS:
            expected["within_ms"] = loosely(begins[0] - act.end_ms, 2.0, 500, least_ms=2_500)
    return expected


def _numbers(words: Sequence[AgentWords], hider: Hider) -> list[str]:
    """Return the numbers that the agent was heard to say, and that nothing stands in for."""
    found: list[str] = []
    for each in words:
        hidden = hider.hide(each.heard or "")
        if not hidden.changed:
            # "one" is a number, too, and seldom meant as one.
            found += [number for number in numbers_in(hidden.text) if len(number) > 1]
    return list(dict.fromkeys(found))[:_MOST_NUMBERS]


def _tool(name: str, tools: Sequence[RecordedToolUse], hider: Hider) -> Fields:
    used = [each for each in tools if each.name == name]
    expected: Fields = {"name": name, "times": len(used)}
    arguments = hider.hide_json(dict(used[0].arguments or {}))
    if len(used) == 1 and isinstance(arguments, dict):
        sure = {key: value for key, value in arguments.items() if not stands_in(value)}
        if sure:
            expected["args"] = sure
    return expected
