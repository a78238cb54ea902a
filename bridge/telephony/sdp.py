"""Session descriptions (SDP): audio that can be taken, and ptimes as PJSIP has to read them.

PJSIP answers a new offer within a call that it can't take with "500 SDP negotiation failed"; 488 is
due, by which the far end knows that the call goes on as it was (RFC 3261 section 14.2).

PJSIP obeys `a=ptime` of an audio stream, rounded to its frames of 10 ms, and sends nothing at all
where such a packet is longer than its MTU. It ignores `a=maxptime` (RFC 8866 section 6.4), a limit
where `ptime` is a wish. So the shorter of both is written where PJSIP reads the ptime: into the
text of each received message, offers and answers, before PJSIP reads the description in it.

The functions are pure; the doors run in the loop's thread, inside the poll.
"""

import ctypes
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import IPv6Address

import structlog

from bridge.config.secure_sip import Srtp
from bridge.config.sip import MediaTerms
from bridge.config.trunks import WIDEBAND, Codec
from bridge.telephony.guarding import guarded
from bridge.telephony.received_message import MessageFinder, ReceivedText
from bridge.telephony.replies import Replies
from bridge.telephony.sip_module import HANDLED, PASS, SipModule
from bridge.telephony.sip_request import FinalResponse

log = structlog.get_logger(__name__)

OWN_MS = 20
"""What PJSIP sends where nobody asks for another ptime, and what we ask for (RFC 3551)."""

_FRAME_MS = 10
"""The shortest packet of G.711 that PJSIP makes."""
_LONGEST_MS = 180
"""Measured with 2.15.1 and 2.17: 1,440 bytes of G.711 are sent, 1,520 aren't (MTU)."""

_AUDIO = re.compile(rb"^m=[ \t]*audio[ \t].*?(?=^m=|\Z)", re.MULTILINE | re.DOTALL)
_OWN_AUDIO = re.compile(r"^m=audio (?!0 )(?:(?!^m=).*\r\n)*", re.MULTILINE)
_FORMAT = re.compile(r"^a=(?:rtpmap|fmtp):(\d+) ")
_PTIME = re.compile(rb"^a=[ \t]*ptime:([^\r\n]*)", re.MULTILINE)
_MAXPTIME = re.compile(rb"^a=[ \t]*maxptime:([^\r\n]*)", re.MULTILINE)
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


def with_codecs(sdp: str, codecs: Sequence[str]) -> str:
    """Return a description of ours with these of our codecs alone, in their order.

    PJSUA has one list for all calls.
    """
    return _OWN_AUDIO.sub(lambda found: _with_codecs(found[0], codecs), sdp)


def _with_codecs(section: str, codecs: Sequence[str]) -> str:
    names = {number: name.partition("/")[0] for number, name in _STATIC.items()}
    line, *attributes = section.splitlines(keepends=True)
    *head, formats = line.rstrip().split(" ", 3)
    listed = formats.split(" ")
    wanted = [
        number for codec in dict.fromkeys(codecs) for number in listed if names.get(number) == codec
    ]
    dropped = {number for number in listed if number in names} - set(wanted)
    others = [number for number in listed if number not in names]
    kept = [line for line in attributes if not dropped.intersection(_FORMAT.findall(line))]
    return "".join((" ".join((*head, *wanted, *others)), "\r\n", *kept))


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
    return _PTIME.sub(lambda found: found[0].replace(b"ptime", b"-time", 1), section)


def _written(found: re.Match[bytes], ptime_ms: int) -> bytes:
    prefix = b"a=ptime:"
    return prefix + b"%0*d" % (len(found[0]) - len(prefix), ptime_ms)


_PLAIN = frozenset({"RTP/AVP", "RTP/AVPF"})
_SECURE = frozenset({"RTP/SAVP", "RTP/SAVPF"})
_PROFILES: Mapping[Srtp, frozenset[str]] = {
    "off": _PLAIN,
    "optional": _PLAIN | _SECURE,
    "required": _SECURE,
}
_G722 = "9"
_STATIC = {"0": "PCMU/8000", "8": "PCMA/8000", _G722: "G722/8000"}
"""RFC 3551 section 6: these need no rtpmap. G.722 is sampled at 16 kHz (section 4.5.2)."""

