"""Redaction of what a caller or agent said, before it is written anywhere. Pure.

Finds figures as a transcript writes them: payment card numbers (13 to 19 digits that pass the Luhn
check, ISO/IEC 7812-1), US social security numbers, and dates written with a four-digit year, which
in a call are mostly dates of birth. Numbers in words ("four one one...") are not found. Whole turns
must be given: a number split over two texts is not seen.
"""

import re
from itertools import accumulate

CARD = "[card]"
SSN = "[ssn]"
DATE = "[date]"

_MIN_CARD_DIGITS = 13
_MAX_CARD_DIGITS = 19

_DIGIT_RUN = re.compile(r"\d+(?:[\s.,\u2010-\u2015-]{1,2}\d+)*")
_DIGITS = re.compile(r"\d+")
_SSN = re.compile(r"(?<![\d-])\d{3}([-\s])\d{2}\1\d{4}(?![\d-])")
_DATE = re.compile(r"(?<!\d)\d{1,2}\s?([/.-])\s?\d{1,2}\s?\1\s?(?:19|20)\d{2}(?!\d)")


def redact(text: str) -> str:
    """Return ``text`` with card numbers, social security numbers and dates replaced.

    Args:
        text: a whole turn of a transcript.

    Returns:
        The text with ``[card]``, ``[ssn]`` and ``[date]`` in the place of each find.
    """
    text = _DIGIT_RUN.sub(lambda run: _redact_cards(run.group()), text)
    text = _SSN.sub(SSN, text)
    return _DATE.sub(DATE, text)


def _redact_cards(run: str) -> str:
    """Replace every stretch of a run of digit groups that may belong to a card number.

    A number starts and ends at group borders. All that could be one are taken, since a chance
    match that swallows half of a real number would leave the other half.
    """
    groups = list(_DIGITS.finditer(run))
    parts: list[str] = []
    copied_to = 0
    for first in range(len(groups)):
        last = _card_end(groups, first)
        if last is None:
            continue
        if groups[first].start() >= copied_to:
            parts += [run[copied_to : groups[first].start()], CARD]
        copied_to = max(copied_to, groups[last].end())
    return "".join([*parts, run[copied_to:]])


def _card_end(groups: list[re.Match[str]], first: int) -> int | None:
    """Return the last group of the longest card number that starts at group ``first``."""
    window = [group.group() for group in groups[first : first + _MAX_CARD_DIGITS]]
    last = None
    for place, digits in enumerate(accumulate(window), first):
        if len(digits) > _MAX_CARD_DIGITS:
            break
        if len(digits) >= _MIN_CARD_DIGITS and _passes_luhn(digits):
            last = place
    return last


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
