"""Answers to requests that PJSIP's parser drops, which no module of PJSIP's ever sees.

The transport manager reports what it drops, without saying where it came from. For a stream that is
in the transport, for a datagram in the receive buffer around the data. Both are read where the
public headers put them (pjsip/sip_transport.h), and only believed if what stands there agrees with
itself; otherwise the request stays unanswered. In the loop's thread, inside the poll.
"""

import ctypes

import structlog

from bridge.telephony.request_door import Standing, due
from bridge.telephony.sip_module import Symbols
from bridge.telephony.sip_request import Answer, Request, refusal_of, write_response
from bridge.telephony.socket_address import SocketAddress

log = structlog.get_logger(__name__)

_IGNORED = 70020
"""PJ_EIGNORED: line ends between messages, which keep a connection alive."""
_UDP, _TCP, _TLS = 1, 2, 3
_IPV6 = 128
"""`pjsip_transport_type_e`; IPv6 is a bit."""
_LONGEST_PACKET = 4000
"""`PJSIP_MAX_PKT_LEN`."""
_BAD_REQUEST = Answer(400, "Bad Request")


class _Dropped(ctypes.Structure):
    """`pjsip_tp_dropped_data`."""

    _fields_ = (
        ("transport", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("status", ctypes.c_int),
    )


class _Transport(ctypes.Structure):
    """The beginning of `pjsip_transport`."""

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


class _Packet(ctypes.Structure):
    """`pkt_info` of `pjsip_rx_data`, from its packet on."""

    _fields_ = (
        ("packet", ctypes.c_char * _LONGEST_PACKET),
        ("zero", ctypes.c_uint32),
        ("len", ctypes.c_ssize_t),
        ("source", SocketAddress),
        ("source_size", ctypes.c_int),
        ("source_name", ctypes.c_char * 46),
        ("source_port", ctypes.c_int),
    )


_OnDropped = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class DroppedRequests:
    """Answers what PJSIP can't read; keep it as long as the endpoint lives.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib: Symbols = lib
        self._manager = lib.pjsip_endpt_get_tpmgr(lib.pjsua_get_pjsip_endpt())
        self._callback = _OnDropped(self._on_dropped)
        lib.pjsip_tpmgr_set_drop_data_cb(self._manager, self._callback)

    def _on_dropped(self, address: int) -> None:
        try:
            dropped = _Dropped.from_address(address)
            if dropped.status != _IGNORED:
                self._answer(dropped)
        except Exception:
            log.exception("dropped_request_unanswered")

    def _answer(self, dropped: _Dropped) -> None:
        data = ctypes.string_at(dropped.data, dropped.len)
        request = Request.parse(data)
        # Without a Via there is nobody to answer (RFC 3261 section 18.2.2).
        if request is None or request.method == "ACK" or not request.header("via"):
            return
        transport = _Transport.from_address(dropped.transport)
        source = _source(transport, dropped)
        if source is None:
            log.warning("dropped_request_without_source")
            return
        answer = refusal_of(request) or due(request.method, Standing.OUTSIDE) or _BAD_REQUEST
        log.info("bad_request", code=answer.code, reason=answer.reason)
        response = write_response(request, answer, source.host_and_port)
        self._lib.pjsip_tpmgr_send_raw(
            *(self._manager, transport.type, None, None, response, len(response)),
            *(ctypes.byref(source), source.size, None, None),
        )


def _source(transport: _Transport, dropped: _Dropped) -> SocketAddress | None:
    kind = transport.type & ~_IPV6
    if kind in {_TCP, _TLS}:
        far_end: SocketAddress = transport.far_end
        return far_end if far_end.size else None
    if kind != _UDP:
        return None
    begin = dropped.data
    # Line ends before the message are in the packet, too; it begins at a word's boundary.
    for skipped in range(_LONGEST_PACKET - dropped.len + 1):
        place = begin - skipped
        if place % 8 == 0:
            packet = _Packet.from_address(place)
            if packet.len == dropped.len + skipped and _believable(packet):
                source: SocketAddress = packet.source
                return source
        if ctypes.string_at(place - 1, 1) not in b"\r\n":
            break
    return None


def _believable(packet: _Packet) -> bool:
    source = packet.source
    if packet.source_size != source.size or not source.size:
        return False
    host, port = source.host_and_port
    name = bytes(packet.source_name).decode("latin-1")
    return (name, packet.source_port) == (host, port)
