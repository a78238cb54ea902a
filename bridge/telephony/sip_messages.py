"""SIP messages, told as they pass the wire: what `/metrics` counts.

A module below PJSIP's transaction layer sees every message, both ways, retransmissions among them
(RFC 3261 section 17); the layer above hides those, and responses, from whoever stands higher.
"""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import structlog

from bridge.telephony.sip_module import PASS, SipModule, Symbols

log = structlog.get_logger(__name__)

_BELOW_TRANSACTIONS = 12
"""Between PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8) and PJSIP_MOD_PRIORITY_TSX_LAYER (16)."""

_INFO = re.compile(rb"(?:Request msg |Response msg (?P<code>[0-9]+)/)(?P<method>[^/ ]+)/cseq=")


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message.

    Attributes:
        method: of the request, or of the one that is answered.
        code: the response's status; "" for a request.
    """

    method: str
    code: str = ""

    @classmethod
    def parse(cls, info: object) -> Self | None:
        """Read PJSIP's `pjsip_rx_data_get_info` or `pjsip_tx_data_get_info`; None for another text.

        They say ``Request msg INVITE/cseq=1 (rdata0x...)``, ``Response msg 200/BYE/cseq=2 (...)``.
        """
        found = _INFO.match(info) if isinstance(info, bytes) else None
        if found is None:
            return None
        return cls(found["method"].decode(), (found["code"] or b"").decode())


class SipMessages:
    """Tells each message that comes or goes.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        on_message: given the message, and whether we sent it.
    """

    def __init__(self, lib: ctypes.CDLL, on_message: Callable[[SipMessage, bool], None]) -> None:
        symbols: Symbols = lib
        self._received_info = symbols.pjsip_rx_data_get_info
        self._sent_info = symbols.pjsip_tx_data_get_info
        self._on_message = on_message
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
        return self._tell(self._received_info(data), sent=False)

    def _on_sent(self, data: int) -> int:
        return self._tell(self._sent_info(data), sent=True)

    def _tell(self, info: object, *, sent: bool) -> int:
        try:
            message = SipMessage.parse(info)
            if message is not None:
                self._on_message(message, sent)
        except Exception:
            log.exception("message_not_told")
        return PASS
