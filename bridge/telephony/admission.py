"""The door in front of PJSUA: answers 503 where this server takes no calls just now.

PJSUA has `PJSUA_MAX_CALLS` slots and answers 486 Busy Here when all are taken, which tells a
carrier that the *number* is busy. 503 with Retry-After (RFC 3261 section 21.5.4) says that this
*server* is, so that the next one is tried. OPTIONS outside a dialog gets the same answer as an
INVITE would, because that is what a load balancer asks with (RFC 3261 section 11.2: "the response
code chosen MUST be the same that would have been chosen had the request been an INVITE"); while
calls are taken PJSUA answers it with 200. A SIP module registered one step above PJSUA's own
priority sees every request outside a dialog first. Runs in the loop's thread, inside the poll.
"""

import ctypes
from collections.abc import Callable
from typing import Protocol

import structlog

from bridge.errors import TelephonyError
from bridge.telephony.library import PjString

log = structlog.get_logger(__name__)

_BEFORE_APPLICATION = 63
"""PJSIP_MOD_PRIORITY_APPLICATION is 64; the dialog layer (32) has taken its requests by then."""

_RxRequest = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_HANDLED, _PASS = 1, 0
_ASKING = frozenset({"INVITE", "OPTIONS"})
"""Methods that are told when no call would be taken."""

Refusal = Callable[[str], str | None]
"""Given the method, returns the reason phrase of a 503, or None to let the request through."""


class Symbols(Protocol):
    """The C functions that the door needs (a :class:`ctypes.CDLL` has them)."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Return the C function called ``name``."""
        ...


class _Module(ctypes.Structure):
    """`pjsip_module` (pjsip/sip_module.h)."""

    _fields_ = (
        ("prev", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
        ("name", PjString),
        ("id", ctypes.c_int),
        ("priority", ctypes.c_int),
        ("load", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("unload", ctypes.c_void_p),
        ("on_rx_request", _RxRequest),
        ("on_rx_response", ctypes.c_void_p),
        ("on_tx_request", ctypes.c_void_p),
        ("on_tx_response", ctypes.c_void_p),
        ("on_tsx_state", ctypes.c_void_p),
    )


class AdmissionDoor:
    """Asks ``refusal`` at each new INVITE and at OPTIONS; a reason refuses it.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        refusal: asked.
        retry_after_s: the Retry-After header's value.

    Attributes:
        refused: INVITEs that were.
    """

    def __init__(self, lib: ctypes.CDLL, refusal: Refusal, retry_after_s: int) -> None:
        self.refused = 0
        self._lib: Symbols = lib
        self._refusal = refusal
        self._kept: list[object] = []
        self._phrases: dict[str, PjString] = {}
        self._endpoint = lib.pjsua_get_pjsip_endpt()
        self._headers = self._header_list(b"Retry-After", str(retry_after_s).encode())
        self._callback = _RxRequest(self._on_rx_request)
        self._module = _Module(
            name=self._string(b"mod-admission"), id=-1, priority=_BEFORE_APPLICATION
        )
        self._module.on_rx_request = self._callback
        status = lib.pjsip_endpt_register_module(self._endpoint, ctypes.addressof(self._module))
        if status != 0:
            raise TelephonyError(f"PJSIP refused the admission module (status {status})")

    def _string(self, text: bytes) -> PjString:
        buffer = ctypes.create_string_buffer(text)
        self._kept.append(buffer)
        return PjString(ctypes.cast(buffer, ctypes.c_void_p), len(text))

    def _header_list(self, name: bytes, value: bytes) -> int:
        """Build a `pjsip_hdr` list of one; its head is a zeroed block linked to itself."""
        pool = self._lib.pjsua_pool_create(b"admission", 512, 512)
        head = (ctypes.c_void_p * 16)()
        self._kept.append(head)
        address = ctypes.addressof(head)
        head[0] = head[1] = address
        header = self._lib.pjsip_generic_string_hdr_create(
            pool, ctypes.byref(self._string(name)), ctypes.byref(self._string(value))
        )
        self._lib.pj_list_insert_before(address, header)
        return address

    def _on_rx_request(self, rdata: int) -> int:
        try:
            method = _method_of(self._lib.pjsip_rx_data_get_info(rdata))
            if method not in _ASKING:
                return _PASS
            reason = self._refusal(method)
            if reason is None:
                return _PASS
            self.refused += method == "INVITE"
            self._refuse(rdata, reason)
        except Exception:
            log.exception("admission_failed")
            return _PASS
        return _HANDLED

    def _refuse(self, rdata: int, reason: str) -> None:
        if reason not in self._phrases:  # there are a few reasons, and many INVITEs
            self._phrases[reason] = self._string(reason.encode())
        phrase = ctypes.byref(self._phrases[reason])
        self._lib.pjsip_endpt_respond(
            self._endpoint, None, rdata, 503, phrase, self._headers, None, None
        )


def _method_of(info: object) -> str:
    """Return the method in `pjsip_rx_data_get_info`'s text: ``Request msg INVITE/cseq=1 (...)``."""
    if not isinstance(info, bytes) or not info.startswith(b"Request msg "):
        return ""
    return info.split(b" ", 3)[2].partition(b"/")[0].decode()
