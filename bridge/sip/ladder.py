"""The ladder of a call: its SIP messages in short, one row each. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.sip.text import clean, cut
from bridge.sip.trace import TracedMessage

_START = re.compile(r"SIP/2\.0 +(?P<code>[0-9]{3}) *(?P<phrase>[^\r\n]*)|(?P<method>[^ \r\n]+) ")
_LENGTH = 60
_DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
_STATIC = {"0": "PCMU", "8": "PCMA", "9": "G722", "13": "CN", "18": "G729"}
"""RFC 3551 section 6: payload types that need no rtpmap."""


@dataclass(frozen=True, slots=True)
class LadderRow:
    """One message in short.

    Attributes:
        at_ns: wall time, ns since the Unix epoch; ``after_ms``: since the first message.
        sent: by the bridge, to the far end.
        what: ``INVITE``, or ``200 OK`` with the method that it answers.
        cseq: number of the CSeq header; "" where there is none.
        media: direction, codecs and address of its session description; "" without one.
        reason: of its Reason header (RFC 3326).
        repeats: it is a retransmission.
        left_out: messages before it that were not kept.
    """

    at_ns: int
    after_ms: float
    sent: bool
    party: str
    far_end: str
    local: str
    transport: str
    what: str
    cseq: str
    media: str
    reason: str
    repeats: bool
    left_out: int

    def as_json(self) -> dict[str, object]:
        """Return it for programs; ``at`` is ISO 8601 in UTC."""
        at = datetime.fromtimestamp(self.at_ns / 1e9, UTC).isoformat(timespec="milliseconds")
        names = (
            *("after_ms", "sent", "party", "far_end", "local", "transport", "what", "cseq"),
            *("media", "reason", "repeats", "left_out"),
        )
        return {"at": at, **{name: getattr(self, name) for name in names}}


def ladder(messages: Sequence[TracedMessage]) -> list[LadderRow]:
    """Return the rows of a call's messages."""
    began_ns = messages[0].at_ns if messages else 0
    return [
        LadderRow(
            at_ns=message.at_ns,
            after_ms=round((message.at_ns - began_ns) / 1e6, 1),
            sent=message.sent,
            party=message.party,
            far_end=message.far_end,
            local=message.local,
            transport=message.transport,
            **_content(message.text),
            repeats=message.repeats,
            left_out=message.left_out,
        )
        for message in messages
    ]


def _content(text: str) -> dict[str, str]:
    number, method = _cseq(text)
    start = _START.match(text)
    if start is None:
        what = "unreadable"
    elif start["method"]:
        what = start["method"]
    else:
        what = f"{start['code']} {start['phrase']} ({method})"
    return {
        "what": cut(clean(what), _LENGTH),
        "cseq": number,
        "media": cut(clean(" ".join(_media(text))), _LENGTH),
        "reason": cut(clean(header_of(text, "reason")), 2 * _LENGTH),
    }


def header_of(text: str, name: str) -> str:
    """Return the first value of a header, by its long name; "" without one."""
    found = re.search(rf"(?im)^{re.escape(name)}[ \t]*:[ \t]*([^\r\n]*)", text)
    return found[1].strip() if found else ""


def _cseq(text: str) -> tuple[str, str]:
    number, _, method = header_of(text, "cseq").partition(" ")
    return cut(clean(number), 10), cut(clean(method.strip()), 20)


def _media(text: str) -> Iterator[str]:
    """Yield the direction, the codecs and the place of a session description's first audio."""
    begins = re.search(r"(?m)^m=audio (?P<port>\d+) \S+ (?P<types>[^\r\n]*)", text)
    if begins is None:
        return
    ends = text.find("\nm=", begins.end())
    section = text[begins.start() : ends if ends > 0 else len(text)]
    named = dict(re.findall(r"(?m)^a=rtpmap:(\d+) ([^/\r\n]+)", section))
    lines = re.findall(r"(?m)^a=(\w+)\r?$", section) or re.findall(r"(?m)^a=(\w+)\r?$", text)
    yield next((line for line in lines if line in _DIRECTIONS), "sendrecv")
    types = begins["types"].split()
    yield ",".join(named.get(each) or _STATIC.get(each, each) for each in types[:6])
    place = re.search(r"(?m)^c=IN IP[46] ([^\s/]+)", section) or re.search(
        r"(?m)^c=IN IP[46] ([^\s/]+)", text
    )
    yield f"{place[1] if place else '?'}:{begins['port']}"
