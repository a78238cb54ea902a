"""Words as they are spoken, and how far two word sequences are apart.

Both sides of a comparison go through :func:`words_of`, so case, punctuation and digits never count
as a difference. Pure functions.
"""

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"\d+|[a-z]+(?:'[a-z]+)*")
_THOUSANDS_COMMA = re.compile(r"(?<=\d),(?=\d{3}\b)")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
# fmt: off
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on
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
