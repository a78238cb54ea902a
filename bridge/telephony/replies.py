"""Responses to requests that PJSIP's own transactions don't answer.

PJSIP writes and sends those of :class:`Replies`. Those of :class:`RawReplies` are written by hand
and go out by the transport that the request came by, past all of PJSIP's modules, which is why they
are counted here. In the loop's thread, within a callback about the request.
"""

import ctypes
from collections.abc import Callable, Iterable

from bridge.errors import TelephonyError
from bridge.telephony.library import PjString
from bridge.telephony.sip_messages import SipMessage
from bridge.telephony.sip_module import Symbols
from bridge.telephony.sip_request import FinalResponse, Request, write_response
from bridge.telephony.socket_address import SocketAddress

UDP, TCP, TLS = 1, 2, 3
"""`pjsip_transport_type_e`, without its bit for IPv6."""
_IPV6 = 128

_POOL_BYTES = 1024


class Replies:
    """Answers requests without a transaction: a repeated request is answered anew, and alike.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib: Symbols = lib
        self._endpoint = lib.pjsua_get_pjsip_endpt()

    def send(self, rdata: int, answer: FinalResponse) -> None:
        """Answer a request; it may not be an ACK.

        Args:
            rdata: address of its `pjsip_rx_data`.
        """
        lib = self._lib
        pool = lib.pjsip_endpt_create_pool(self._endpoint, b"reply", _POOL_BYTES, _POOL_BYTES)
        try:
            headers = HeaderList(lib, pool, answer.headers)
            reason = PjString.of(answer.reason.encode("latin-1", "replace"))
            lib.pjsip_endpt_respond_stateless(
                *(self._endpoint, rdata, answer.code),
                *(ctypes.byref(reason), headers.address, None),
            )
        finally:
            lib.pjsip_endpt_release_pool(self._endpoint, pool)


class HeaderList:
    """A list of headers, `pjsip_hdr`.

    Args:
        lib: PJSIP's symbols.
        pool: that the headers are in.
        headers: names and values.

    Attributes:
        address: of the list; it is good for as long as this is kept.
    """

    def __init__(self, lib: Symbols, pool: int, headers: Iterable[tuple[str, str]]) -> None:
        # The list's head is a zeroed block linked to itself (`pj_list_init`).
        self._head = (ctypes.c_void_p * 16)()
        self.address = ctypes.addressof(self._head)
        self._head[0] = self._head[1] = self.address
        self._texts: list[PjString] = []
        for name_and_value in headers:
            texts = [PjString.of(text.encode("latin-1", "replace")) for text in name_and_value]
            header = lib.pjsip_generic_string_hdr_create(pool, *map(ctypes.byref, texts))
            lib.pj_list_insert_before(self.address, header)
            self._texts += texts


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


_TRANSPORT_AT = ctypes.sizeof(ctypes.c_void_p)
"""In `pjsip_rx_data` (pjsip/sip_transport.h): behind a pool."""


def transport_of(rdata: int) -> tuple[int, int]:
    """Return the address and the kind of the transport that a message came by.

    Args:
        rdata: address of its `pjsip_rx_data`.

    Raises:
        TelephonyError: the loaded PJSIP has something else there.
    """
    address = ctypes.c_void_p.from_address(rdata + _TRANSPORT_AT).value
    kind = Transport.from_address(address).kind if address else 0
    if not address or kind not in {UDP, TCP, TLS}:
        raise TelephonyError("the loaded PJSIP lays received messages out in an unknown way")
    return address, kind


class RawReplies:
    """Answers requests that PJSIP itself can't answer.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        on_message: given each request and its response, and whether we sent it.
        is_served: says of a host whether it is answered at all.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        on_message: Callable[[SipMessage, bool], None],
        is_served: Callable[[str], bool],
    ) -> None:
        self._lib: Symbols = lib
        self._manager = lib.pjsip_endpt_get_tpmgr(lib.pjsua_get_pjsip_endpt())
        self._on_message = on_message
        self._is_served = is_served

    def send(
        self, request: Request, answer: FinalResponse, transport: Transport, far_end: SocketAddress
    ) -> None:
        """Answer a request of a source that is answered; it must have a Via and be no ACK."""
        host, port = far_end.host_and_port
        if not self._is_served(host):
            return
        response = write_response(request, answer, (host, port))
        self._lib.pjsip_tpmgr_send_raw(
            *(self._manager, transport.type, None, None, response, len(response)),
            *(ctypes.byref(far_end), far_end.size, None, None),
        )
        self._on_message(SipMessage(request.method, far_end=host), False)
        self._on_message(SipMessage(request.method, str(answer.code), host), True)
