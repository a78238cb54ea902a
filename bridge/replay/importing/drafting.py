"""Drafts expectations, the agent's rules and tool mocks for an imported call's steps. Pure.

Expectations are loose, times rounded up.
"""

from collections.abc import Iterator, Mapping, Sequence

from bridge.replay.importing.hiding import Hider, stands_in
from bridge.replay.importing.recorded import (
    AgentWords,
    RecordedCall,
    RecordedHold,
    RecordedToolUse,
    Stretch,
    stretches_of,
)
from bridge.replay.importing.steps import DraftStep, Fields, loosely, round_to
from bridge.routing.tools import BUILT_IN, TRANSFER_TOOL
from bridge.speech.words import numbers_in, words_of

_MOST_NUMBERS = 5
_TRANSFER_MS = 15_000
_PROMPT_MS = 200
"""The bridge marks that it asks a silent caller this long before the first sound, at most."""


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
    if begins and not isinstance(act, RecordedHold):
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


def rules_of(call: RecordedCall, steps: Sequence[DraftStep], hider: Hider) -> Iterator[Fields]:
    """Yield rules by which the simulated agent says in a replay what the agent said here."""
    heard: set[tuple[str, ...]] = set()
    by_start = {each.act.start_ms: each for each in stretches_of(call) if each.act is not None}
    for step in steps:
        stretch = by_start.get(step.at_ms)
        if step.said is None or stretch is None or words_of(step.said) in heard:
            continue
        heard.add(words_of(step.said))
        rule = _rule(step.said, stretch, hider)
        if rule is not None:
            yield rule


def _rule(said: str, stretch: Stretch, hider: Hider) -> Fields | None:
    words = [each for each in stretch.words if each.text is not None and not each.by_bridge]
    tool = next(iter(stretch.tools), None)
    asked_ms = stretch.until_ms if tool is None else tool.at_ms
    # The words before a tool's call may be marked in the same moment.
    before = [hider.hide(w.text or "").text for w in words if w.at_ms <= asked_ms]
    after = [hider.hide(w.text or "").text for w in words if w.at_ms > asked_ms]
    if not before and tool is None:
        return None
    rule: Fields = {"hears": [said]}
    if before:
        rule["say"] = " ".join(before)
    if tool is not None:
        arguments = hider.hide_json(dict(tool.arguments or {}))
        rule["tool"] = {"name": tool.name, "arguments": arguments}
        if after:
            rule["then"] = " ".join(after)
    return rule


def mocks_of(call: RecordedCall, hider: Hider) -> Iterator[tuple[Fields, str]]:
    """Yield a mock for each tool that ran outside, as it answered first, and a note on it."""
    ran = [each for each in call.tools if each.code is not None and each.name not in BUILT_IN]
    for name in names_of(ran):
        uses = [each for each in ran if each.name == name]
        note = f"called {len(uses)} times; this is its first answer" if len(uses) > 1 else ""
        first = uses[0]
        if first.code != "ok":
            yield {"name": name, "fails": _failure(first.code or "")}, note or str(first.code)
            continue
        mock: Fields = {"name": name, "latency_ms": round_to(first.took_ms or 0, 50)}
        mock["returns"] = hider.hide_json(first.output) if first.output is not None else {}
        if first.output is None:
            note = "what it answered was not kept: write it"
        yield mock, note


def names_of(tools: Sequence[RecordedToolUse]) -> list[str]:
    """Return the names of tools, each once."""
    return list(dict.fromkeys(each.name for each in tools))


_FAILURES: Mapping[str, str] = {"deadline": "timeout", "timeout": "timeout", "not_text": "bad_json"}


def _failure(code: str) -> str:
    return "http_500" if code.startswith("http_5") else _FAILURES.get(code, "error")
