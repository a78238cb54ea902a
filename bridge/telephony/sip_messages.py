"""Publishes each SIP message as it passes the wire, for `/metrics` and for the calls' traces.

A module below PJSIP's transaction layer sees every message, both ways, retransmissions among them
(RFC 3261 section 17); the layer above hides those, and responses, from whoever stands higher.
"""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import structlog

from bridge.telephony.guarding import guarded
from bridge.telephony.library import READ_RECEIVED, READ_SENT, import_pjsua2
from bridge.telephony.sip_module import PASS, SipModule

pj: Any = import_pjsua2()  # a SWIG module without types
log = structlog.get_logger(__name__)

_BELOW_TRANSACTIONS = 12
"""Between PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8) and PJSIP_MOD_PRIORITY_TSX_LAYER (16)."""

_INFO = re.compile(r"(?:Request msg |Response msg (?P<code>[0-9]+)/)(?P<method>[^/ ]+)/cseq=")


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message.

    Attributes:
        method: of the request, or of the one that is answered.
        code: the response's status; "" for a request.
        far_end: address that it came from or goes to, without the port.
    """

    method: str
    code: str = ""
    far_end: str = ""

    @classmethod
    def parse(cls, info: str, address: str = "") -> Self | None:
        """Read what PJSIP says of a message (`pjsip_rx_data_get_info`); None for another text.

        They say ``Request msg INVITE/cseq=1 (rdata0x...)``, ``Response msg 200/BYE/cseq=2 (...)``.

        Args:
            address: of the far end, with its port.
        """
        found = _INFO.match(info)
        if found is None:
            return None
        return cls(found["method"], found["code"] or "", host_of(address))


def host_of(address: str) -> str:
    """Return the host of PJSIP's ``host:port`` or ``[host]:port``."""
    return address.rpartition(":")[0].strip("[]")


class SipMessages:
    """Publishes each message that comes or goes.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        on_message: given the message, and whether we sent it; None: nobody asks.
        on_text: given the message's text, the far end's ``host:port``, and whether we sent it.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        on_message: Callable[[SipMessage, bool], None] | None,
        on_text: Callable[[str, str, bool], None],
    ) -> None:
        self._read_received, self._read_sent = getattr(lib, READ_RECEIVED), getattr(lib, READ_SENT)
        # Filled anew with each message.
        self._received, self._sent = pj.SipRxData(), pj.SipTxData()
        self._on_message = on_message
        self._on_text = on_text
        self._module = SipModule(
            lib,
            b"mod-messages",
            _BELOW_TRANSACTIONS,
            {
                "on_rx_request": self._on_received,
                "on_rx_response": self._on_received,
                "on_tx_request": self._on_sent,
                "on_tx_response": self._on_sent,
            },
        )

    def _on_received(self, data: int) -> int:
        self._read_received(int(self._received.this), data)
        return self._pass_on(self._received, self._received.srcAddress, sent=False)

    def _on_sent(self, data: int) -> int:
        self._read_sent(int(self._sent.this), data)
        return self._pass_on(self._sent, self._sent.dstAddress, sent=True)

    def _pass_on(self, data: Any, address: str, *, sent: bool) -> int:  # Any: SWIG without types
        with guarded(log, "message_not_told"):
            message = SipMessage.parse(data.info, address)
            if message is not None and self._on_message is not None:
                self._on_message(message, sent)
            if message is not None:
                self._on_text(str(data.wholeMsg), address, sent)
        return PASS
