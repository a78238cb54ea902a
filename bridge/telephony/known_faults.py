"""Lists the published faults of PJSIP's releases, and what keeps each from a gateway. Pure.

From PJSIP's advisories and pull requests, read in November 2026. A fault is in all releases up to
the last that is named; one that is mended only behind 2.17 is in every release there is. A
distribution may have mends that its version doesn't show.
"""

import re
from dataclasses import dataclass

Release = tuple[int, int]

_BOUNDS = "bridge/sip/bounds.py"
_NO_ICE = "ICE is off"
_NO_VIDEO = "no video is taken"


@dataclass(frozen=True, slots=True)
class KnownFault:
    """One fault.

    Attributes:
        name: CVE, advisory or pull request of pjsip/pjproject.
        last: the last release that has it.
        what: what it lets happen.
        guard: what keeps it from being reached; None where nothing does.
    """

    name: str
    last: Release
    what: str
    guard: str | None


KNOWN_FAULTS = (
    KnownFault(
        *(
            "CVE-2026-57162",
            (2, 17),
            "over 64 a=crypto lines are written past a table on the stack",
        ),
        f"at most 32 lines ({_BOUNDS})",
    ),
    KnownFault(
        *("PR 4998", (2, 17), "SDP negotiation writes past 16 media"),
        f"at most 16 in a message, and offers of ours have one ({_BOUNDS})",
    ),
    KnownFault(
        *("PR 5082", (2, 17), "pjmedia_endpt_create_audio_sdp writes past 32 codecs"),
        "three codecs are enabled at most (sip.codecs)",
    ),
    KnownFault(
        *("PR 5114", (2, 17), "an offer of ours with over 16 media is written past a table"),
        "offers of ours have one (bridge/telephony/leg.py)",
    ),
    KnownFault(
        *("CVE-2026-57163", (2, 17), "a certificate's names are written past the stack (GnuTLS)"),
        "TLS is OpenSSL's",
    ),
    KnownFault(
        *(
            "CVE-2026-40892",
            (2, 16),
            "a hashed secret is copied past the stack, whatever its length",
        ),
        "PJSIP is given no hashed secrets",
    ),
    KnownFault(
        *("CVE-2026-32945", (2, 16), "a DNS answer is written past the heap"),
        "PJSIP is given no name server; the system resolves",
    ),
    KnownFault(
        *("CVE-2026-25994", (2, 16), "a long ICE user name is written past the heap"), _NO_ICE
    ),
    KnownFault(
        *("CVE-2026-41415", (2, 16), "a multipart's Content-ID is read past its end"),
        "no part is looked up by Content-ID",
    ),
    KnownFault(
        *("CVE-2026-41416", (2, 16), "a huge ptime makes a media buffer too small"),
        "ptimes are cut down (bridge/telephony/sdp.py)",
    ),
    KnownFault(
        *("CVE-2026-28799", (2, 16), "the end of a presence subscription uses freed memory"),
        "SUBSCRIBE gets 489 (bridge/telephony/request_door.py)",
    ),
    KnownFault("GHSA-g88q-c2hm-q7p7", (2, 16), "ICE sessions race with their end", _NO_ICE),
    KnownFault("CVE-2026-26203", (2, 16), "H.264 is read before its buffer", _NO_VIDEO),
    KnownFault("CVE-2026-34235", (2, 16), "VPX is read past its buffer", _NO_VIDEO),
    KnownFault(
        *("GHSA-x5pq-qrp4-fmrj", (2, 16), "a malformed multipart is read past its end"),
        None,
    ),
)
"""Newest releases first."""

_RELEASE = re.compile(r"(\d+)\.(\d+)")


def faults_of(version: str) -> tuple[KnownFault, ...]:
    """Return the faults that a version of PJSIP has; all of them where it can't be read.

    Args:
        version: as PJSIP says it, such as ``2.15.1`` or ``2.17-dev``.
    """
    found = _RELEASE.match(version)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    return tuple(fault for fault in KNOWN_FAULTS if release <= fault.last)
