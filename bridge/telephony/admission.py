"""The door in front of PJSUA: answers 503 where this server takes no calls just now.

PJSUA has `PJSUA_MAX_CALLS` slots and answers 486 Busy Here when all are taken, which means to a
carrier that the *number* is busy. 503 with Retry-After (RFC 3261 section 21.5.4) says that this
*server* is, so that the next one is tried. OPTIONS outside a dialog gets the same answer as an
INVITE would, because that is what a load balancer asks with (RFC 3261 section 11.2: "the response
code chosen MUST be the same that would have been chosen had the request been an INVITE"); while
calls are taken PJSUA answers it with 200. A SIP module registered one step above PJSUA's own
priority sees every request outside a dialog first. Runs in the loop's thread, inside the poll.
"""

import ctypes
from collections.abc import Callable

import structlog

from bridge.telephony.guarding import guarded
from bridge.telephony.library import PjString
from bridge.telephony.pacing import SocketPacing
from bridge.telephony.replies import HeaderList
from bridge.telephony.sip_messages import SipMessage
from bridge.telephony.sip_module import HANDLED, PASS, SipModule, Symbols

log = structlog.get_logger(__name__)

_BEFORE_APPLICATION = 63
"""PJSIP_MOD_PRIORITY_APPLICATION is 64; the dialog layer (32) has taken its requests by then."""

_TOO_FAST = "Too Many Calls At Once"

_ASKING = frozenset({"INVITE", "OPTIONS"})
"""Methods that are answered 503 when no call would be taken."""

Refusal = Callable[[str], str | None]
"""Given the method, returns the reason phrase of a 503, or None to let the request through."""


class AdmissionDoor:
    """Asks ``refusal`` at each new INVITE and at OPTIONS; a reason refuses it.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        refusal: asked.
        retry_after_s: the Retry-After header's value.
        pacing: asked last, at each INVITE.
        exempt: given the address of a request, says whether it is let through unasked.

    Attributes:
        refused: INVITEs that were.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        refusal: Refusal,
        retry_after_s: int,
        *,
        pacing: SocketPacing,
        exempt: Callable[[int], bool] = lambda rdata: False,
    ) -> None:
        self.refused = 0
        self._pacing = pacing
        self._exempt = exempt
        self._lib: Symbols = lib
        self._refusal = refusal
        self._phrases: dict[str, PjString] = {}
        self._endpoint = lib.pjsua_get_pjsip_endpt()
        pool = lib.pjsua_pool_create(b"admission", 512, 512)
        self._headers = HeaderList(lib, pool, [("Retry-After", str(retry_after_s))])
        self._module = SipModule(
            lib, b"mod-admission", _BEFORE_APPLICATION, {"on_rx_request": self._on_rx_request}
        )

    def _on_rx_request(self, rdata: int) -> int:
        with guarded(log, "admission_failed"):
            info: bytes = self._lib.pjsip_rx_data_get_info(rdata)
            message = SipMessage.parse(info.decode(errors="replace"))
            if message is None or message.method not in _ASKING:
                return PASS
            reason = None if self._exempt(rdata) else self._refusal(message.method)
            if reason is None and message.method == "INVITE" and not self._pacing.admits():
                log.warning("calls_begin_too_fast")
                reason = _TOO_FAST
            if reason is None:
                return PASS
            self.refused += message.method == "INVITE"
            self._refuse(rdata, reason)
            return HANDLED
        return PASS

    def _refuse(self, rdata: int, reason: str) -> None:
        if reason not in self._phrases:  # there are a few reasons, and many INVITEs
            self._phrases[reason] = PjString.of(reason.encode())
        phrase = ctypes.byref(self._phrases[reason])
        self._lib.pjsip_endpt_respond(
            self._endpoint, None, rdata, 503, phrase, self._headers.address, None, None
        )
