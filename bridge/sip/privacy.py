"""Reads the requests for privacy of a caller and of those who sent the call on.

RFC 3323, RFC 3325 section 9.3, RFC 7044 section 10.1, RFC 5806 section 4.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

from bridge.sip.addresses import Address

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"""From of a caller who isn't to be shown (RFC 3323 section 4.1.1.3)."""

_HIDES_CALLER = frozenset({"id", "user"})
_HIDES_HISTORY = frozenset({"history", "header", "session"})
_HIDES_DIVERSION = frozenset({"full", "uri"})


def privacy_of(headers: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return what the Privacy header asks for, in lower case; nothing with ``none``.

    It is obeyed whoever sends it: too much privacy forges nobody.
    """
    return _asked(" ".join(headers.get("privacy", ())))


def hides_caller(headers: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the caller's number isn't to be shown to anybody."""
    return bool(privacy_of(headers) & _HIDES_CALLER)


def hides_history(headers: Mapping[str, Sequence[str]]) -> bool:
    """Return whether it isn't to be shown where the call has been before."""
    return bool(privacy_of(headers) & _HIDES_HISTORY)


def shown(places: Iterable[Address]) -> Iterator[Address]:
    """Yield the places that a call has been at as far as each is to be shown.

    Each says so for itself: in History-Info by a Privacy header of its URI, in Diversion by the
    parameter ``privacy``, with which ``name`` hides the display name alone.
    """
    for place in places:
        diversion = _asked(dict(place.parameters).get("privacy", ""))
        history = {
            wish
            for name, _, value in (each.partition("=") for each in place.uri.headers.split("&"))
            if name.strip().lower() == "privacy"
            for wish in _asked(unquote(value))
        }
        if diversion & _HIDES_DIVERSION or history & _HIDES_HISTORY:
            continue
        yield replace(place, display="") if "name" in diversion else place


def _asked(value: str) -> frozenset[str]:
    words = value.lower().replace(",", ";").replace(" ", ";").split(";")
    asked = frozenset(each for each in words if each)
    return frozenset() if "none" in asked else asked
