"""SIP messages and session descriptions without PJSIP (RFC 3261, RFC 4566). Pure.

PJSIP speaks SIP in the product. What is here writes and reads the few messages of a caller that has
to be cheap, exact, or wrong on purpose, and what a relay between two phones changes in them.
"""

import re
from dataclasses import dataclass
from typing import Literal

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
_CODECS = {0: "PCMU", 8: "PCMA", 9: "G722"}
_SUITE = "AES_CM_128_HMAC_SHA1_80"
_FOLDED = re.compile(r"\r\n[ \t]+")
_COMPACT = {"v": "Via", "f": "From", "t": "To", "i": "Call-ID", "m": "Contact"} | {
    "l": "Content-Length",
    "c": "Content-Type",
}
"""RFC 3261 section 7.3.3."""


def audio_sdp(
    port: int,
    payload_types: tuple[int, ...] = (0, 8),
    *,
    direction: Direction = "sendrecv",
    address: str = "127.0.0.1",
    version: int = 1,
    telephone_event: bool = True,
    crypto_key: str = "",
) -> str:
    """Return a description of one audio stream (RFC 4566).

    Args:
        port: where RTP is awaited.
        payload_types: codecs in order of preference: 0 is PCMU, 8 is PCMA, 9 is G.722.
        direction: ``sendonly`` or ``inactive`` is hold (RFC 3264 section 8.4).
        address: ``0.0.0.0`` is hold as RFC 2543 did it.
        version: of the session; each new offer needs a higher one (RFC 3264 section 8).
        telephone_event: keys may be sent as events (RFC 4733).
        crypto_key: master key and salt in base64 of SRTP by AES_CM_128_HMAC_SHA1_80 (RFC 4568);
            the empty string offers plain RTP.
    """
    formats = " ".join(str(number) for number in (*payload_types, *[101] * telephone_event))
    events = ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16"] if telephone_event else []
    crypto = [f"a=crypto:1 {_SUITE} inline:{crypto_key}"] if crypto_key else []
    lines = [
        "v=0",
        f"o=- 1 {version} IN IP4 127.0.0.1",
        "s=-",
        f"c=IN IP4 {address}",
        "t=0 0",
        f"m=audio {port} {'RTP/SAVP' if crypto_key else 'RTP/AVP'} {formats}",
        *crypto,
        *(f"a=rtpmap:{number} {_CODECS[number]}/8000" for number in payload_types),
        *events,
        "a=ptime:20",
        f"a={direction}",
    ]
    return "".join(line + "\r\n" for line in lines)


@dataclass(frozen=True, slots=True)
class PhoneMessage:
    """A request or response."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    @classmethod
    def parse(cls, data: bytes) -> "PhoneMessage":
        """Read a datagram."""
        head, _, body = data.decode(errors="surrogateescape").partition("\r\n\r\n")
        start, *lines = _FOLDED.sub(" ", head).split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = ((_full_name(name), value.strip()) for name, _, value in pairs)
        return cls(start, tuple(headers), body)

    @property
    def status(self) -> int:
        """Status code; 0 of a request."""
        return int(self.start.split(" ", 2)[1]) if self.start.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        """Method; of a response the one that it answers."""
        return self.header("CSeq").split(" ")[1]

    @property
    def branch(self) -> str:
        """Of the topmost Via, by which a response finds its request."""
        return parameter(self.header("Via"), "branch")

    @property
    def media_port(self) -> int:
        """RTP port of the audio stream in the SDP."""
        return int(self._in_body(r"^m=audio (\d+) "))

    @property
    def crypto_key(self) -> str:
        """Master key and salt of SRTP in the SDP, in base64; the empty string for plain RTP."""
        found = re.search(rf"^a=crypto:\d+ {_SUITE} inline:([^|\s]+)", self.body, re.M)
        return found.group(1) if found else ""

    @property
    def codec(self) -> int:
        """Payload type that the SDP puts first."""
        return int(self._in_body(r"^m=audio \d+ \S+ (\d+)"))

    @property
    def direction(self) -> str:
        """Direction in the SDP; sendrecv where it says none (RFC 3264 section 5.1)."""
        found = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", self.body, re.M)
        return found.group(1) if found else "sendrecv"

    def header(self, name: str) -> str:
        """Return the first value of a header, or the empty string."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")

    def encode(self) -> bytes:
        """Write a datagram; Content-Length is ours."""
        body = self.body.encode(errors="surrogateescape")
        kept = (pair for pair in self.headers if pair[0].lower() != "content-length")
        lines = [self.start, *(f"{name}: {value}" for name, value in kept)]
        if self.body and not self.header("Content-Type"):
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode(errors="surrogateescape") + body

    def _in_body(self, pattern: str) -> str:
        found = re.search(pattern, self.body, re.M)
        if found is None:
            raise ValueError(f"no {pattern} in the SDP of {self.start}")
        return found.group(1)


def parameter(header: str, name: str) -> str:
    """Return a parameter of a header's value, or the empty string."""
    found = re.search(rf";\s*{name}=([^;,\s]+)", header)
    return found.group(1) if found else ""


def _full_name(name: str) -> str:
    return _COMPACT.get(name.strip().lower(), name.strip())
