"""Bounds what one SIP message may hold, before PJSIP's tables are filled from it. Pure.

PJSIP copies parts of a message into tables of fixed sizes, and some releases write past them
(`bridge/telephony/known_faults.py`). :data:`BOUNDS` says how much of each part is let through, with
room for every phone and carrier, and below the table that it would fill. Requests and responses are
measured alike: the far end of a call that the bridge has placed is a peer, too. Longer messages
than PJSIP's buffer are refused elsewhere (`bridge/telephony/long_messages.py`).

PJSIP reads more leniently than the RFCs write: names in capitals, ends of lines of one byte. Hence
the measures are more lenient still, with blanks behind ``a=``, and look at the whole message: where
its body begins is another thing that two readers see differently.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_CRYPTO = re.compile(rb"\na=[ \t]*crypto")
_MULTIPART = re.compile(rb"\n(?:content-type|c)[ \t]*:[ \t\n]*multipart")
_ADDRESS_LINE = re.compile(rb"\n(?:c=|a=[ \t]*(?:rtcp|candidate))([^\n]*)")
_BLANK_LINE = b"\n\n"


@dataclass(frozen=True, slots=True)
class Bound:
    """The most of one thing in a message.

    Attributes:
        name: for logs.
        most: of ``measure``; more is refused.
        why: what would fail otherwise, or why nobody needs more.
        code, reason: a request beyond the bound is answered so; a response, and an ACK, is dropped.
        measure: counts in a message that :func:`_levelled` has made alike.
    """

    name: str
    most: int
    why: str
    code: int
    reason: str
    measure: Callable[[bytes], int]


def _headers(text: bytes) -> int:
    return text.count(b"\n", 0, _head_end(text))


def _header_name(text: bytes) -> int:
    head = text[: _head_end(text)]
    lines = head.split(b"\n")[1:]
    return max((line.find(b":") for line in lines if line[:1] not in {b" ", b"\t"}), default=0)


def _head_end(text: bytes) -> int:
    end = text.find(_BLANK_LINE)
    return len(text) if end < 0 else end


def _multiparts(text: bytes) -> int:
    return len(_MULTIPART.findall(text)) if b"multipart" in text else 0


def _parts(text: bytes) -> int:
    """Count lines that may end a part; a boundary needn't stand at a line's begin for PJSIP."""
    return sum(b"--" in line for line in text.split(b"\n")) if _multiparts(text) else 0


def _media(text: bytes) -> int:
    return text.count(b"\nm=")


def _attributes(text: bytes) -> int:
    return text.count(b"\na=")


def _address(text: bytes) -> int:
    lines = _ADDRESS_LINE.findall(text)
    return max((len(word) for line in lines for word in re.split(rb"[ \t]", line)), default=0)


def _keys(text: bytes) -> int:
    return len(_CRYPTO.findall(text))


_NO_MEDIA = 488, "Not Acceptable Here"
_NO_ROOM = 413, "Request Entity Too Large"

BOUNDS = (
    Bound(
        "headers", 256, "an INVITE through ten proxies has 60", 400, "Too Many Headers", _headers
    ),
    Bound(
        *("header_name", 128, "the longest that is registered has 33 bytes"),
        *(400, "Header Name Too Long", _header_name),
    ),
    Bound("multiparts", 4, "a body within a body, and two beside it", *_NO_ROOM, _multiparts),
    Bound("parts", 64, "PJSIP makes an object of each part while it reads", *_NO_ROOM, _parts),
    Bound(
        "media", 16, "PJMEDIA_MAX_SDP_MEDIA; negotiation has written past it", *_NO_MEDIA, _media
    ),
    Bound(
        *("address", 253, "PJ_MAX_HOSTNAME; a longer one in c= ends a build with assertions"),
        *(*_NO_MEDIA, _address),
    ),
    Bound("attributes", 512, "16 media with 32 lines each", *_NO_MEDIA, _attributes),
    Bound("keys", 32, "PJSIP's table of a=crypto has 64 places: CVE-2026-57162", *_NO_MEDIA, _keys),
)
"""In the order that they are looked at."""


def passed_bound(data: bytes) -> Bound | None:
    """Return the first bound that a message goes past; None where it keeps to all of them.

    Args:
        data: a whole message, or what has come of one: no measure gets smaller with what follows.
    """
    text = _levelled(data)
    return next((bound for bound in BOUNDS if bound.measure(text) > bound.most), None)


def _levelled(data: bytes) -> bytes:
    """Return a message in lower case, each line's end being one byte."""
    return data.lower().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
