"""Watches for far ends that went away without a BYE.

    talking   no RTP and no RTCP for the time that the settings give: the call ends
    on hold   neither, nor SIP, for that time: OPTIONS in the dialog, and again after as long
    answered  no ACK of the 200 for 35 s: the call ends, whatever the settings give

A far end that holds the call sends no RTP, often no RTCP (with `inactive` there is no stream), and
few have session timers; so silence alone proves nothing there, and a limit on holds would cut off
callers who wait. But each answers a request in its dialog (RFC 3261 section 11.2, 12.2.2), if only
with an error. PJSIP ends the call where none comes within 32 s, or a 481. OPTIONS changes nothing
at the far end, while a re-INVITE could end the hold.

A 200 without an ACK PJSIP sends again for 32 s, and ends the call then (RFC 3261 section 13.3.1.4).
Where the connection that it goes by is gone PJSIP does neither, and the call would stay for ever.
"""

from collections.abc import Collection
from dataclasses import dataclass

import structlog

from bridge.clock import NS_PER_S, Clock
from bridge.errors import TelephonyError
from bridge.telephony.leg import Leg, LegState, Lost

log = structlog.get_logger(__name__)

_LOOK_EVERY_NS = NS_PER_S
_ACKNOWLEDGED_WITHIN_NS = 35 * NS_PER_S
"""PJSIP takes 64 * T1: 32 s."""
_UNACKNOWLEDGED = frozenset({LegState.INCOMING, LegState.EARLY})


@dataclass(slots=True)
class _Seen:
    """What was last seen of a far end, and when (monotonic)."""

    media: int
    sip: int
    media_ns: int
    any_ns: int


class FarEnds:
    """Looks after the far ends of one endpoint.

    Args:
        silent_s: how long they may be silent; None for ever.
    """

    def __init__(self, silent_s: float | None, clock: Clock) -> None:
        self._silent_ns = None if silent_s is None else round(silent_s * NS_PER_S)
        self._clock = clock
        self._due_ns = 0
        self._seen: dict[Leg, _Seen] = {}
        self._unacknowledged: dict[Leg, int] = {}  # and since when

    def look(self, legs: Collection[Leg]) -> None:
        """Look at all legs, once a second; call it as often as you like."""
        now_ns = self._clock.now_ns()
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + _LOOK_EVERY_NS
        self._look_for_acks(legs, now_ns)
        if self._silent_ns is None:
            return
        confirmed = [leg for leg in legs if leg.state is LegState.CONFIRMED]
        self._seen = {leg: self._see(leg, now_ns) for leg in confirmed}
        for leg, seen in self._seen.items():
            if leg.held:
                self._ask(leg, seen, now_ns, self._silent_ns)
            elif now_ns - seen.media_ns >= self._silent_ns:
                leg.lose(Lost.NO_MEDIA)

    def _look_for_acks(self, legs: Collection[Leg], now_ns: int) -> None:
        waiting = [leg for leg in legs if leg.answer_sent and leg.state in _UNACKNOWLEDGED]
        self._unacknowledged = {leg: self._unacknowledged.get(leg, now_ns) for leg in waiting}
        for leg, since_ns in self._unacknowledged.items():
            if now_ns - since_ns >= _ACKNOWLEDGED_WITHIN_NS:
                leg.lose(Lost.NO_ANSWER)

    def _see(self, leg: Leg, now_ns: int) -> _Seen:
        media, sip = leg.signs
        seen = self._seen.get(leg) or _Seen(media, sip, now_ns, now_ns)
        if media != seen.media or leg.held:  # a call that is taken back has all of the time again
            seen.media_ns = now_ns
        if (media, sip) != (seen.media, seen.sip):
            seen.any_ns = now_ns
        seen.media, seen.sip = media, sip
        return seen

    def _ask(self, leg: Leg, seen: _Seen, now_ns: int, silent_ns: int) -> None:
        if now_ns - seen.any_ns < silent_ns:
            return
        seen.any_ns = now_ns
        try:
            leg.ask()
        except TelephonyError as error:  # a transaction that is stuck ends the call by itself
            log.debug("far_end_not_asked", call_id=leg.call_id, error=error.what)