_CLOCK_HZ = 8_000
"""Of the RTP of all three codecs."""

_STREAM = re.compile(r"^m=(?=\S)", re.MULTILINE)
_AUDIO_LINE = re.compile(r"audio (\d+)(?:/\d+)? (\S+) (.*)")
_ANY_STREAM = re.compile(r"\S+ +\d+(?:/\d+)? +(\S+)")
_LONE_RETURN = re.compile(r"\r(?!\n)")
"""The end of a line to PJSIP, and to nobody else."""
_KEY = re.compile(r"^a=crypto:", re.MULTILINE)
_RTPMAP = re.compile(r"^a=rtpmap: *(\d+) +([^/\s]+/\d+)", re.MULTILINE)


def has_usable_audio(offer: str, terms: MediaTerms) -> bool:
    """Return whether one of an offer's streams can be taken.

    Args:
        offer: the SDP.
        terms: of the call. With SRTP PJSIP ends the process at an offer with a stream that is
            secured in another way than by keys in the description.
    """
    srtp = terms.srtp
    known = {f"{codec}/{_CLOCK_HZ}" for codec in terms.codecs}
    if srtp != "off" and (_LONE_RETURN.search(offer) or _is_secured_otherwise(offer)):
        return False
    return any(_is_usable(section, known, srtp) for section in _STREAM.split(offer)[1:])


def _is_secured_otherwise(offer: str) -> bool:
    for section in _STREAM.split(offer)[1:]:
        found = _ANY_STREAM.match(section)
        profile = found[1].upper() if found else "SAVP"
        if "SAVP" in profile and not (profile in _SECURE and _KEY.search(section)):
            return True
    return False


def _is_usable(section: str, known: set[str], srtp: Srtp) -> bool:
    found = _AUDIO_LINE.match(section)
    if found is None or int(found[1]) == 0 or found[2].upper() not in _PROFILES[srtp]:
        return False
    if found[2].upper() in _SECURE and not _KEY.search(section):
        return False
    return not known.isdisjoint(_codecs(section, found[3]))


def _codecs(section: str, formats: str) -> set[str]:
    """Return the codecs of an offered stream that PJSIP can have, as an rtpmap has them.

    It takes a static number for what it is, whatever the rtpmap says, as `G722/16000`. G.722 has
    its rate by that number alone: by another one PJSIP agrees to it, and then has no such codec.
    """
    names, g722 = dict(_RTPMAP.findall(section)), _STATIC[_G722]
    codecs = {each: _STATIC.get(each) or names.get(each, "").upper() for each in formats.split()}
    renumbered = any(codec == g722 and number != _G722 for number, codec in codecs.items())
    return set(codecs.values()) - ({g722} if renumbered else set())


def codecs_towards(
    offer: str, codecs: Sequence[Codec], wanted: Codec | None = None
) -> Sequence[Codec]:
    """Return those of a call's codecs that our description has, given the other side's.

    G.722 by a number that isn't its own would be agreed on (:func:`_codecs`).

    Args:
        offer: empty where the offer is ours.
        codecs: that the call may have, in order of preference.
        wanted: fits the call's service. It is offered first; where it is offered to us, our answer
            has it alone, since PJSIP would go by the other side's order.
    """
    wanted = wanted if wanted in codecs else None
    if not offer:
        return codecs if wanted is None else [wanted, *(each for each in codecs if each != wanted)]
    streams = ((each, _AUDIO_LINE.match(each)) for each in _STREAM.split(offer)[1:])
    offered = {name for each, found in streams if found for name in _codecs(each, found[3])}
    if wanted is not None and f"{wanted}/{_CLOCK_HZ}" in offered:
        return [wanted]
    return [each for each in codecs if each != WIDEBAND or _STATIC[_G722] in offered]


_CONNECTION = re.compile(r"^c=IN +(\S+) +([^\s/]+)", re.MULTILINE | re.IGNORECASE)


def is_of_family(offer: str, *, is_ipv6: bool) -> bool:
    """Return whether an offer's audio is at addresses of our family; port 0 may be anywhere.

    PJSUA would open a socket of the other family, bound to our address of this one. Of IPv6 a
    name, a zone and a mapped IPv4 address are none either: PJSUA would ask the DNS for the first
    two while every call waits, and our sockets reach no IPv4.
    """
    session, *streams = _STREAM.split(offer)
    for section in streams:
        found = _AUDIO_LINE.match(section)
        if found is not None and int(found[1]):
            places = _CONNECTION.findall(section) or _CONNECTION.findall(session)
            if not all(_is_place(*place, is_ipv6=is_ipv6) for place in places):
                return False
    return True


