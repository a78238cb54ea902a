"""The SIP headers that carry a call's id and summary to the phone of the person who gets it.

``X-Bridge-Call-Id`` names the call in the bridge's records. ``X-Bridge-Summary`` holds the
summary's beginning; all of it is in the call's event stream in Redis.
"""

from collections.abc import Mapping
from urllib.parse import quote

CALL_ID_HEADER = "X-Bridge-Call-Id"
SUMMARY_HEADER = "X-Bridge-Summary"

MAX_SUMMARY_OCTETS = 200
"""Encoded. An INVITE with SDP takes about 900 octets, and one of more than 1300 has to leave UDP
(RFC 3261 section 18.1.1)."""

_AS_IT_IS = " .,:!?'()-/+@_="
"""Beside letters and digits. Everything else is percent-encoded UTF-8, so that the value is good in
any header (RFC 3261 section 25.1) and a line can't be broken."""


def summary_value(summary: str) -> str:
    """Return a summary as a header's value: one line, bounded, ASCII; cut between characters."""
    kept, octets = [], 0
    for character in " ".join(summary.split()):
        encoded = quote(character, safe=_AS_IT_IS)
        octets += len(encoded)
        if octets > MAX_SUMMARY_OCTETS:
            break
        kept.append(encoded)
    return "".join(kept).strip()


def context_headers(call_id: str, summary: str) -> Mapping[str, str]:
    """Return the headers for a call's person; without a summary, the call's id alone."""
    headers = {CALL_ID_HEADER: call_id}
    value = summary_value(summary)
    if value:
        headers[SUMMARY_HEADER] = value
    return headers


def with_headers(uri: str, headers: Mapping[str, str]) -> str:
    """Return a SIP URI that has its caller add these headers (RFC 3261 section 19.1.1).

    A tel URI has no room for any, and comes back as it is.
    """
    if uri.startswith("tel:"):
        return uri
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in headers.items())
    return f"{uri}{'&' if '?' in uri else '?'}{added}"
