"""The door at which a far end's ptime and maxptime are rewritten for PJSIP.

Changes the text of a received message before PJSIP reads the session description in it: offers and
answers, of new calls and within calls. Runs in the loop's thread, inside the poll.
"""

import ctypes

import structlog

from bridge.telephony.packet_time import with_served_ptime
from bridge.telephony.received_message import MessageFinder
from bridge.telephony.sip_module import PASS, SipModule

log = structlog.get_logger(__name__)

_BEFORE_REQUEST_FAULTS = 12
"""Above PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8), below all that read the body."""


class PtimeDoor:
    """Holds PJSIP to the packets that a far end takes.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        fixed_ms: see :func:`bridge.telephony.packet_time.with_served_ptime`.
    """

    def __init__(self, lib: ctypes.CDLL, fixed_ms: int | None) -> None:
        self._finder = MessageFinder(lib)
        self._fixed_ms = fixed_ms
        self._module = SipModule(
            lib,
            b"mod-ptime",
            _BEFORE_REQUEST_FAULTS,
            {"on_rx_request": self._on_message, "on_rx_response": self._on_message},
        )

    def _on_message(self, rdata: int) -> int:
        try:
            found = self._finder.text(rdata)
            text = ctypes.string_at(*found) if found else b""
            if found and b"ptime:" in text:
                served = with_served_ptime(text, self._fixed_ms)  # of the same length
                ctypes.memmove(found[0], served, len(text))
        except Exception:
            log.exception("ptime_not_served")
        return PASS
