"""Rewrites SDP so that PJSIP sends packets as long as the far end takes. Pure.

PJSIP obeys `a=ptime` of an audio stream, rounded to its frames of 10 ms, and sends nothing at all
where such a packet is longer than its MTU. It ignores `a=maxptime` (RFC 8866 section 6.4), a limit
where `ptime` is a wish. So the shorter of both is written where PJSIP reads the ptime.
"""

import re

OWN_MS = 20
"""What PJSIP sends where nobody asks for another ptime, and what we ask for (RFC 3551)."""

_FRAME_MS = 10
"""The shortest packet of G.711 that PJSIP makes."""
_LONGEST_MS = 180
"""Measured with 2.15.1 and 2.17: 1,440 bytes of G.711 are sent, 1,520 aren't (MTU)."""

_AUDIO = re.compile(rb"^m=audio[ \t].*?(?=^m=|\Z)", re.MULTILINE | re.DOTALL)
_OWN_AUDIO = re.compile(r"^m=audio (?!0 )(?:(?!^m=).*\r\n)*", re.MULTILINE)
_PTIME = re.compile(rb"^a=ptime:([^\r\n]*)", re.MULTILINE)
_MAXPTIME = re.compile(rb"^a=maxptime:([^\r\n]*)", re.MULTILINE)
_NUMBER = re.compile(rb"[ \t]*0*([0-9]{1,9})")


def with_served_ptime(message: bytes, fixed_ms: int | None = None) -> bytes:
    """Return a message whose SDP has PJSIP send packets that the far end takes; its length stays.

    Args:
        message: with the session description at its end.
        fixed_ms: sent whatever ptime the far end likes, within its maxptime; None to follow it.
    """
    head, blank, body = message.partition(b"\r\n\r\n")
    if not blank:
        head, blank, body = message.partition(b"\n\n")
    return head + blank + _AUDIO.sub(lambda found: _served(found[0], fixed_ms), body)


def with_own_ptime(sdp: str) -> str:
    """Return a description of ours that asks for packets of `OWN_MS` (RFC 3264 section 5.1)."""
    return _OWN_AUDIO.sub(lambda found: f"{found[0]}a=ptime:{OWN_MS}\r\n", sdp)


def _served(section: bytes, fixed_ms: int | None) -> bytes:
    most = _least(section) or _LONGEST_MS
    asked = _PTIME.search(section)
    own_ms = fixed_ms or OWN_MS
    wanted = _milliseconds(asked[1]) if asked and fixed_ms is None else 0
    # PJSIP rounds to whole frames; less than half of one is no wish to it.
    frames = (wanted + _FRAME_MS // 2) // _FRAME_MS or own_ms // _FRAME_MS
    served_ms = max(min(frames, most // _FRAME_MS, _LONGEST_MS // _FRAME_MS), 1) * _FRAME_MS
    if most < _LONGEST_MS:
        section = _void(section)
        return _MAXPTIME.sub(lambda found: _written(found, served_ms), section, count=1)
    if fixed_ms is not None:
        return _void(section)  # PJSIP's default is what the endpoint has set
    if wanted > _LONGEST_MS:
        return _PTIME.sub(lambda found: _written(found, served_ms), section, count=1)
    return section


def _least(section: bytes) -> int:
    limits = (_milliseconds(found[1]) for found in _MAXPTIME.finditer(section))
    return min((limit for limit in limits if limit), default=0)


def _milliseconds(value: bytes) -> int:
    found = _NUMBER.match(value)
    return int(found[1]) if found else 0


def _void(section: bytes) -> bytes:
    """Rename the ptimes, so that PJSIP knows none."""
    return section.replace(b"\na=ptime:", b"\na=-time:")


def _written(found: re.Match[bytes], ptime_ms: int) -> bytes:
    prefix = b"a=ptime:"
    return prefix + b"%0*d" % (len(found[0]) - len(prefix), ptime_ms)
