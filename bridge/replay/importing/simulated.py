"""Rules by which a simulated agent repeats the agent's answers of a recorded call. Pure."""

from collections.abc import Iterator, Sequence

from bridge.replay.importing.hiding import Hider
from bridge.replay.importing.recorded import RecordedCall, Stretch, stretches_of
from bridge.replay.importing.steps import DraftStep, Fields
from bridge.speech.words import words_of


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
    # The words before a tool's call may be told in the same moment.
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
