"""The door for INVITEs that are no new call: with Replaces, or merged.

One with Replaces is judged, and the header taken out before PJSUA looks.
Left alone, PJSUA answers such an INVITE itself with a call that shares the `pj::Call` of the one
that it replaces, and the process dies when that object is gone. Without the header the INVITE is
an ordinary one: it gets an object of its own, and the bridge does the replacing
(:mod:`bridge.telephony.succession`). An INVITE that a proxy has forked and that comes on two ways
gets 482 the second time (RFC 3261 section 8.2.2.2); PJSUA would make two calls of it. Runs in the
loop's thread, inside the poll.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import structlog

from bridge.telephony.headers import read_headers
from bridge.telephony.leg import Leg
from bridge.telephony.library import READ_RECEIVED, PjString, import_pjsua2
from bridge.telephony.received_message import MessageFinder
from bridge.telephony.replaces import InviteId, Replaces
from bridge.telephony.sip_messages import host_of
from bridge.telephony.sip_module import HANDLED, PASS, SipModule, Symbols

pj: Any = import_pjsua2()  # a SWIG module without types
log = structlog.get_logger(__name__)

_BEFORE_ADMISSION = 62
"""A replacing INVITE is no new call, and :mod:`bridge.telephony.admission` does not refuse it."""

_LOOP_DETECTED = 482

Judge = Callable[[Replaces | None, str], Leg | int]
"""Given the header (None: malformed) and the sender's host, returns the leg to be gone on with, or
the status of the refusal."""


class ReplacesDoor:
    """Has ``judge`` say of each new INVITE with Replaces whether it is refused.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        merged: returns whether a call that goes on began with such an INVITE.
        judge: asked; with a leg, the INVITE goes on to PJSUA, without the header.
    """

    def __init__(self, lib: ctypes.CDLL, judge: Judge, merged: Callable[[InviteId], bool]) -> None:
        self._lib: Symbols = lib
        self._merged = merged
        self._judge = judge
        self._endpoint = lib.pjsua_get_pjsip_endpt()
        self._finder = MessageFinder(lib)
        self._read = getattr(lib, READ_RECEIVED)
        self._received = pj.SipRxData()  # filled anew with each message
        self._buffer = ctypes.create_string_buffer(b"Replaces")
        self._name = PjString(ctypes.cast(self._buffer, ctypes.c_void_p), len(b"Replaces"))
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
        self._read(int(self._received.this), rdata)
        headers = read_headers(str(self._received.wholeMsg))
        if self._merged(InviteId.of_headers(headers)):
            return _LOOP_DETECTED
        if not replacing:
            return None
        replaces = Replaces.parse(headers.get("replaces", ()))
        judged = self._judge(replaces, host_of(str(self._received.srcAddress)))
        if isinstance(judged, int):
            return judged
        self._let_through = rdata, judged
        return None

    def _take_header_out(self, message: int) -> bool:
        """Take every Replaces header out of a `pjsip_msg`; return whether there was one."""
        found = False
        name = ctypes.byref(self._name)
        while header := self._lib.pjsip_msg_find_hdr_by_name(message, name, None):
            self._lib.pj_list_erase(header)
            found = True
        return found
