"""The headers of a SIP message, as text. Pure."""

import re
from collections.abc import Mapping
from types import MappingProxyType

Headers = Mapping[str, tuple[str, ...]]
"""Lower-case name -> values, one a header line, in the order of the message."""

NO_HEADERS: Headers = MappingProxyType({})

_FOLDED = re.compile(r"\r?\n[ \t]+")

_COMPACT = MappingProxyType({"f": "from", "t": "to", "m": "contact", "v": "via", "i": "call-id"})
"""RFC 3261 section 7.3.3; those that anybody asks for."""


def read_headers(message: str) -> Headers:
    """Read the headers of a message; lines that are none are left out.

    A header that is folded over several lines (RFC 3261 section 7.3.1) is one line here; several
    values in one line, with commas between them, stay one.
    """
    head = re.split(r"\r?\n\r?\n", message, maxsplit=1)[0]
    found: dict[str, tuple[str, ...]] = {}
    for line in _FOLDED.sub(" ", head).splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            key = _COMPACT.get(key, key)
            found[key] = (*found.get(key, ()), value.strip())
    return MappingProxyType(found)
