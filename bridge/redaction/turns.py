"""Redacts the words of callers and agents, turn by turn. Pure.

Found by themselves: payment card numbers (13 to 19 digits that pass the Luhn check, ISO/IEC
7812-1), US social security numbers as they are written, dates with a year, IBANs (ISO 13616).
Everything else that is only digits is found by the words before it, in the turn or in the question
that it answers: so a card number in which one digit was misheard, or that comes in four turns, is
found after "your card number, please".
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from bridge.redaction.dates import find_dates, find_days
from bridge.redaction.kinds import (
    DEFAULT_KINDS,
    FEWEST_DIGITS,
    LABEL,
    PLACEHOLDER,
    PLACEHOLDERS,
    Kind,
    Label,
    label_of,
)
from bridge.redaction.numbers import Group, Run, digits_of, find_runs

_MIN_CARD_DIGITS = 13
_MAX_CARD_DIGITS = 19
_NO_ISSUER = frozenset("079")
"""First digits of no card that is used to pay (ISO/IEC 7812-1: 7 is petroleum, 0 and 9 are left to
others); phone numbers begin so."""

_DOUBLED = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}
"""The digits of twice a digit, summed."""

_REACH_CHARS = 60
"""A word farther before a number says nothing about it."""

_SSN = re.compile(r"(?<![\d-])\d{3}([-\s])\d{2}\1\d{4}(?![\d-])")
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?:\s?[A-Z0-9]){11,30}(?![A-Z0-9])", re.IGNORECASE)
_EMAIL = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
    r"|[\w.+-]{1,64} at [\w-]{1,63}(?: dot [\w-]{1,63})+",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?<![\w+])\+\d(?:[\s().-]{0,2}\d){6,14}(?!\d)")

_AMOUNT = re.compile(r"[$€£¥]\s?$")


Finder = Callable[[str], Iterator[tuple[int, int]]]
"""Gives where in a text something stands."""


@dataclass(frozen=True, slots=True)
class _Find:
    """A part of a text, and what it is."""

    start: int
    end: int
    kind: Kind


class Redactor:
    """Replaces what a dialplan wants replaced.

    Args:
        kinds: what is replaced.
    """

    def __init__(self, kinds: frozenset[Kind] = DEFAULT_KINDS) -> None:
        self._finders = [each for each in _FINDERS if each[0] in kinds]
        self._kinds = kinds

    def redact_header(self, value: str, name: str) -> str:
        """Return the value of a SIP header, whose name may announce what it holds."""
        return self.redact(value, asked=name.replace("-", " "))

    def redact(self, text: str, asked: str = "") -> str:
        """Return ``text`` with ``[card]``, ``[ssn]``, ``[date]``... in the place of each find.

        Args:
            text: a whole turn of a transcript.
            asked: what it answers, if anything: the other side's last turn.
        """
        if not self._kinds:
            return text
        for kind, find in self._finders:
            text = _replace(text, (_Find(start, end, kind) for start, end in find(text)))
        question = _last_label(asked, 0, len(asked))
        text = _replace(text, self._labelled_dates(text, question))
        return _replace(text, self._labelled(text, question))

    def _labelled(self, text: str, question: Label | None) -> Iterator[_Find]:
        """Find numbers by the words before them; after a number the words begin anew."""
        labelled_to = 0
        for run in find_runs(text):
            start, end = run[0].start, run[-1].end
            said = len(digits_of(run))
            if said < FEWEST_DIGITS:
                continue
            label = _label_before(text, labelled_to, start, question)
            labelled_to = end
            if label is None or label.kind not in self._kinds or label.kind is None:
                continue
            if label.min_digits <= said <= label.max_digits and not _AMOUNT.search(text[:start]):
                yield _Find(start, end, label.kind)

    def _labelled_dates(self, text: str, question: Label | None) -> Iterator[_Find]:
        if Kind.DOB not in self._kinds:
            return
        labelled_to = 0
        for start, end in find_days(text):
            label = _label_before(text, labelled_to, start, question)
            labelled_to = end
            if label is not None and label.kind is Kind.DOB:
                yield _Find(start, end, Kind.DOB)


def _label_before(text: str, labelled_to: int, start: int, question: Label | None) -> Label | None:
    """Return what is said of a number at ``start``; the question counts where nothing else is."""
    placeholders = [m.end() for m in PLACEHOLDER.finditer(text, labelled_to, start)]
    labelled_to = placeholders[-1] if placeholders else labelled_to
    return _last_label(text, max(labelled_to, start - _REACH_CHARS), start) or question


def _last_label(text: str, start: int, end: int) -> Label | None:
    last = None
    for last in LABEL.finditer(text, start, end):  # noqa: B007  # the last one is wanted
        pass
    return None if last is None else label_of(last)


def _replace(text: str, finds: Iterator[_Find]) -> str:
    parts: list[str] = []
    copied_to = 0
    for find in finds:
        parts += [text[copied_to : find.start], PLACEHOLDERS[find.kind]]
        copied_to = find.end
    return "".join([*parts, text[copied_to:]])


def _matches(pattern: re.Pattern[str], good: Callable[[str], bool] = bool) -> Finder:
    return lambda text: (each.span() for each in pattern.finditer(text) if good(each[0]))


def _cards(text: str) -> Iterator[tuple[int, int]]:
    """Find every stretch of a number that may be a card's; those that overlap are one find.

    A card number starts and ends at group borders. All that could be one are taken, since a chance
    match that swallows half of a real number would leave the other half.
    """
    for run in find_runs(text):
        if len(digits_of(run)) < _MIN_CARD_DIGITS:
            continue
        start = end = 0
        for first in range(len(run)):
            last = _card_end(run, first)
            if last is None:
                continue
            if run[first].start >= end:
                if end:
                    yield start, end
                start = run[first].start
            end = max(end, last.end)
        if end:
            yield start, end


def _card_end(run: Run, first: int) -> Group | None:
    """Return the last group of the longest card number that starts at group ``first``."""
    if run[first].digits[0] in _NO_ISSUER:
        return None
    window = run[first : first + _MAX_CARD_DIGITS]
    last = None
    for group, digits in zip(window, accumulate(each.digits for each in window), strict=True):
        if len(digits) > _MAX_CARD_DIGITS:
            break
        if len(digits) >= _MIN_CARD_DIGITS and _passes_luhn(digits):
            last = group
    return last


def _passes_luhn(digits: str) -> bool:
    total = sum(map(int, digits[-1::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))
    return total % 10 == 0


def _is_iban(text: str) -> bool:
    """Check an IBAN's two check digits (ISO 7064 MOD 97-10)."""
    written = re.sub(r"\s", "", text).upper()
    if not written.isascii():
        return False
    return int("".join(str(int(each, 36)) for each in written[4:] + written[:4])) % 97 == 1


_FINDERS: tuple[tuple[Kind, Finder], ...] = (
    (Kind.ACCOUNTS, _matches(_IBAN, _is_iban)),
    (Kind.CARDS, _cards),
    (Kind.PHONES, _matches(_PHONE)),
    (Kind.SSN, _matches(_SSN)),
    (Kind.DOB, find_dates),
    (Kind.EMAILS, _matches(_EMAIL)),
)
"""In this order: what is found is not looked at again."""
