"""Responses written by hand, for requests that PJSIP itself can't answer.

They go out by the transport that the request came by, past all of PJSIP's modules, which is why
they are counted here. In the loop's thread, within a callback about the request.
"""

import ctypes
from collections.abc import Callable

from bridge.telephony.sip_messages import SipMessage
from bridge.telephony.sip_module import Symbols
from bridge.telephony.sip_request import Answer, Request, write_response
from bridge.telephony.socket_address import SocketAddress

UDP, TCP, TLS = 1, 2, 3
"""`pjsip_transport_type_e`, without its bit for IPv6."""
_IPV6 = 128


class Transport(ctypes.Structure):
    """The beginning of `pjsip_transport` (pjsip/sip_transport.h)."""

    _fields_ = (
        ("obj_name", ctypes.c_char * 32),
        ("pool", ctypes.c_void_p),
        ("ref_cnt", ctypes.c_void_p),
        ("lock", ctypes.c_void_p),
        ("grp_lock", ctypes.c_void_p),
        ("tracing", ctypes.c_int),
        ("is_shutdown", ctypes.c_int),
        ("is_destroying", ctypes.c_int),
        ("type", ctypes.c_long),
        ("far_end", SocketAddress),
    )

    @property
    def kind(self) -> int:
        """UDP, TCP or TLS."""
        return int(self.type) & ~_IPV6


class RawReplies:
    """Sends such responses.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        on_message: given each request and its response, and whether we sent it.
    """

    def __init__(self, lib: ctypes.CDLL, on_message: Callable[[SipMessage, bool], None]) -> None:
        self._lib: Symbols = lib
        self._manager = lib.pjsip_endpt_get_tpmgr(lib.pjsua_get_pjsip_endpt())
        self._on_message = on_message

    def send(
        self, request: Request, answer: Answer, transport: Transport, far_end: SocketAddress
    ) -> None:
        """Answer a request; it must have a Via and may not be an ACK."""
        host, port = far_end.host_and_port
        response = write_response(request, answer, (host, port))
        self._lib.pjsip_tpmgr_send_raw(
            *(self._manager, transport.type, None, None, response, len(response)),
            *(ctypes.byref(far_end), far_end.size, None, None),
        )
        self._on_message(SipMessage(request.method, far_end=host), False)
        self._on_message(SipMessage(request.method, str(answer.code), host), True)
