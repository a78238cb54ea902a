"""The door for INVITEs that are no new call: with Replaces, or merged.

One with Replaces is judged, and the header taken out before PJSUA looks. RFC 3891 section 3 wants
its sender to be authorised: it must come from where the replaced far end is, by address or by trunk
(`sip.trunks`), and the leg must be one that lets itself be taken over. Left alone, PJSUA answers
such an INVITE itself with a call that shares the `pj::Call` of the one that it replaces, and the
process dies when that object is gone. Without the header the INVITE is an ordinary one: it gets an
object of its own, and the bridge does the replacing (:mod:`bridge.telephony.succession`).

An INVITE that a proxy has forked and that comes on two ways gets 482 the second time (RFC 3261
section 8.2.2.2); PJSUA would make two calls of it. Runs in the loop's thread, inside the poll.
"""

import ctypes
from collections.abc import Callable

import structlog

from bridge.sip.addresses import host_in
from bridge.telephony.headers import read_headers
from bridge.telephony.leg import Leg, LegState
from bridge.telephony.library import PjString
from bridge.telephony.pj_call import PjCall
from bridge.telephony.pj_calls import PjCalls
from bridge.telephony.received_message import MessageFinder, ReceivedText
from bridge.telephony.replaces import DialogStanding, InviteId, Replaces, refusal_of
from bridge.telephony.sip_messages import host_of
from bridge.telephony.sip_module import HANDLED, PASS, SipModule, Symbols
from bridge.telephony.succession import Predecessor

log = structlog.get_logger(__name__)

_BEFORE_ADMISSION = 62
"""A replacing INVITE is no new call, and :mod:`bridge.telephony.admission` does not refuse it."""

_LOOP_DETECTED = 482
_UNKNOWN = 481


class ReplacesDoor:
    """Judges each new INVITE; one that may replace a leg goes on to PJSUA, without the header.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        sender_trunk: names the trunk of the request that is just being received, "" for none.
        trunk_of: names the trunk of an address, "" for none.
        calls: PJSUA's.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        sender_trunk: Callable[[], str],
        trunk_of: Callable[[str], str],
        calls: PjCalls[PjCall],
    ) -> None:
        self._lib: Symbols = lib
        self._sender_trunk = sender_trunk
        self._trunk_of = trunk_of
        self._calls = calls
        self._endpoint = lib.pjsua_get_pjsip_endpt()
        self._finder = MessageFinder(lib)
        self._received = ReceivedText(lib)
        self._name = PjString.of(b"Replaces")
        self._let_through: tuple[int, Leg] | None = None
        self._module = SipModule(
            lib, b"mod-replaces", _BEFORE_ADMISSION, {"on_rx_request": self._on_rx_request}
        )

    def has_let_through(self, rdata: int) -> bool:
        """Return whether a request, just now being received, is an INVITE that may replace."""
        return self._let_through is not None and rdata == self._let_through[0]

    def take(self) -> Leg | None:
        """Return the leg whose place the INVITE that PJSUA has just taken is to have, if any."""
        let_through, self._let_through = self._let_through, None
        return None if let_through is None else let_through[1]

    def _on_rx_request(self, rdata: int) -> int:
        self._let_through = None
        try:
            refusal = self._take(rdata)
        except Exception:
            log.exception("replaces_failed")
            refusal = 500  # never on to PJSUA with the header
        if refusal is None:
            return PASS
        log.warning("invite_refused", sip_code=refusal)
        self._lib.pjsip_endpt_respond(self._endpoint, None, rdata, refusal, None, None, None, None)
        return HANDLED

    def _take(self, rdata: int) -> int | None:
        message = self._finder.invite(rdata)
        if message is None:
            return None
        replacing = self._take_header_out(message)
        headers = read_headers(self._received.of(rdata).text)
        if self._calls.has_invite(InviteId.of_headers(headers)):
            return _LOOP_DETECTED
        if not replacing:
            return None
        replaces = Replaces.parse(headers.get("replaces", ()))
        judged = self._judge(replaces, host_of(self._received.far_end))
        if isinstance(judged, int):
            return judged
        self._let_through = rdata, judged
        return None

    def _judge(self, replaces: Replaces | None, source: str) -> Leg | int:
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
        trunk = self._sender_trunk()
        return source == there or (trunk != "" and trunk == (leg.trunk or self._trunk_of(there)))

    def _take_header_out(self, message: int) -> bool:
        """Take every Replaces header out of a `pjsip_msg`; return whether there was one."""
        found = False
        name = ctypes.byref(self._name)
        while header := self._lib.pjsip_msg_find_hdr_by_name(message, name, None):
            self._lib.pj_list_erase(header)
            found = True
        return found


def _standing_of(leg: Leg) -> DialogStanding:
    if leg.heir is not None:
        return DialogStanding.BEING_REPLACED
    if leg.state is LegState.CONFIRMED:
        return DialogStanding.CONFIRMED if leg.ended_by_far_end else DialogStanding.OVER
    return DialogStanding.RINGING_THERE if leg.outbound else DialogStanding.OFFERED_TO_US
