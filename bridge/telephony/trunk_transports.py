"""By which transport SIP goes to a trunk, and comes from it: UDP, TCP or TLS.

A trunk that talks TLS is heard by TLS alone: whoever forges its address in a datagram gets 403.
Runs in the loop's thread, inside the poll.
"""

import ctypes
import dataclasses
from collections.abc import Callable

import structlog

from bridge.config.trunks import Trunk
from bridge.sip.addresses import AddressError, Uri
from bridge.sip.sources import TurnedAway
from bridge.telephony.guarding import guarded
from bridge.telephony.received_message import ReceivedText
from bridge.telephony.replies import TLS, Replies, transport_of
from bridge.telephony.sip_messages import host_of
from bridge.telephony.sip_module import HANDLED, PASS, SipModule
from bridge.telephony.sip_request import FinalResponse, Request
from bridge.telephony.source_door import OnRefused, OnTurnedAway

log = structlog.get_logger(__name__)

_BEFORE_ANY_ANSWER = 12
"""As the source door, which is asked before it; the request door has 13."""

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


def with_its_number(uri: str, trunk: Trunk | None) -> str:
    """Return a SIP URI with its number as its trunk writes numbers.

    Args:
        trunk: that it leads to, None for none.
    """
    if trunk is None or not uri.lower().startswith(("sip:", "sips:")):
        return uri
    try:
        read = Uri.parse(uri)
    except AddressError:
        return uri  # PJSIP says what is wrong with it
    written = trunk.numbers.compile().write_uri(read)
    return uri if written == read else str(written)


class TransportDoor:
    """Turns away what comes from a trunk that talks TLS by another transport.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised, the source door be there.
        trunk_of: returns the trunk that a request is judged by: the one that it came from, or, in a
            call, the trunk as it was when the call began; None for none.
        on_turned_away, on_refused: called for each such request, as the source door's.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        trunk_of: Callable[[str], Trunk | None],
        on_turned_away: OnTurnedAway,
        on_refused: OnRefused,
    ) -> None:
        self._received = ReceivedText(lib)
        self._trunk_of = trunk_of
        self._on_turned_away, self._on_refused = on_turned_away, on_refused
        self._replies = Replies(lib)
        self._module = SipModule(
            lib, b"mod-transports", _BEFORE_ANY_ANSWER, {"on_rx_request": self._on_request}
        )

    def _on_request(self, rdata: int) -> int:
        with guarded(log, "transport_not_judged"):
            return HANDLED if self._is_turned_away(rdata) else PASS
        return HANDLED  # nobody is let in because of a fault here

    def _is_turned_away(self, rdata: int) -> bool:
        if transport_of(rdata)[1] == TLS:
            return False
        received = self._received.of(rdata)
        trunk = self._trunk_of(received.text)
        if trunk is None or trunk.transport != "tls":
            return False
        request = Request.parse(received.data)
        method = request.method if request is not None else ""
        if method == "INVITE":
            self._on_refused(received.text, received.far_end)
        if method not in {"", "ACK"}:
            self._replies.send(rdata, FORBIDDEN)
        self._on_turned_away(host_of(received.far_end), method, TurnedAway.TRANSPORT)
        return True
