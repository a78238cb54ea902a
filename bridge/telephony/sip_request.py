"""A SIP request as a stranger wrote it, and the answer that its faults are due. Pure.

PJSIP's parser passes over some faults (two Call-IDs, a CSeq of another method) and stops at others
without an answer. RFC 3261 wants a 400 for both (section 21.4.1), RFC 4475 has examples. Where the
RFCs leave a choice, what can be understood is let through.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from bridge.sip.bounds import passed_bound

_COMPACT = MappingProxyType(
    {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}
    | {"c": "content-type"}
)
"""RFC 3261 section 7.3.3; those that are looked at."""

_SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length")
"""Headers that may stand once (RFC 3261 section 7.3.1: the others are lists)."""

_NEEDED = ("via", "from", "to", "call-id", "cseq")
"""RFC 3261 section 8.1.1, without Max-Forwards: RFC 2543 did not know it."""

_SUPPORTED = frozenset({"100rel", "timer", "replaces", "norefersub"})
_SCHEMES = frozenset({"sip", "sips", "tel"})
_HIGHEST_SEQUENCE = 2**31 - 1
"""RFC 3261 section 8.1.1.5."""
_MOST_HOPS = 255
"""RFC 3261 section 20.22."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETED = re.compile(r"<[^<>]*>")
_VIA = re.compile(
    r"SIP\s*/\s*[0-9.]+\s*/\s*\S+\s+[^\s;]+(?:\s*:\s*[0-9]+)?\s*(?:;.*)?", re.DOTALL | re.I
)
_SEQUENCE = re.compile(r"([0-9]+)\s+(\S+)")
_SESSION = re.compile(r"application/(?:sdp|\*)|\*/\*|multipart/")
"""Types of a body that we could send; RFC 3261 section 20.1."""
_NUMBER = re.compile(r"0*([0-9]{1,10})")
_TAG = re.compile(r";\s*tag\s*=\s*([^;\s]+)", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FOLDED = re.compile(r"\r?\n[ \t]+")


@dataclass(frozen=True, slots=True)
class FinalResponse:
    """A final response.

    Attributes:
        headers: beside those that are copied from the request.
    """

    code: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A request, read leniently; bytes that are no ASCII are Latin-1 here.

    Attributes:
        uri: all between method and version, spaces too.
        headers: full lower-case name -> values, one a line, unfolded.
        body_bytes: how much follows the headers; None where no empty line ends them.
    """

    method: str
    uri: str
    version: str
    headers: Mapping[str, tuple[str, ...]]
    body_bytes: int | None
    size_bytes: int

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Read a datagram, or one message of a stream; None for a response and for no SIP."""
        parts = _BLANK_LINE.split(data, maxsplit=1)
        head = _FOLDED.sub(" ", parts[0].decode("latin-1").lstrip("\r\n"))
        start, *lines = re.split(r"\r?\n", head)
        method, _, rest = start.strip().partition(" ")
        method = "ACK" if method.upper() == "ACK" else method  # as PJSIP takes it; has no answer
        uri, _, version = rest.rpartition(" ")
        if method.startswith("SIP/") or not version.startswith("SIP/"):
            return None
        found: dict[str, tuple[str, ...]] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                key = name.strip().lower()
                key = _COMPACT.get(key, key)
                found[key] = (*found.get(key, ()), value.strip())
        body_bytes = len(parts[1]) if len(parts) > 1 else None
        return cls(method, uri.strip(), version, MappingProxyType(found), body_bytes, len(data))

    def header(self, name: str) -> str:
        """Return the first value of a header, by its full lower-case name; "" for none."""
        return next(iter(self.headers.get(name, ())), "")

    def tag(self, name: str) -> str:
        """Return the tag of From or To; "" where there is none."""
        value = _QUOTED.sub("", self.header(name))
        found = _TAG.search(value.rpartition(">")[2])
        return found[1] if found else ""


TOO_LARGE = FinalResponse(513, "Message Too Large")
"""RFC 3261 section 21.5.7."""


def refusal_of(request: Request, most_bytes: int) -> FinalResponse | None:
    """Return what a request's faults are answered with; None where it has none.

    ACK has no answer (RFC 3261 section 17): the caller of this sends it none.

    Args:
        most_bytes: PJSIP cuts longer datagrams off (:mod:`bridge.telephony.library`).
    """
    if _may_be_cut_off(request, most_bytes):
        return TOO_LARGE
    if request.version.upper() != "SIP/2.0":
        return FinalResponse(505, "Version Not Supported")
    fault = next((fault for check in _CHECKS for fault in check(request)), None)
    if fault is not None:
        return FinalResponse(400, f"Bad {fault}")
    return _unsupported(request)


def is_without_contact(request: Request) -> bool:
    """Return whether an INVITE has no Contact because it is as old as RFC 2543, which wanted none.

    Its Via has no branch of RFC 3261 (section 8.1.1.7). Requests in its dialog go to its From.
    """
    return not request.header("contact") and "z9hG4bK" not in request.header("via")


def out_of_bounds(data: bytes) -> FinalResponse | None:
    """Return what a message that goes past a bound is answered with; None where none is passed."""
    bound = passed_bound(data)
    if bound is None:
        return None
    warning = f'399 bridge "{bound.name}: at most {bound.most}"'
    return FinalResponse(bound.code, bound.reason, (("Warning", warning),))


def _may_be_cut_off(request: Request, most_bytes: int) -> bool:
    """Return whether there may have been more of a datagram; its Content-Length alone says no."""
    length, body_bytes = request.header("content-length"), request.body_bytes
    whole = body_bytes is not None and _is_number(length, body_bytes)
    return request.size_bytes >= most_bytes and not whole


def _unsupported(request: Request) -> FinalResponse | None:
    scheme, colon, _ = request.uri.partition(":")
    if not colon or scheme.lower() not in _SCHEMES:
        return FinalResponse(416, "Unsupported URI Scheme")
    required = ",".join(request.headers.get("require", ())).split(",")
    tags = (tag.strip() for tag in required)
    unknown = ", ".join(tag for tag in tags if tag and tag.lower() not in _SUPPORTED)
    if unknown and request.method not in {"ACK", "CANCEL"}:
        return FinalResponse(420, "Bad Extension", (("Unsupported", unknown),))
    accepted = ",".join(request.headers.get("accept", ())).lower()
    if request.method == "INVITE" and accepted and not _SESSION.search(accepted):
        return FinalResponse(406, "Not Acceptable")
    kind = request.header("content-type").lower()
    if request.method == "INVITE" and kind and not _SESSION.search(kind):
        return FinalResponse(415, "Unsupported Media Type", (("Accept", "application/sdp"),))
    return None


Faults = Iterator[str]


def _needed(request: Request) -> Faults:
    return (f"{name.title()}: missing" for name in _NEEDED if not request.header(name))


def _repeated(request: Request) -> Faults:
    repeated = (name for name in _SINGLE if len(request.headers.get(name, ())) > 1)
    return (f"{name.title()}: repeated" for name in repeated)


def _uri(request: Request) -> Faults:
    if not request.uri or re.search(r"[\s<>\"]", request.uri):
        yield "Request-URI"
    elif request.uri.lower().startswith("sip") and "?" in request.uri.rpartition("@")[2]:
        yield "Request-URI: headers"  # RFC 3261 section 19.1.1, table 1


def _sequence(request: Request) -> Faults:
    found = _SEQUENCE.fullmatch(request.header("cseq"))
    if found is None or not _is_number(found[1], _HIGHEST_SEQUENCE):
        yield "CSeq"
    elif found[2] != request.method:
        yield "CSeq: method"


def _numbers(request: Request) -> Faults:
    length, hops = request.header("content-length"), request.header("max-forwards")
    if length and not _is_number(length, request.body_bytes or 0):
        yield "Content-Length"
    if hops and not _is_number(hops, _MOST_HOPS):
        yield "Max-Forwards"


def _is_number(text: str, most: int) -> bool:
    found = _NUMBER.fullmatch(text)
    return found is not None and int(found[1]) <= most


def _addresses(request: Request) -> Faults:
    for name in ("from", "to", "contact"):
        for value in request.headers.get(name, ()):
            bare = _BRACKETED.sub("<>", _QUOTED.sub("", value))
            if '"' in bare or bare.count("<") != bare.count("<>") or ";;" in bare:
                yield name.title()
            elif "<" not in bare and "?" in bare.rpartition("@")[2]:
                yield f"{name.title()}: headers"  # RFC 3261 section 20: they need brackets


def _vias(request: Request) -> Faults:
    for line in request.headers.get("via", ()):
        for via in _QUOTED.sub("", line).split(","):
            if _VIA.fullmatch(via.strip()) is None or ";;" in via.replace(" ", ""):
                yield "Via"


_CHECKS: tuple[Callable[[Request], Faults], ...] = (
    *(_uri, _needed, _repeated, _sequence, _numbers, _addresses, _vias),
)


def write_response(request: Request, answer: FinalResponse, source: tuple[str, int]) -> bytes:
    """Write a response to a request that PJSIP's own parser can't read (RFC 3261 section 8.2.6).

    Args:
        source: host and port that the request came from; named in the topmost Via (RFC 3581).
    """
    lines = [f"SIP/2.0 {answer.code} {answer.reason}"]
    for place, via in enumerate(request.headers.get("via", ())):
        lines.append(f"Via: {_stamped(via, source) if place == 0 else via}")
    to = request.header("to")
    if to and not request.tag("to"):
        to += f";tag=bad-{abs(hash(request.header('call-id'))) % 16**8:08x}"
    values = {"From": request.header("from"), "To": to, "Call-ID": request.header("call-id")}
    values["CSeq"] = request.header("cseq")
    lines += [f"{name}: {value}" for name, value in values.items() if value]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    return "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode("latin-1")


def _stamped(via: str, source: tuple[str, int]) -> str:
    first, comma, others = via.partition(",")
    plain = re.sub(r";\s*(?:rport(?:=\d*)?|received=[^;,\s]*)\s*(?=;|$)", "", first)
    return f"{plain};received={source[0]};rport={source[1]}{comma}{others}"
