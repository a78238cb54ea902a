"""Finds the numbers, dates and names that two wordings of one answer must share. Pure.

A model words an answer anew each time. "It is forty two dollars" and "That makes $42" say the same;
"It is fifty two dollars" doesn't, though it is but one word away.
"""

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.redaction.dates import find_dates, find_days
from bridge.redaction.numbers import digits_of, find_runs
from bridge.speech.words import words_of


class FactKind(enum.StrEnum):
    """Kinds of facts."""

    NUMBER = "number"
    DATE = "date"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact at ``text[start:end]``.

    Attributes:
        readings: how it can be read; facts of one kind that share a reading are the same.
    """

    kind: FactKind
    start: int
    end: int
    text: str
    readings: frozenset[str]

    def says_the_same(self, other: "Fact") -> bool:
        """Return whether both mean the same."""
        return self.kind is other.kind and not self.readings.isdisjoint(other.readings)


_WEEKDAYS = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b", re.IGNORECASE)
_SCALE = re.compile(r"[\s-]+(?:hundred|thousand)(?:[\s-]+and(?=\s))?\b", re.IGNORECASE)
_SPACES = re.compile(r"[\s-]*")
_JUST_A_WORD = frozenset({"one", "o", "oh"})
"""Alone they are hardly ever numbers: "the red one", "oh, I see"."""

_NAME = re.compile(r"(?<![\w'])[A-Z][\w'-]*[^\W\d_](?:\s[A-Z][\w'-]*[^\W\d_])*")
_SENTENCE_BEGINS = re.compile(r"(?:^|[.?!:]\s)[\s\"'(]*$")
_NEVER_NAMES = frozenset({"i'm", "i'll", "i'd", "i've", "ok", "okay"})


def find_facts(text: str) -> tuple[Fact, ...]:
    """Return a text's facts in order; they don't overlap.

    A name is what has a capital letter within a sentence; at its begin every word has one, and
    it says nothing there.
    """
    facts: list[Fact] = []
    for kind, spans in (
        (FactKind.DATE, _date_spans(text)),
        (FactKind.NUMBER, _number_spans(text)),
        (FactKind.NAME, _name_spans(text)),
    ):
        for start, end in spans:
            if not any(fact.start < end and start < fact.end for fact in facts):
                facts.append(_fact(kind, text, start, end))
    return tuple(sorted(facts, key=lambda fact: fact.start))


def differing(first: Sequence[Fact], second: Sequence[Fact]) -> tuple[list[Fact], list[Fact]]:
    """Return the facts of either text that the other doesn't have, each counted once."""
    left = list(second)
    missing = []
    for fact in first:
        same = next((other for other in left if fact.says_the_same(other)), None)
        if same is None:
            missing.append(fact)
        else:
            left.remove(same)
    return missing, left


def _fact(kind: FactKind, text: str, start: int, end: int) -> Fact:
    said = text[start:end]
    words = [word for word in words_of(said) if word != "and"]
    if kind is FactKind.DATE:
        readings = {" ".join(sorted(words))}
    elif kind is FactKind.NUMBER:
        readings = {" ".join(words)}
        if not _SCALE.search(said):
            readings |= {digits_of(run) for run in find_runs(said)}
    else:
        readings = {said.casefold()}
    return Fact(kind, start, end, said, frozenset(readings))


def _date_spans(text: str) -> Iterator[tuple[int, int]]:
    yield from find_dates(text)
    yield from find_days(text)
    yield from (found.span() for found in _WEEKDAYS.finditer(text))


def _number_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield numbers, those with a hundred or a thousand in them as one."""
    spans: list[tuple[int, int]] = []
    for run in find_runs(text):
        start, end = run[0].start, run[-1].end
        if spans and spans[-1][1] != start and _is_joint(text, spans[-1], start):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
        scale = _SCALE.match(text, end)
        if scale is not None:
            spans[-1] = (spans[-1][0], scale.end())
    for start, end in spans:
        if text[start:end].lower() not in _JUST_A_WORD:
            yield start, end - (len(text[start:end]) - len(text[start:end].rstrip()))


def _is_joint(text: str, before: tuple[int, int], start: int) -> bool:
    ends_in_scale = _SCALE.search(text, before[0], before[1]) is not None
    return ends_in_scale and _SPACES.fullmatch(text, before[1], start) is not None


def _name_spans(text: str) -> Iterator[tuple[int, int]]:
    for found in _NAME.finditer(text):
        start, end = found.span()
        if _SENTENCE_BEGINS.search(text[:start]):
            # The first word has its capital from the sentence.
            space = found.group().find(" ")
            if space < 0:
                continue
            start += space + 1
        if text[start:end].casefold() not in _NEVER_NAMES:
            yield start, end
