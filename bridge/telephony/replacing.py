"""Finds the leg that an INVITE with Replaces is for, and checks that its sender may replace it.

RFC 3891 section 3 wants the sender to be authorised: it must come from where the replaced far end
is, by address or by trunk (`sip.trunks`), and the leg must be one that lets itself be taken over.
"""

from collections.abc import Callable

from bridge.sip.addresses import host_in
from bridge.telephony.leg import Leg, LegState
from bridge.telephony.pj_call import PjCall
from bridge.telephony.pj_calls import PjCalls
from bridge.telephony.replaces import DialogStanding, Replaces, refusal_of
from bridge.telephony.succession import Predecessor

_UNKNOWN = 481


class Replacing:
    """Judges INVITEs with Replaces.

    Args:
        trunk_of: names the trunk of an address, "" for none.
        calls: PJSUA's.
    """

    def __init__(self, trunk_of: Callable[[str], str], calls: PjCalls[PjCall]) -> None:
        self._trunk_of = trunk_of
        self._calls = calls

    def judge(self, replaces: Replaces | None, source: str) -> Leg | int:
        """Return the leg that goes on with an INVITE's sender, or the status that refuses it.

        Args:
            replaces: its header; None where that is malformed.
            source: host that it came from.
        """
        leg, standing = (None, DialogStanding.UNKNOWN) if replaces is None else self._find(replaces)
        refusal = refusal_of(
            replaces,
            standing,
            authorised=leg is not None and self._is_from_there(leg, source),
            replaceable=leg is not None and leg.replaceable,
        )
        if leg is None or refusal is not None:
            return refusal or _UNKNOWN
        return leg

    def _find(self, replaces: Replaces) -> tuple[Leg | None, DialogStanding]:
        call = self._calls.find(replaces.dialog)
        if call is None:
            past = self._calls.was(replaces.dialog)
            return None, DialogStanding.OVER if past else DialogStanding.UNKNOWN
        leg = call.owner
        if not isinstance(leg, Leg):  # it has been replaced, or is not confirmed yet
            return None, DialogStanding.OVER if isinstance(
                leg, Predecessor
            ) else DialogStanding.OFFERED_TO_US
        return leg, _standing_of(leg)

    def _is_from_there(self, leg: Leg, source: str) -> bool:
        there = leg.source or host_in(leg.to_uri)
        trunk = self._trunk_of(source)
        return source == there or (trunk != "" and trunk == self._trunk_of(there))


def _standing_of(leg: Leg) -> DialogStanding:
    if leg.heir is not None:
        return DialogStanding.BEING_REPLACED
    if leg.state is LegState.CONFIRMED:
        return DialogStanding.CONFIRMED if leg.ended_by_far_end else DialogStanding.OVER
    return DialogStanding.RINGING_THERE if leg.outbound else DialogStanding.OFFERED_TO_US
