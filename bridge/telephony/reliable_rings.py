"""Provisional responses for which a caller owes a PRACK (RFC 3262 section 3). Pure.

PJSIP answers each PRACK of a call with 200, whatever it acknowledges; one that fits no ring is due
a 481 (:mod:`bridge.telephony.request_door`).
"""

import re

from bridge.telephony.headers import Headers

_NUMBERS = re.compile(r"([0-9]{1,10})\s+([0-9]{1,10})\s+INVITE")


class ReliableRings:
    """Keeps which reliable responses to a call's INVITE are unacknowledged."""

    def __init__(self) -> None:
        self._due: set[tuple[int, int]] = set()

    def sent(self, headers: Headers) -> None:
        """Take a response to the INVITE; one without RSeq is not reliable."""
        (rseq, *_), (cseq, *_) = headers.get("rseq", ("",)), headers.get("cseq", ("",))
        found = _NUMBERS.fullmatch(f"{rseq} {cseq}")
        if found is not None:
            self._due.add((int(found[1]), int(found[2])))

    def acknowledge(self, rack: str) -> bool:
        """Take a PRACK by its RAck header; return whether a response waited for it."""
        found = _NUMBERS.fullmatch(rack)
        ring = (int(found[1]), int(found[2])) if found is not None else None
        if ring not in self._due:
            return False
        self._due.discard(ring)
        return True
