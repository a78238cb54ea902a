"""Answers to requests that PJSIP's parser drops, which no module of PJSIP's ever sees.

The transport manager reports what it drops, without saying where it came from. For a stream that is
in the transport, for a datagram in the receive buffer around the data. Both are read where the
public headers put them (pjsip/sip_transport.h), and only believed if what stands there agrees with
itself; otherwise the request stays unanswered. In the loop's thread, inside the poll.
"""

import ctypes
from functools import lru_cache

import structlog

from bridge.telephony.guarding import guarded
from bridge.telephony.long_messages import LongMessages
from bridge.telephony.replies import TCP, TLS, UDP, RawReplies, Transport
from bridge.telephony.request_door import RequestStanding, due
from bridge.telephony.sip_request import FinalResponse, Request, refusal_of
from bridge.telephony.socket_address import SocketAddress

log = structlog.get_logger(__name__)

_IGNORED = 70020
"""PJ_EIGNORED: line ends between messages, which keep a connection alive."""
_BAD_REQUEST = FinalResponse(400, "Bad Request")


class _Dropped(ctypes.Structure):
    """`pjsip_tp_dropped_data`."""

    _fields_ = (
        ("transport", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("status", ctypes.c_int),
    )


@lru_cache
def _packet_type(most_bytes: int) -> type[ctypes.Structure]:
    """Return `pkt_info` of `pjsip_rx_data`, from its packet on, as a build with this limit has."""

    class _Packet(ctypes.Structure):
        _fields_ = (
            ("packet", ctypes.c_char * most_bytes),
            ("zero", ctypes.c_uint32),
            ("len", ctypes.c_ssize_t),
            ("source", SocketAddress),
            ("source_size", ctypes.c_int),
            ("source_name", ctypes.c_char * 46),
            ("source_port", ctypes.c_int),
        )

    return _Packet


_OnDropped = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class DroppedRequests:
    """Answers what PJSIP can't read; keep it as long as the endpoint lives.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        most_bytes: of a message (:mod:`bridge.telephony.library`).
        replies: sends the answers.
        long_messages: learns of the line ends that PJSIP leaves out of a stream.
    """

    def __init__(
        self, lib: ctypes.CDLL, most_bytes: int, replies: RawReplies, long_messages: LongMessages
    ) -> None:
        self._most_bytes = most_bytes
        self._long_messages = long_messages
        self._packet = _packet_type(most_bytes)
        self._replies = replies
        self._callback = _OnDropped(self._on_dropped)
        manager = lib.pjsip_endpt_get_tpmgr(lib.pjsua_get_pjsip_endpt())
        lib.pjsip_tpmgr_set_drop_data_cb(manager, self._callback)

    def _on_dropped(self, address: int) -> None:
        with guarded(log, "dropped_request_unanswered"):
            dropped = _Dropped.from_address(address)
            if dropped.status == _IGNORED:
                line_ends = ctypes.string_at(dropped.data, dropped.len)
                self._long_messages.pass_over(dropped.transport, line_ends)
            else:
                self._answer(dropped)

    def _answer(self, dropped: _Dropped) -> None:
        data = ctypes.string_at(dropped.data, dropped.len)
        request = Request.parse(data)
        # Without a Via there is nobody to answer (RFC 3261 section 18.2.2).
        if request is None or request.method == "ACK" or not request.header("via"):
            return
        transport = Transport.from_address(dropped.transport)
        source = self._source(transport, dropped)
        if source is None:
            log.warning("dropped_request_without_source")
            return
        answer = refusal_of(request, self._most_bytes) or due(
            request.method, RequestStanding.OUTSIDE
        )
        answer = answer or _BAD_REQUEST
        log.info("bad_request", code=answer.code, reason=answer.reason)
        self._replies.send(request, answer, transport, source)

    def _source(self, transport: Transport, dropped: _Dropped) -> SocketAddress | None:
        if transport.kind in {TCP, TLS}:
            far_end: SocketAddress = transport.far_end
            return far_end if far_end.size else None
        if transport.kind != UDP:
            return None
        begin = dropped.data
        # Line ends before the message are in the packet, too; it begins at a word's boundary.
        for skipped in range(self._most_bytes - dropped.len + 1):
            place = begin - skipped
            if place % 8 == 0:
                packet = self._packet.from_address(place)
                if packet.len == dropped.len + skipped and _believable(packet):
                    source: SocketAddress = packet.source
                    return source
            if ctypes.string_at(place - 1, 1) not in b"\r\n":
                break
        return None


def _believable(packet: ctypes.Structure) -> bool:
    source = packet.source
    if packet.source_size != source.size or not source.size:
        return False
    host, port = source.host_and_port
    name = bytes(packet.source_name).decode("latin-1")
    return (name, packet.source_port) == (host, port)
