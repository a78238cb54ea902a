"""Decides whether an offer within a call (RFC 3264 section 8) has audio that we take. Pure.

PJSIP answers a new offer that it can't take with "500 SDP negotiation failed"; 488 is due, which
tells the far end that the call goes on as it was (RFC 3261 section 14.2).
"""

import re
from collections.abc import Collection

_PROFILES = frozenset({"RTP/AVP", "RTP/AVPF"})
_STATIC = {"0": "PCMU/8000", "8": "PCMA/8000"}
"""RFC 3551 section 6: these need no rtpmap."""

_MEDIA = re.compile(r"^m=(?=\S)", re.MULTILINE)
_AUDIO = re.compile(r"audio (\d+)(?:/\d+)? (\S+) (.*)")
_RTPMAP = re.compile(r"^a=rtpmap: *(\d+) +([^/\s]+/\d+)", re.MULTILINE)


def has_usable_audio(offer: str, codecs: Collection[str]) -> bool:
    """Return whether one of an offer's streams can be taken.

    Args:
        offer: the SDP.
        codecs: those that we take, as in ``PCMU/8000``.
    """
    known = {codec.upper() for codec in codecs}
    return any(_is_usable(section, known) for section in _MEDIA.split(offer)[1:])


def _is_usable(section: str, known: set[str]) -> bool:
    found = _AUDIO.match(section)
    if found is None or int(found[1]) == 0 or found[2].upper() not in _PROFILES:
        return False
    names = {**_STATIC, **dict(_RTPMAP.findall(section))}
    return any(names.get(number, "").upper() in known for number in found[3].split())
