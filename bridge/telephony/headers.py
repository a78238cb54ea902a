"""The headers of a SIP message, as text. Pure."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from bridge.sip.text import clean

Headers = Mapping[str, tuple[str, ...]]
"""Lower-case name -> values, one a header line, in the order of the message."""

_LINE_END = re.compile(r"\r?\n")
_FOLDED = re.compile(r"\r?\n[ \t]+")

_COMPACT = MappingProxyType(
    {
        "a": "accept-contact",
        "b": "referred-by",
        "c": "content-type",
        "d": "request-disposition",
        "e": "content-encoding",
        "f": "from",
        "i": "call-id",
        "j": "reject-contact",
        "k": "supported",
        "l": "content-length",
        "m": "contact",
        "n": "identity-info",
        "o": "event",
        "r": "refer-to",
        "s": "subject",
        "t": "to",
        "u": "allow-events",
        "v": "via",
        "x": "session-expires",
        "y": "identity",
    }
)
"""RFC 3261 section 7.3.3, with the forms that IANA has registered since; a rule may name any."""


def read_headers(message: str) -> Headers:
    """Read the headers of a message; lines that are none are left out.

    A header that is folded over several lines (RFC 3261 section 7.3.1) is one line here; several
    values in one line, with commas between them, stay one.

    Args:
        message: as PJSIP hands it over; only CRLF and LF end its lines, whatever else may look like
            the end of one.

    Returns:
        Values that people and programs may read (:func:`bridge.sip.text.clean`).
    """
    head = _FOLDED.sub(" ", _parts(message)[0])
    found: dict[str, tuple[str, ...]] = {}
    for line in _LINE_END.split(head)[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = clean(name).lower()
            key = _COMPACT.get(key, key)
            found[key] = (*found.get(key, ()), clean(value))
    return MappingProxyType(found)


def request_uri(message: str) -> str:
    """Return the Request-URI of a message; "" for a message without one."""
    words = _LINE_END.split(message, maxsplit=1)[0].split(" ")
    return clean(words[1]) if len(words) > 1 else ""


def read_body(message: str) -> str:
    """Return the body of a message, as PJSIP hands it over."""
    return _parts(message)[1]


def _parts(message: str) -> tuple[str, str]:
    head, *body = re.split(r"\r?\n\r?\n", message, maxsplit=1)
    return head, body[0] if body else ""
