"""The matrix of trunks as a table: what becomes of a call, by way, transport, SRTP and digest.

The table is about the bridge alone, whoever the far end is. `deploy/handbook/TRUNKS.md` has it for
readers, and is held to it by `test_trunk_cells.py`.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

from bridge.config.secure_sip import SipTransport, Srtp

Way = Literal["in", "out"]
Outcome = Literal["plain", "secure", "488", "403", "401", "503", "nothing"]
Certificate = Literal["none", "good", "self-signed", "of another name"]

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
        trunk: transport of the trunk, ``by`` the far end's, ``mtls`` whether certificates of
            clients are looked at.
        ours: SRTP of the trunk, ``theirs`` of the far end.
        digest: None for none, else whether the far end's secret is the right one.
        shown: the far end's certificate.
        expected: what becomes of the call.
    """

    way: Way
    trunk: SipTransport
    by: SipTransport
    mtls: bool
    ours: Srtp
    theirs: Srtp
    digest: bool | None
    shown: Certificate
    expected: Outcome

    def __str__(self) -> str:
        by = "mtls" if self.mtls else self.by
        words = [self.way, by if self.trunk == self.by else f"{by} to {self.trunk}"]
        words += [f"{self.ours}-{self.theirs}"]
        words += [{None: "", True: "digest", False: "wrong secret"}[self.digest]]
        words += ["" if self.shown in {"none", "good"} else self.shown]
        words += ["no certificate" if self.mtls and self.shown == "none" else ""]
        return " ".join(filter(None, words))


_TRANSPORTS: list[tuple[SipTransport, bool]] = [
    *(("udp", False), ("tcp", False), ("tls", False), ("tls", True))
]


def _media_cells() -> list[Cell]:
    """Return every mixture of what the two sides do about SRTP, by every transport."""
    found = []
    for way, (by, mtls), digest in itertools.product(SRTP, _TRANSPORTS, (None, True)):
        if way == "out" and (mtls or digest):
            continue  # baresip asks nobody for a certificate or a secret
        shown: Certificate = "good" if by == "tls" else "none"  # our BYE connects to its Contact
        for ours, of_theirs in SRTP[way].items():
            for theirs, expected in of_theirs.items():
                found.append(Cell(way, by, by, mtls, ours, theirs, digest, shown, expected))
    return found


_DOORS = [
    # A trunk that talks TLS is heard by TLS alone; another one as it likes.
    Cell("in", "tls", "udp", False, "off", "off", None, "none", "403"),
    Cell("in", "tls", "tcp", False, "off", "off", None, "none", "403"),
    Cell("in", "udp", "tcp", False, "off", "off", None, "none", "plain"),
    Cell("in", "udp", "tls", False, "off", "off", None, "good", "plain"),
    Cell("in", "tcp", "udp", False, "off", "off", None, "none", "plain"),
    # Nobody talks to a gateway that wants certificates, and shows none that is good.
    Cell("in", "tls", "tls", True, "required", "required", None, "none", "nothing"),
    Cell("in", "tls", "tls", True, "required", "required", None, "self-signed", "nothing"),
    # Its trunks are held to the names that they are dialled by.
    Cell("out", "tls", "tls", False, "required", "required", None, "self-signed", "503"),
    Cell("out", "tls", "tls", False, "required", "required", None, "of another name", "503"),
    # Secrets are asked for over any transport.
    Cell("in", "udp", "udp", False, "off", "off", False, "none", "401"),
    Cell("in", "tcp", "tcp", False, "optional", "optional", False, "none", "401"),
    Cell("in", "tls", "tls", False, "required", "required", False, "none", "401"),
    Cell("in", "tls", "udp", False, "off", "off", True, "none", "403"),
]

CELLS = [*_media_cells(), *_DOORS]

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
    }
)
"""Those that run with every change; `pytest -m nightly` runs the others."""
