"""By which transport SIP goes to a trunk, and comes from it: UDP, TCP or TLS.

A trunk that talks TLS is heard by TLS alone: whoever forges its address in a datagram gets 403.
Runs in the loop's thread, inside the poll.
"""

import ctypes
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from bridge.config.sip import Trunk
from bridge.errors import TelephonyError
from bridge.sip.addresses import AddressError, Uri
from bridge.sip.sources import TurnedAway
from bridge.telephony.library import READ_RECEIVED, import_pjsua2
from bridge.telephony.replies import TCP, TLS, UDP, Replies, Transport
from bridge.telephony.sip_messages import host_of
from bridge.telephony.sip_module import HANDLED, PASS, SipModule
from bridge.telephony.sip_request import FinalResponse, Request
from bridge.telephony.source_door import OnTurnedAway

pj: Any = import_pjsua2()  # a SWIG module without types
log = structlog.get_logger(__name__)

_BEFORE_ANY_ANSWER = 12
"""As the source door, which is asked before it; the request door has 13."""
_TRANSPORT_AT = ctypes.sizeof(ctypes.c_void_p)
"""In `pjsip_rx_data` (pjsip/sip_transport.h): behind a pool."""

FORBIDDEN = FinalResponse(403, "Forbidden", (("Warning", '399 bridge "This trunk talks TLS"'),))


def routed(uri: str, trunk: Trunk | None) -> str:
    """Return a URI with its trunk's transport, where it names none itself (RFC 3263 section 4.1).

    Args:
        trunk: that it leads to, None for none.
    """
    if trunk is None or trunk.transport == "udp":
        return uri
    try:
        read = Uri.parse(uri)
    except AddressError:
        return uri  # PJSIP says what is wrong with it
    if read.scheme != "sip" or "transport" in dict(read.parameters):
        return uri
    parameters = (*read.parameters, ("transport", trunk.transport))
    return str(dataclasses.replace(read, parameters=parameters))


class TransportDoor:
    """Turns away what comes from a trunk that talks TLS by another transport.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised, the source door be there.
        sender_trunk: names the trunk of the request that is just being received, "" for none.
        on_turned_away: called for each such request.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        trunks: Mapping[str, Trunk],
        sender_trunk: Callable[[], str],
        on_turned_away: OnTurnedAway,
    ) -> None:
        self._read_received = getattr(lib, READ_RECEIVED)
        self._received = pj.SipRxData()  # filled anew with each message
        self._trunks = trunks
        self._sender_trunk = sender_trunk
        self._on_turned_away = on_turned_away
        self._replies = Replies(lib)
        if any(trunk.transport == "tls" for trunk in trunks.values()):
            self._module = SipModule(
                lib, b"mod-transports", _BEFORE_ANY_ANSWER, {"on_rx_request": self._on_request}
            )

    def _on_request(self, rdata: int) -> int:
        try:
            return HANDLED if self._is_turned_away(rdata) else PASS
        except Exception:
            log.exception("transport_not_judged")
            return HANDLED  # nobody is let in because of a fault here

    def _is_turned_away(self, rdata: int) -> bool:
        trunk = self._trunks.get(self._sender_trunk())
        if trunk is None or trunk.transport != "tls" or _kind(rdata) == TLS:
            return False
        self._read_received(int(self._received.this), rdata)
        host = host_of(str(self._received.srcAddress))
        message: str = self._received.wholeMsg
        request = Request.parse(message.encode(errors="surrogateescape"))
        method = request.method if request is not None else ""
        if method not in {"", "ACK"}:
            self._replies.send(rdata, FORBIDDEN)
        self._on_turned_away(host, method, TurnedAway.TRANSPORT)
        return True


def _kind(rdata: int) -> int:
    address = ctypes.c_void_p.from_address(rdata + _TRANSPORT_AT).value
    kind = Transport.from_address(address).kind if address else 0
    if kind not in {UDP, TCP, TLS}:
        raise TelephonyError("the loaded PJSIP lays received messages out in an unknown way")
    return kind
