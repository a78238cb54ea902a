"""What a PromQL expression reads: its metrics with the labels that are asked of each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RANGE = re.compile(r"\[[^\]]*\]")
_OFFSET = re.compile(r"\boffset\s+\S+")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\s*\(|[\w:{])")
_LABEL = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_WORDS = frozenset({"and", "or", "unless", "bool", "inf", "nan"})


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric, and the labels that its matchers name."""

    name: str
    labels: frozenset[str]


def selectors(expr: str) -> Iterator[Selector]:
    """Yield what an expression selects.

    A word with a parenthesis behind it is a function or an aggregation; what is left when strings,
    ranges, offsets, groupings and operators are gone is a metric's name.
    """
    bare = _STRING.sub('""', expr)
    for pattern in (_RANGE, _OFFSET, _GROUPING):
        bare = pattern.sub(" ", bare)
    for name, matchers in _SELECTOR.findall(bare):
        if name.lower() not in _WORDS:
            yield Selector(name, frozenset(_LABEL.findall(matchers)))


def grouped(expr: str) -> frozenset[str]:
    """Return the labels by which an expression groups or joins."""
    lists = _GROUPING.findall(_STRING.sub('""', expr))
    return frozenset(label.strip() for each in lists for label in each.split(",") if label.strip())
