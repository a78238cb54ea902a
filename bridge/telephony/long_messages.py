"""Refuses messages of a stream before PJSIP's parser sees them, and passes over them to their end.

Those that are longer than PJSIP's buffer: it gives up on such a message when its buffer is full,
and would take what follows in the stream, the rest of that message, for messages of their own. Here
the sender gets 513 (RFC 3261 section 21.5.7). And those that go past a bound
(:mod:`bridge.sip.bounds`). The rest of the message is dropped, so that the connection and the calls
on it go on. PJSIP shows what came by datagram to nobody before it has parsed it: there the request
door judges it (:mod:`bridge.telephony.request_door`). In the loop's thread, inside the poll.
"""

import ctypes
import re

import structlog

from bridge.telephony.guarding import guarded
from bridge.telephony.replies import RawReplies, Transport
from bridge.telephony.sip_request import TOO_LARGE, FinalResponse, Request, out_of_bounds

log = structlog.get_logger(__name__)

_MOST_DIGITS = 12
"""Of a Content-Length: with as many, no body ends."""
_LENGTH = re.compile(rb"\r?\n(?:content-length|l)[ \t]*:\s*(\d+)[ \t]*(?=\r?\n)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_KEPT_BYTES = 64
"""Of headers that go on: holds a Content-Length, and half of the empty line that ends them."""


class MessageEnd:
    """Finds the end of one message in a stream, whose parts it is given in turn.

    A message without a Content-Length has no body, though RFC 3261 section 20.14 wants one in
    streams.
    """

    def __init__(self) -> None:
        self._headers = b""
        self._body_bytes = 0
        self._left_bytes: int | None = None  # of the body, once the headers have ended

    def take(self, data: bytes) -> tuple[int, bool]:
        """Return how much of this part belongs to the message, and whether it ends there."""
        begin = self._take_headers(data) if self._left_bytes is None else 0
        if self._left_bytes is None:
            return len(data), False
        part = min(self._left_bytes, len(data) - begin)
        self._left_bytes -= part
        return begin + part, self._left_bytes == 0

    def _take_headers(self, data: bytes) -> int:
        """Return how much of this part is of the headers."""
        text, known = self._headers + data, len(self._headers)
        end = _HEAD_END.search(text)
        length = _LENGTH.search(text, 0, end.end() if end else len(text))
        if length is not None:
            self._body_bytes = int(length[1].lstrip(b"0")[:_MOST_DIGITS] or 0)
        if end is None:
            self._headers = text[-_KEPT_BYTES:]
            return len(data)
        self._left_bytes = self._body_bytes
        return end.end() - known


class _Received(ctypes.Structure):
    """`pjsip_tp_rx_data` (pjsip/sip_transport.h)."""

    _fields_ = (
        ("transport", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
    )


_OnReceived = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class LongMessages:
    """Refuses them; keep it as long as the endpoint lives.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        most_bytes: PJSIP's buffer (:mod:`bridge.telephony.library`).
        replies: sends the refusals.
    """

    def __init__(self, lib: ctypes.CDLL, most_bytes: int, replies: RawReplies) -> None:
        self._most_bytes = most_bytes
        self._replies = replies
        self._rests: dict[int, MessageEnd] = {}
        self._callback = _OnReceived(self._on_received)
        manager = lib.pjsip_endpt_get_tpmgr(lib.pjsua_get_pjsip_endpt())
        lib.pjsip_tpmgr_set_recv_data_cb.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        lib.pjsip_tpmgr_set_recv_data_cb(manager, self._callback)

    def forget(self, transport: int) -> None:
        """Learn that a connection is gone: another may have its address."""
        self._rests.pop(transport, None)

    def pass_over(self, transport: int, data: bytes) -> int:
        """Take what came on a connection; return how much of it is of a message refused before.

        Line ends at the begin of what is read PJSIP drops by itself, those of a body, too: they are
        to be given here.
        """
        rest = self._rests.get(transport)
        if rest is None:
            return 0
        part, over = rest.take(data)
        if over:
            self.forget(transport)
        return part

    def _on_received(self, address: int) -> None:
        with guarded(log, "long_message_not_refused"):
            received = _Received.from_address(address)
            received.len -= self._drop(received)

    def _drop(self, received: _Received) -> int:
        """Return how many bytes of what came are dropped; PJSIP goes on behind them."""
        data = ctypes.string_at(received.data, received.len)
        if received.transport in self._rests:
            return self.pass_over(received.transport, data)
        end = MessageEnd()
        size, is_whole = end.take(data)
        if not is_whole and len(data) < self._most_bytes:
            return 0  # PJSIP waits for the rest, and asks again
        answer = out_of_bounds(data[:size]) or (None if is_whole else TOO_LARGE)
        if answer is None:
            return 0
        if not is_whole:
            self._rests[received.transport] = end
        self._refuse(data[:size], answer, Transport.from_address(received.transport))
        return size

    def _refuse(self, data: bytes, answer: FinalResponse, transport: Transport) -> None:
        log.info("bad_message", code=answer.code, reason=answer.reason)
        request = Request.parse(data)
        if request is None or request.method == "ACK" or not request.header("via"):
            return
        self._replies.send(request, answer, transport, transport.far_end)
