"""Dates as a transcript writes them, in figures and in words. Pure.

With a year they are found anywhere: in a call, a date with a year is mostly a date of birth. One
without is found only after words that ask for one (:data:`bridge.redaction.kinds.LABELS`).
"""

import re
from collections.abc import Iterator

from bridge.redaction.numbers import TEEN, TENS, UNIT

_MONTHS = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
    "|januar|jänner|februar|märz|mai|juni|juli|oktober|dezember"
    "|janvier|février|mars|avril|juin|juillet|août|septembre|octobre|novembre|décembre"
    "|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
)
_ORDINALS = (
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth"
    "|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth"
)
_DAY = (
    rf"(?:\d{{1,2}}(?:st|nd|rd|th|\.)?|(?:twenty|thirty)[\s-](?:{_ORDINALS}|{UNIT})|{_ORDINALS}"
    rf"|{TEEN}|{TENS}|{UNIT})"
)
_TWO_DIGITS = rf"(?:(?:{TENS})(?:[\s-](?:{UNIT}))?|{TEEN}|(?:oh|o|zero)[\s-](?:{UNIT}))"
_YEAR = (
    rf"(?:(?:19|20)\d\d(?!\d)|(?:nineteen|twenty)[\s-]{_TWO_DIGITS}"
    rf"|two\sthousand(?:\s(?:and\s)?(?:{TEEN}|{UNIT}|{TENS})(?:[\s-](?:{UNIT}))?)?)"
)
_JOINT = r"[\s,]{1,3}(?:of\s|de\s|in\s)?"
_DAY_MONTH = (
    rf"(?:\b{_DAY}\s(?:of\s|de\s)?(?:{_MONTHS})\b|\b(?:{_MONTHS})\.?\s(?:the\s)?{_DAY}(?!\d))"
)

_FIGURES = (
    r"(?<!\d)\d{1,2}\s?(?P<dmy>[/.-])\s?\d{1,2}\s?(?P=dmy)\s?(?:19|20)\d{2}(?!\d)"
    r"|(?<![\d-])(?:19|20)\d{2}(?P<ymd>[/.-])\d{1,2}(?P=ymd)\d{1,2}(?!\d)"
)

_MONTH = re.compile(rf"\b(?:{_MONTHS})\b", re.IGNORECASE)
_IN_FIGURES = re.compile(_FIGURES)
_IN_WORDS = re.compile(rf"{_FIGURES}|{_DAY_MONTH}{_JOINT}{_YEAR}\b", re.IGNORECASE)

_DAY_IN_FIGURES = r"(?<!\d)\d{1,2}[/.-]\d{1,2}[/.-]\d{2}(?!\d)"
_DAYS_IN_FIGURES = re.compile(_DAY_IN_FIGURES)
_DAYS_IN_WORDS = re.compile(
    rf"{_DAY_MONTH}(?:{_JOINT}{_TWO_DIGITS}\b)?|{_DAY_IN_FIGURES}", re.IGNORECASE
)


def find_dates(text: str) -> Iterator[tuple[int, int]]:
    """Yield where dates stand whose year is given."""
    pattern = _IN_WORDS if _MONTH.search(text) else _IN_FIGURES
    return (each.span() for each in pattern.finditer(text))


def find_days(text: str) -> Iterator[tuple[int, int]]:
    """Yield where days of a month stand, perhaps with a year of two digits."""
    pattern = _DAYS_IN_WORDS if _MONTH.search(text) else _DAYS_IN_FIGURES
    return (each.span() for each in pattern.finditer(text))