def _is_place(family: str, host: str, *, is_ipv6: bool) -> bool:
    if family.upper() != ("IP6" if is_ipv6 else "IP4"):
        return False
    try:
        address = IPv6Address(host)
    except ValueError:
        return not is_ipv6
    return is_ipv6 and address.ipv4_mapped is None and address.scope_id is None


_NOT_ACCEPTABLE = 488, "Not Acceptable Here"
_NOT_OUR_FAMILY = FinalResponse(
    *_NOT_ACCEPTABLE, (("Warning", '301 bridge "Incompatible network address formats"'),)
)
"""RFC 3261 section 20.43."""
_NOT_ITS_SRTP = FinalResponse(
    *_NOT_ACCEPTABLE, (("Warning", '399 bridge "Not the SRTP of this trunk"'),)
)
_NOT_ITS_CODEC = FinalResponse(
    *_NOT_ACCEPTABLE, (("Warning", '305 bridge "Incompatible media format"'),)
)
_BEFORE_DIALOGS = 31
"""Behind transactions; PJSIP_MOD_PRIORITY_UA_PROXY_LAYER is 32."""


class OfferDoor:
    """Refuses offers that PJSIP would take and fail with, or that a trunk may not make.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        terms: returns those of the request that is just being received, given its text.
        all_codecs: of all trunks.
        is_ipv6: whether our audio is IPv6.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        terms: Callable[[str], MediaTerms],
        *,
        all_codecs: Collection[str],
        is_ipv6: bool,
    ) -> None:
        self._received = ReceivedText(lib)
        self._terms = terms
        self._all_codecs = set(all_codecs)
        self._is_ipv6 = is_ipv6
        self._replies = Replies(lib)
        self._module = SipModule(
            lib, b"mod-offers", _BEFORE_DIALOGS, {"on_rx_request": self._on_request}
        )

    def _on_request(self, rdata: int) -> int:
        with guarded(log, "offer_not_judged"):
            message = self._received.of(rdata).text
            if not message.startswith(("INVITE ", "UPDATE ")):
                return PASS
            refusal = self._refusal(message.partition("\r\n\r\n")[2], self._terms(message))
            if refusal is None:
                return PASS
            self._replies.send(rdata, refusal)
        return HANDLED

    def _refusal(self, offer: str, terms: MediaTerms) -> FinalResponse | None:
        if not is_of_family(offer, is_ipv6=self._is_ipv6):
            return _NOT_OUR_FAMILY
        # PJSIP would say 406 to an offer without the trunk's SRTP, or end; and take one that has
        # another trunk's codec alone, until the call is answered, and G.722 by any number.
        all_narrow = WIDEBAND not in self._all_codecs and set(terms.codecs) == self._all_codecs
        is_judged = terms.srtp != "off" or not all_narrow
        if not is_judged or not offer.strip() or has_usable_audio(offer, terms):
            return None
        return _NOT_ITS_CODEC if terms.srtp == "off" else _NOT_ITS_SRTP


_BEFORE_REQUEST_FAULTS = 12
"""Above PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8), below all that read the body."""


class PtimeDoor:
    """Holds PJSIP to the packets that a far end takes.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        fixed_ms: see :func:`with_served_ptime`.
    """

    def __init__(self, lib: ctypes.CDLL, fixed_ms: int | None) -> None:
        self._finder = MessageFinder(lib)
        self._fixed_ms = fixed_ms
        self._module = SipModule(
            lib,
            b"mod-ptime",
            _BEFORE_REQUEST_FAULTS,
            {"on_rx_request": self._on_message, "on_rx_response": self._on_message},
        )

    def _on_message(self, rdata: int) -> int:
        with guarded(log, "ptime_not_served"):
            found = self._finder.text(rdata)
            text = ctypes.string_at(*found) if found else b""
            if found and b"ptime:" in text:
                served = with_served_ptime(text, self._fixed_ms)  # of the same length
                ctypes.memmove(found[0], served, len(text))
        return PASS
