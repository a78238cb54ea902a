"""Reads a call's words, keys, holds and tools from the markers of its recording. Pure."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pydantic import JsonValue

from bridge.audio.markers import Marker
from bridge.live.recording import NOT_RECORDED
from bridge.redaction.kinds import PLACEHOLDER
from bridge.replay.importing.recorded import (
    AgentWords,
    RecordedHold,
    RecordedKeys,
    RecordedSpeech,
    RecordedToolUse,
)
from bridge.store.reader import History

Span = tuple[int, int]

_ONE_ENTRY_MS = 2_000
"""Keys that follow each other faster are one entry."""
_TOGETHER_MS = 20
"""What a key did is marked within this time."""
_LATE_MS = 100
"""A transcript may be marked that much before the recording's own gate has closed."""
_FOR_EVER_MS = 1 << 60


class MarkedCall:
    """Reads a call's markers, by kind.

    Args:
        markers: of the recording, in the order in which they were written.
    """

    def __init__(self, markers: Sequence[Marker]) -> None:
        self._markers = markers
        self._by_kind: dict[str, list[Marker]] = {}
        for each in markers:
            self._by_kind.setdefault(str(each["kind"]), []).append(each)

    def of_kind(self, kind: str) -> list[Marker]:
        """Return the markers of a kind."""
        return self._by_kind.get(kind, [])

    def speeches(
        self, utterances: Sequence[Span], agent_spans: Sequence[Span]
    ) -> Iterator[RecordedSpeech]:
        """Give each utterance its words: those that were marked first after it."""
        turns = [
            (int(each[0]["at_ms"]), str(each[-1]["text"]))
            for each in self._items("caller").values()
        ]
        kinds = [(int(m["at_ms"]), m["judged_as"]) for m in self.of_kind("interruption_judged")]
        parts = _give_words(utterances, turns, agent_spans)
        for number, (start_ms, end_ms, text) in enumerate(parts):
            until_ms = parts[number + 1][1] if number + 1 < len(parts) else _FOR_EVER_MS
            judged = [kind for at_ms, kind in kinds if start_ms <= at_ms < until_ms]
            yield RecordedSpeech(
                start_ms, end_ms, text, judged[0] == "backchannel" if judged else None
            )

    def keys(self) -> Iterator[RecordedKeys]:
        """Yield what the caller keyed in."""
        pressed = [
            (int(each["at_ms"]), self._key_at(int(each["at_ms"]))) for each in self.of_kind("digit")
        ]
        group: list[tuple[int, str | None]] = []
        for press in [*pressed, None]:
            if group and (press is None or press[0] - group[-1][0] > _ONE_ENTRY_MS):
                known = [key for _, key in group if key is not None]
                digits = "".join(known) if len(known) == len(group) else None
                yield RecordedKeys(group[0][0], group[-1][0], digits, len(group))
                group = []
            if press is not None:
                group.append(press)

    def holds(self) -> Iterator[RecordedHold]:
        """Yield when the caller held the call."""
        changes = [m for m in self._markers if m["kind"] in ("caller_held", "caller_resumed")]
        for held, resumed in pairwise(changes):
            if held["kind"] == "caller_held" and resumed["kind"] == "caller_resumed":
                yield RecordedHold(int(held["at_ms"]), int(resumed["at_ms"]))

    def words(self) -> Iterator[AgentWords]:
        """Yield the items of the agent and of the bridge, as they were heard."""
        heard = {str(m.get("item_id")): int(m["at_ms"]) for m in self.of_kind("agent_started")}
        found = []
        for item_id, turns in self._items("agent", "bridge").items():
            text = max((str(each["text"]) for each in turns), key=len)
            at_ms = heard.get(item_id, int(turns[0]["at_ms"]))
            by_bridge = turns[0]["speaker"] == "bridge"
            if text == NOT_RECORDED:
                found.append(AgentWords(at_ms, None, None, by_bridge))
            else:
                found.append(AgentWords(at_ms, text, str(turns[-1]["text"]), by_bridge))
        yield from sorted(found, key=lambda each: each.at_ms)

    def tools(self) -> Iterator[RecordedToolUse]:
        """Yield every tool call."""
        outputs = {str(m["tool_call"]): m for m in self.of_kind("tool_output")}
        for asked in self.of_kind("tool_arguments"):
            name, at_ms = str(asked["tool"]), int(asked["at_ms"])
            arguments = read_json(str(asked.get("text", "")))
            output = outputs.get(str(asked["tool_call"]))
            ended = next(
                (
                    m
                    for m in self.of_kind("tool_ended")
                    if m["tool"] == name and int(m["at_ms"]) >= at_ms
                ),
                None,
            )
            yield RecordedToolUse(
                at_ms,
                name,
                arguments if isinstance(arguments, dict) else None,
                None if output is None else read_json(str(output.get("text", ""))),
                None if ended is None else str(ended["result"]),
                None if ended is None else int(ended["took_ms"]),
            )

    def _key_at(self, at_ms: int) -> str | None:
        """Return which key it was, where what it did shows that. The key itself is nowhere kept."""

        def near(kind: str, how: str, by: str) -> bool:
            return any(
                abs(int(each["at_ms"]) - at_ms) <= _TOGETHER_MS and each.get(how) == by
                for each in self.of_kind(kind)
            )

        if near("human_asked", "by", "key"):
            return "0"
        if near("consent_given", "how", "key"):
            return "1"  # the default of consent.agree
        chosen = [each for each in self.of_kind("menu_chosen") if each.get("key")]
        return next(
            (str(m["key"]) for m in chosen if abs(int(m["at_ms"]) - at_ms) <= _TOGETHER_MS), None
        )

    def _items(self, *speakers: str) -> dict[str, list[Marker]]:
        """Return the turns of some, by item, in the order in which they were first marked."""
        found: dict[str, list[Marker]] = {}
        for each in self.of_kind("turn"):
            if each["speaker"] in speakers:
                found.setdefault(str(each["item_id"]), []).append(each)
        return found


