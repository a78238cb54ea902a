"""The matrix of trunks as a table: what becomes of a call, by way, transport, SRTP and digest.

The table is about the bridge alone, whoever the far end is, and whether Kamailio is before it.
`deploy/handbook/TRUNKS.md` has it for readers, and is held to it by `test_trunk_cells.py`.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

from bridge.config.secure_sip import SipTransport, Srtp

Way = Literal["in", "out"]
Outcome = Literal["plain", "secure", "488", "403", "401", "503", "nothing"]
Certificate = Literal["none", "good", "self-signed", "of another name"]
Between = Literal["", "edge", "registrar"]

SRTP: dict[Way, dict[Srtp, dict[Srtp, Outcome]]] = {
    "in": {
        "off": {"off": "plain", "optional": "plain", "required": "488"},
        "optional": {"off": "plain", "optional": "secure", "required": "secure"},
        "required": {"off": "488", "optional": "488", "required": "secure"},
    },
    "out": {
        "off": {"off": "plain", "optional": "plain", "required": "488"},
        "optional": {"off": "plain", "optional": "secure", "required": "488"},
        "required": {"off": "488", "optional": "secure", "required": "secure"},
    },
}
"""Way of the call -> SRTP of the trunk -> SRTP of the far end -> what becomes of it.

A far end that has it `optional` offers RTP/AVP with keys; `required` is RTP/SAVP.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One call.

    Attributes:
        way: `in` where the far end calls.
        trunk: transport of the trunk, ``by`` the far end's.
        expected: what becomes of the call.
        mtls: whether certificates of clients are looked at.
        ours: SRTP of the trunk, ``theirs`` of the far end.
        digest: None for none, else whether the far end's secret is the right one; of a registrar
            the trunk's, without which there is no call.
        shown: the far end's certificate.
        between: Kamailio as ``deploy/kamailio`` has it, with a trunk by UDP behind it; or as the
            registrar that the trunk has registered with.
    """

    way: Way
    trunk: SipTransport
    by: SipTransport
    expected: Outcome
    mtls: bool = False
    ours: Srtp = "off"
    theirs: Srtp = "off"
    digest: bool | None = None
    shown: Certificate = "none"
    between: Between = ""

    def __str__(self) -> str:
        by = "mtls" if self.mtls else self.by
        direct = by if self.trunk == self.by else f"{by} to {self.trunk}"
        words = [self.way, f"{by} by {self.between}" if self.between else direct]
        words += [f"{self.ours}-{self.theirs}"]
        words += [{None: "", True: "digest", False: "wrong secret"}[self.digest]]
        words += ["" if self.shown in {"none", "good"} else self.shown]
        words += ["no certificate" if self.mtls and self.shown == "none" else ""]
        return " ".join(filter(None, words))


_TRANSPORTS: list[tuple[SipTransport, bool]] = [
    *(("udp", False), ("tcp", False), ("tls", False), ("tls", True))
]


def _media_cells(
    way: Way,
    transports: list[tuple[SipTransport, bool]],
    digests: tuple[bool | None, ...],
    between: Between = "",
) -> list[Cell]:
    """Return every mixture of what the two sides do about SRTP, by each of some transports."""
    found = []
    for (by, mtls), digest in itertools.product(transports, digests):
        trunk = "udp" if between == "edge" else by
        shown: Certificate = "good" if by == "tls" else "none"  # our BYE connects to its Contact
        for ours, of_theirs in SRTP[way].items():
            for theirs, expected in of_theirs.items():
                secured = (mtls, ours, theirs)
                found.append(Cell(way, trunk, by, expected, *secured, digest, shown, between))
    return found


_PLAIN: list[tuple[SipTransport, SipTransport, Outcome]] = [
    # A trunk that talks TLS is heard by TLS alone; another one as it likes.
    *(("tls", "udp", "403"), ("tls", "tcp", "403")),
    *(("udp", "tcp", "plain"), ("udp", "tls", "plain"), ("tcp", "udp", "plain")),
]
_UNSHOWN: tuple[Certificate, ...] = ("none", "self-signed")
_UNBELIEVED: tuple[Certificate, ...] = ("self-signed", "of another name")
_GUESSES: list[tuple[SipTransport, Srtp]] = [
    *(("udp", "off"), ("tcp", "optional"), ("tls", "required"))
]
_BETWEEN: tuple[Between, ...] = ("", "edge")
_SECURE: tuple[Srtp, Srtp] = ("required", "required")


def _door_cells() -> list[Cell]:
    """Return calls that it depends on more than SRTP what becomes of."""
    found = [
        Cell("in", trunk, by, expected, shown="good" if by == "tls" else "none")
        for trunk, by, expected in _PLAIN
    ]
    # Nobody talks to a gateway, or to its edge, that wants certificates and shows none that is
    # good; trunks are held to the names that they are dialled by.
    for between, shown in itertools.product(_BETWEEN, _UNSHOWN):
        trunk: SipTransport = "udp" if between else "tls"
        where = (shown, between)
        found.append(Cell("in", trunk, "tls", "nothing", True, *_SECURE, None, *where))
    found += [
        Cell("out", "tls", "tls", "503", False, *_SECURE, shown=shown) for shown in _UNBELIEVED
    ]
    # Secrets are asked for over any transport, and the edge hands the question on; a registrar
    # asks the trunk for its own.
    found += [Cell("in", by, by, "401", False, of, of, digest=False) for by, of in _GUESSES]
    found += [
        Cell("in", "tls", "udp", "403", digest=True),
        Cell("in", "udp", "tls", "401", digest=False, shown="good", between="edge"),
        Cell("in", "udp", "tls", "401", True, *_SECURE, False, "good", "edge"),
        Cell("in", "udp", "udp", "401", digest=False, between="registrar"),
        Cell("in", "tls", "tls", "401", True, *_SECURE, False, "good", "registrar"),
    ]
    return found


CELLS = [
    *_media_cells("in", _TRANSPORTS, (None, True)),
    *_media_cells("out", _TRANSPORTS[:3], (None,)),  # baresip asks for no certificate and no secret
    *_media_cells("in", _TRANSPORTS[2:], (None, True), "edge"),
    *_media_cells("in", _TRANSPORTS, (True,), "registrar"),
    *_door_cells(),
]

QUICK = frozenset(
    {
        "in udp off-off digest",
        "in tcp optional-optional",
        "in tls required-required digest",
        "in mtls required-required",
        "in udp to tls off-off",
        "in tls required-optional",
        "out tls required-required",
        "out tls required-required of another name",
        "out tcp optional-optional",
        "out udp optional-required",
        "in tls by edge required-required digest",
        "in mtls by edge optional-off",
        "in tls by edge off-off wrong secret",
        "in mtls by registrar required-required digest",
        "in tcp by registrar off-optional digest",
    }
)
"""Those that run with every change; `pytest -m nightly` runs the others."""
