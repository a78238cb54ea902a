"""Numbers as a transcript writes them: digits of any script, and English number words. Pure.

"4111", "4 1 1 1", "four one one one", "forty-one eleven", "double five oh" and "٤١١١" are numbers.
What stands between two groups of one number is a space, a comma, a dot, a dash, or a caller's "um".
"""

import re
from dataclasses import dataclass

_UNITS = {
    word: str(value)
    for value, words in enumerate(
        ["zero oh o nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    )
    for word in words.split()
}
_TEENS = {
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "thirteen": "13",
    "fourteen": "14",
    "fifteen": "15",
    "sixteen": "16",
    "seventeen": "17",
    "eighteen": "18",
    "nineteen": "19",
}
_TENS = {
    word: str(value)
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2
    )
}
_TIMES = {"double": 2, "triple": 3, "treble": 3}

UNIT = "|".join(_UNITS)
TEEN = "|".join(_TEENS)
TENS = "|".join(_TENS)

_GROUP = re.compile(
    rf"""
      (?P<digits> \d+ )
    | \b(?P<times> {"|".join(_TIMES)} )[\s-]+(?: (?P<of>{UNIT}) | (?P<of_digit>\d)(?!\d) )\b
    | \b(?P<tens> {TENS} )(?: [\s-]+(?P<ones>{UNIT})(?<!\bo)(?<!\boh)(?<!zero)(?<!nought) )?\b
    | \b(?P<teen> {TEEN} )\b
    | \b(?P<unit> {UNIT} )\b
    """,
    re.VERBOSE | re.IGNORECASE,
)

_BETWEEN = re.compile(
    r"[\s.,…\u2010-\u2015-]{1,4}(?:(?:uh|um|er|erm|and|then|dash|hyphen|space)[\s.,…-]{1,3}){0,2}|",
    re.IGNORECASE,
)
"""Whole matches alone. Nothing at all stands between a digit and a word that were run together."""


@dataclass(frozen=True, slots=True)
class Group:
    """Digits that were said or written together, at ``text[start:end]``."""

    start: int
    end: int
    digits: str
    spoken: bool


Run = tuple[Group, ...]
"""Groups that may be one number."""


def find_runs(text: str) -> list[Run]:
    """Return the numbers of a text, in order."""
    runs: list[list[Group]] = []
    for found in _GROUP.finditer(text):
        group = Group(found.start(), found.end(), _digits(found), found["digits"] is None)
        if runs and _BETWEEN.fullmatch(text, runs[-1][-1].end, group.start):
            runs[-1].append(group)
        else:
            runs.append([group])
    return [tuple(run) for run in runs]


def digits_of(run: Run) -> str:
    """Return all digits of a number."""
    return "".join(group.digits for group in run)


def _digits(found: re.Match[str]) -> str:
    if found["digits"]:
        return "".join(str(int(digit)) for digit in found["digits"])
    if found["times"]:
        repeated = found["of_digit"] or _UNITS[found["of"].lower()]
        return repeated * _TIMES[found["times"].lower()]
    if found["tens"]:
        ones = found["ones"]
        return _TENS[found["tens"].lower()] + (_UNITS[ones.lower()] if ones else "0")
    if found["teen"]:
        return _TEENS[found["teen"].lower()]
    return _UNITS[found["unit"].lower()]
