"""Numbers and the patterns that dialplans compare them with.

A number is normalised the same way on both sides: RFC 3966 section 3 visual separators go, a
leading ``+`` stays (``+4930`` and ``4930`` differ: write numbers as the trunk sends them, or as its
`numbers` have them read). Names
are left as they are; RFC 3261 section 19.1.4 compares user parts with their case.
"""

import functools
import re
import string
from dataclasses import dataclass

from bridge.sip.addresses import user_in
from bridge.sip.numbers import normalise_user

_SEPARATORS = re.compile(r"[\s().\-]")
_SCHEME = re.compile(r"(?i)^(sips?|tel):")

_WITHHELD = frozenset({"anonymous", "unknown", "unavailable", "restricted"})
"""User parts of callers who don't show their number (RFC 3323 section 4.1.1.3 and usage)."""

_MARK = "_"
_TOKENS = re.compile(r"\[[^\]]*\]?|.")
_BRACKET = re.compile(r"\[(?:[0-9](?:-[0-9])?)+\]")

DIGITS = {
    "X": frozenset("0123456789"),
    "Z": frozenset("123456789"),
    "N": frozenset("23456789"),
}
"""What a letter stands for in a pattern that begins with ``_``: Asterisk's, whose users know it."""


def normalise_called(called: str) -> str:
    """Return the user part of what was dialled, a number without separators.

    Args:
        called: a SIP or tel URI, a name-addr (``"Support" <sip:...>``), or a bare user part.

    Returns:
        the user part; empty for a URI without one, and for an address that can't be read.
    """
    return normalise_user(user_in(called))


def shown_number(caller: str) -> str:
    """Return who calls, normalised; empty for a caller who does not show the number."""
    user = normalise_called(caller)
    return "" if user.lower() in _WITHHELD else user


def normalise_pattern(pattern: str) -> str:
    """Return a pattern in the form that :func:`pattern_matches` takes.

    A ``*`` at the end is a wildcard; one at the start is the key of a star code (``*98``). After a
    ``_`` letters and brackets stand for digits, see :data:`DIGITS`: ``_+1NXXNXXXXXX``.

    Raises:
        ValueError: a ``*`` stands anywhere else, there is a whole URI, or a bad bracket.
    """
    if "@" in pattern or _SCHEME.match(pattern):
        raise ValueError("should be the number or name alone, without 'sip:' and '@host'")
    body = pattern[:-1] if pattern.endswith("*") else pattern
    if "*" in body[1:]:
        raise ValueError("may have a '*' only at its end (any ending) or start (a star code)")
    if pattern.startswith(_MARK):
        # Between brackets a dash is a range, elsewhere it separates.
        pieces = re.split(r"(\[[^\]]*\])", pattern)
        tidy = "".join(p if p.startswith("[") else _SEPARATORS.sub("", p) for p in pieces)
        _compile(tidy)
        return tidy
    return normalise_user(body) + pattern[len(body) :]


def pattern_matches(pattern: str, number: str) -> bool:
    """Return whether a normalised number meets a normalised pattern."""
    wanted = _compile(pattern)
    if len(number) < len(wanted.places) or (len(number) > len(wanted.places) and not wanted.open):
        return False
    return all(digit in place for place, digit in zip(wanted.places, number, strict=False))


def covers(first: str, second: str) -> bool:
    """Return whether every number that meets ``second`` meets ``first`` (both normalised)."""
    one, other = _compile(first), _compile(second)
    shorter = len(one.places) <= len(other.places)
    if not shorter or (not one.open and (other.open or len(one.places) < len(other.places))):
        return False
    return all(ours >= theirs for ours, theirs in zip(one.places, other.places, strict=False))


@dataclass(frozen=True, slots=True)
class _Pattern:
    """The digits that may stand at each place of a number, and whether more may follow."""

    places: tuple[frozenset[str], ...]
    open: bool


@functools.lru_cache(maxsize=4096)
def _compile(pattern: str) -> _Pattern:
    is_open = pattern.endswith("*")
    body = pattern[:-1] if is_open else pattern
    if not body.startswith(_MARK):
        return _Pattern(tuple(frozenset(each) for each in body), is_open)
    places = [_place(token) for token in _TOKENS.findall(body[len(_MARK) :])]
    if not places:
        raise ValueError("should have something after the '_', as in '_+1NXXNXXXXXX'")
    return _Pattern(tuple(places), is_open)


def _place(token: str) -> frozenset[str]:
    if not token.startswith("["):
        return DIGITS.get(token, frozenset(token))
    if not _BRACKET.fullmatch(token):
        raise ValueError(f"has '{token}', which should hold digits and ranges, like '[2-57]'")
    digits: set[str] = set()
    for first, last in re.findall(r"([0-9])(?:-([0-9]))?", token):
        between = string.digits[int(first) : int(last or first) + 1]
        if not between:
            raise ValueError(f"has '{token}', whose range goes down")
        digits.update(between)
    return frozenset(digits)
