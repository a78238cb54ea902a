"""Words as they are spoken, and the distance of two word sequences.

Both sides of a comparison go through :func:`words_of`, so case, punctuation and digits never count
as a difference. Pure functions.
"""

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"\d+|[a-z]+(?:'[a-z]+)*")
_THOUSANDS_COMMA = re.compile(r"(?<=\d),(?=\d{3}\b)")
_CLAUSE_END = re.compile(r"[.;:!?]|,(?!\d{3}\b)")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
# fmt: off
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on
_DIGITS = frozenset(_ONES[:10])
_MULTIPLIERS = frozenset({"hundred", "thousand"})
_NUMBER_WORDS = frozenset({*_ONES, *_TENS, *_MULTIPLIERS, "and"})
_LARGEST_SPELLED = 999_999


def words_of(text: str) -> tuple[str, ...]:
    """Split text into lower-case words with digits spelled out.

    ``"It's $42."`` gives ``("it's", "forty", "two")``. Numbers up to 999,999 are read as
    quantities, as espeak-ng does; longer ones, and those with a leading zero, digit by digit.
    """
    plain = _THOUSANDS_COMMA.sub("", text.lower().replace("\u2019", "'"))
    return tuple(
        word
        for token in _TOKEN.findall(plain)
        for word in (_spell(token) if token.isdigit() else (token,))
    )


def sentences_of(text: str) -> tuple[str, ...]:
    """Split text where a speaker pauses: after full stops, question marks, exclamation marks."""
    return tuple(piece for piece in _SENTENCE_END.split(text.strip()) if words_of(piece))


def word_error_rate(reference: str, heard: str) -> float:
    """Return the word error rate of ``heard`` against ``reference``.

    Returns:
        (substitutions + deletions + insertions) / words of the reference; 0.0 is exact, and it
        passes 1.0 when more was heard than said. An empty reference counts as one word.
    """
    said, got = words_of(reference), words_of(heard)
    return _edits(said, got) / max(1, len(said))


def numbers_in(text: str) -> tuple[str, ...]:
    """Return the numbers that are said in a text, each as its digits, in order.

    ``"forty two dollars"`` and ``"$42"`` give ``("42",)``. Digits that are said one after another,
    as an account's are, make one number: ``"one two three four"`` gives ``("1234",)``. A fraction
    is a number of its own: ``"$42.50"`` gives ``("42", "50")``.
    """
    found: list[str] = []
    for clause in _CLAUSE_END.split(text):
        words, at = words_of(clause), 0
        while at < len(words):
            digits, end = _read_number(words, at)
            if digits:
                found.append(digits)
            at = max(end, at + 1)
    return tuple(found)


def without_numbers(text: str) -> tuple[str, ...]:
    """Return the words of a text but for those that numbers are made of."""
    return tuple(word for word in words_of(text) if word not in _NUMBER_WORDS)


def _read_number(words: Sequence[str], at: int) -> tuple[str, int]:
    """Read the number that begins at a word: its digits ("" for none), and where it ends."""
    end = at
    while end < len(words) and words[end] in _DIGITS:
        end += 1
    if end < len(words) and words[end] in _MULTIPLIERS:
        end -= 1  # the last digit belongs to the quantity that follows
    if end - at >= 2:
        return "".join(str(_ONES.index(word)) for word in words[at:end]), end
    value, end = _read_quantity(words, at)
    return (str(value), end) if end > at else ("", at)


def _read_quantity(words: Sequence[str], at: int) -> tuple[int, int]:
    """Read up to 999,999 as a quantity; it ends where it begins where there is none."""
    value, end = _read_below_thousand(words, at)
    if value and words[end : end + 1] == ("thousand",):
        rest, rest_end = _read_below_thousand(words, _after_and(words, end + 1))
        return (value * 1000 + rest, rest_end) if rest else (value * 1000, end + 1)
    return value, end


def _read_below_thousand(words: Sequence[str], at: int) -> tuple[int, int]:
    value, end = _read_below_hundred(words, at)
    if value and words[end : end + 1] == ("hundred",):
        rest, rest_end = _read_below_hundred(words, _after_and(words, end + 1))
        return (value * 100 + rest, rest_end) if rest else (value * 100, end + 1)
    return value, end


def _read_below_hundred(words: Sequence[str], at: int) -> tuple[int, int]:
    word = words[at] if at < len(words) else ""
    if word in _ONES:
        return _ONES.index(word), at + 1
    if word not in _TENS:
        return 0, at
    tens = 20 + 10 * _TENS.index(word)
    ones = words[at + 1] if at + 1 < len(words) else ""
    return (tens + _ONES.index(ones), at + 2) if ones in _DIGITS - {"zero"} else (tens, at + 1)


def _after_and(words: Sequence[str], at: int) -> int:
    return at + 1 if words[at : at + 1] == ("and",) else at


def _spell(digits: str) -> tuple[str, ...]:
    if len(digits) > 1 and (digits[0] == "0" or int(digits) > _LARGEST_SPELLED):
        return tuple(_ONES[int(digit)] for digit in digits)
    return tuple(_quantity(int(digits)))


def _quantity(number: int) -> list[str]:
    """Spell 0 to 999,999."""
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if number >= unit:
            rest = number % unit
            return [*_quantity(number // unit), name, *(_quantity(rest) if rest else [])]
    if number >= 20:
        tens, ones = divmod(number, 10)
        return [_TENS[tens - 2], *([_ONES[ones]] if ones else [])]
    return [_ONES[number]]


def _edits(said: Sequence[str], got: Sequence[str]) -> int:
    """Count word edits (Levenshtein), one row of the table at a time."""
    row = list(range(len(got) + 1))
    for i, word in enumerate(said, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(got, start=1):
            step = min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
            diagonal, row[j] = row[j], step
    return row[-1]
