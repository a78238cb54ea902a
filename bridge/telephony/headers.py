"""The headers of a SIP message as it came.

Only what is told about a call is read here (a dialplan's rules, who vouches for the caller); what
SIP itself needs is PJSIP's. A header without a colon is passed over, since PJSIP took the message.
"""

import re
from collections.abc import Mapping

_FOLD = re.compile(r"\r?\n[ \t]+")
_COMPACT = {
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "e": "content-encoding",
    "k": "supported",
    "s": "subject",
    "v": "via",
    "y": "identity",
}
"""RFC 3261 section 7.3.3, RFC 8224 section 4."""


def read_headers(message: str) -> Mapping[str, tuple[str, ...]]:
    """Return a message's headers: values by lower-case name, in their order, lines unfolded."""
    head = re.split(r"\r?\n\r?\n", message, maxsplit=1)[0]
    lines = _FOLD.sub(" ", head).splitlines()[1:]
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            key = _COMPACT.get(key, key)
            found[key] = (*found.get(key, ()), value.strip())
    return found


def host_of(address: str) -> str:
    """Return the host of ``host:port`` or ``[host]:port``."""
    host, _, _ = address.rpartition(":")
    return host.strip("[]")
