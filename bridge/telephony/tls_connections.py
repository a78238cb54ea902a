"""Keeps what we send within a call to the TLS connection that its far end's requests come by.

    an ACK, INVITE or UPDATE within a call came by TLS   the call keeps to its connection
    that connection is lost, or closed for its silence   requests go to the next hop (RFC 3261)
    the next hop is reached by another transport         likewise

Without it PJSIP, which finds connections by the address at their far end, opens one to the far
end's Contact or to its Record-Route: carriers' edges refuse those, phones behind NAT don't hear
them, and neither has a certificate for being called. A far end that has no more than its own dialog
gains nothing by it: who may say what a call's requests go to could name any Contact, too (the
reason why RFC 5923 wants certificates is connections that are shared by all who dial a name).
Runs in the loop's thread.
"""

import ctypes
from collections.abc import Callable, Iterable

import structlog

from bridge.sip.addresses import AddressError, Uri
from bridge.sip.dialog import uri_of_contact
from bridge.telephony.dialogs import find_dialog
from bridge.telephony.guarding import guarded
from bridge.telephony.pj_call import PjCall
from bridge.telephony.received_message import ReceivedText
from bridge.telephony.replies import TLS, transport_of
from bridge.telephony.sip_module import PASS, SipModule
from bridge.telephony.sip_request import Request
from bridge.telephony.transport_states import CONNECTED, TransportStates

log = structlog.get_logger(__name__)

_BEHIND_TRANSACTIONS = 30
"""As the source door's second module: retransmissions don't come so far, and dialogs are behind."""
_NO_TRANSPORT, _ONE_TRANSPORT = 0, 1
"""`pjsip_tpselector_type`."""
_KEEPING = frozenset({"ACK", "INVITE", "UPDATE"})
"""The first is the answer to our 200, the others may change where the far end is (RFC 3261 section
12.2, RFC 3311)."""


class _Selector(ctypes.Structure):
    """`pjsip_tpselector` (pjsip/sip_transport.h)."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("disable_connection_reuse", ctypes.c_int),
        ("transport", ctypes.c_void_p),
    )


class TlsConnections:
    """Has calls keep to the TLS connections of their far ends.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        calls: all that go on.
        find_call: returns the call that goes on with a Call-ID; None where there is none.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        calls: Iterable[PjCall],
        find_call: Callable[[str], PjCall | None],
    ) -> None:
        self._lib = lib
        self._calls = calls
        self._find_call = find_call
        self._received = ReceivedText(lib)
        lib.pjsip_dlg_set_transport.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Selector)]
        self._kept = (
            SipModule(
                *(lib, b"mod-connections", _BEHIND_TRANSACTIONS),
                {"on_rx_request": self._on_request},
            ),
            TransportStates(lib, self._on_state),
        )

    def _on_request(self, rdata: int) -> int:
        with guarded(log, "connection_not_kept_to"):
            address, kind = transport_of(rdata)
            if kind == TLS:
                self._heard(self._received.of(rdata).data, address)
        return PASS

    def _heard(self, message: bytes, address: int) -> None:
        request = Request.parse(message)
        if request is None or request.method not in _KEEPING or not request.tag("to"):
            return
        call = self._find_call(request.header("call-id"))
        dialog = None if call is None else call.owner.dialog
        if call is None or dialog is None:
            return
        target = uri_of_contact(request.headers.get("contact", ())) or dialog.target
        next_hop = uri_of_contact(dialog.routes[:1]) or target
        self._keep_to(call, address if _is_by_tls(next_hop) else 0)

    def _keep_to(self, call: PjCall, address: int) -> None:
        """Have a call keep to a connection; 0 for none."""
        if address == call.connection or call.dialog is None:
            return
        named = call.dialog
        dialog = find_dialog(self._lib, named.call_id, named.local_tag, named.remote_tag)
        kind = _ONE_TRANSPORT if address else _NO_TRANSPORT
        selector = _Selector(kind, 0, address or None)
        if dialog and self._lib.pjsip_dlg_set_transport(dialog, ctypes.byref(selector)) == 0:
            call.connection = address

    def _on_state(self, transport: int, state: int, info: int) -> None:
        with guarded(log, "connection_not_let_go"):
            if state != CONNECTED:
                for call in self._calls:
                    if call.connection == transport:
                        self._keep_to(call, 0)


def _is_by_tls(uri: str) -> bool:
    try:
        read = Uri.parse(uri)
    except AddressError:
        return False
    return read.scheme == "sips" or dict(read.parameters).get("transport", "").lower() == "tls"