def _give_words(
    utterances: Sequence[Span], turns: Sequence[tuple[int, str]], agent_spans: Sequence[Span]
) -> list[tuple[int, int, str | None]]:
    """Give utterances (start, end) the texts of turns (when it was marked, text)."""
    if len(turns) == len(utterances):
        return [(*each, text) for each, (_, text) in zip(utterances, turns, strict=True)]
    parts: list[tuple[int, int, str | None]] = []
    rest = list(utterances)
    for at_ms, text in turns:
        ended = [each for each in rest if each[1] <= at_ms + _LATE_MS]
        if not ended:
            continue
        del rest[: len(ended)]
        first = len(ended) - 1
        # With a pause in it that the agent left alone, it was one turn all the same.
        while first and not _answered(ended[first - 1], ended[first], agent_spans):
            first -= 1
        parts += [(*each, None) for each in ended[:first]]
        parts.append((ended[first][0], ended[-1][1], text))
    return [*parts, *((*each, None) for each in rest)]


def _answered(before: Span, after: Span, agent_spans: Sequence[Span]) -> bool:
    return any(before[1] <= start < after[0] for start, _ in agent_spans)


def markers_of(events: History | None, began_ms: int) -> tuple[Marker, ...]:
    """Return the events in Redis as markers: all but what only a recording has."""
    if events is None:
        return ()
    return tuple(
        {**fields, "at_ms": max(0, events.at_ms(event_id) + events.started_ms - began_ms)}
        for event_id, fields in events.events
    )


def read_json(text: str) -> JsonValue:
    """Return what a tool was asked or answered; None where it was not kept.

    A number that was redacted has left a placeholder that is no JSON: it is read as a text.
    """
    quoted = PLACEHOLDER.sub(
        lambda found: f'"{found[0]}"' if _bare(text, found) else found[0], text
    )
    try:
        value: JsonValue = json.loads(quoted)
    except ValueError:
        return None
    return value


def _bare(text: str, found: re.Match[str]) -> bool:
    return text[: found.start()].count('"') % 2 == 0
