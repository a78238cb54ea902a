"""Reads a caller's request for privacy (RFC 3323, RFC 3325 section 9.3, RFC 7044 section 10.1)."""

from collections.abc import Mapping, Sequence

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"""From of a caller who isn't to be shown (RFC 3323 section 4.1.1.3)."""

_HIDES_CALLER = frozenset({"id", "user"})
_HIDES_HISTORY = frozenset({"history", "header", "session"})


def privacy_of(headers: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return what the Privacy header asks for, in lower case; nothing with ``none``.

    It is obeyed whoever sends it: too much privacy forges nobody.
    """
    values = " ".join(headers.get("privacy", ())).lower().replace(",", ";").replace(" ", ";")
    asked = frozenset(each for each in values.split(";") if each)
    return frozenset() if "none" in asked else asked


def hides_caller(headers: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the caller's number isn't to be shown to anybody."""
    return bool(privacy_of(headers) & _HIDES_CALLER)


def hides_history(headers: Mapping[str, Sequence[str]]) -> bool:
    """Return whether it isn't to be shown where the call has been before."""
    return bool(privacy_of(headers) & _HIDES_HISTORY)
