"""Finds the sockets of a call's media, and the sources of the last packets at them."""

import ctypes
from dataclasses import dataclass
from typing import Self

from bridge.sip.media_sources import Place
from bridge.telephony.socket_address import SocketAddress

_ROOM_BYTES = 8192
"""`pjmedia_transport_info` has some 300 bytes, and more with each protocol above UDP."""


class _Sockets(ctypes.Structure):
    """`pjmedia_sock_info` (pjmedia/transport.h)."""

    _fields_ = (
        ("rtp", ctypes.c_long),
        ("rtp_name", SocketAddress),
        ("rtcp", ctypes.c_long),
        ("rtcp_name", SocketAddress),
    )


class _Info(ctypes.Structure):
    """The begin of `pjmedia_transport_info` (there, too)."""

    _fields_ = (
        ("sockets", _Sockets),
        ("rtp_source", SocketAddress),
        ("rtcp_source", SocketAddress),
    )


@dataclass(frozen=True, slots=True)
class MediaSockets:
    """RTP's and RTCP's descriptors, and who sent the last packet to each; None: nobody did."""

    rtp: int
    rtcp: int
    rtp_source: Place | None
    rtcp_source: Place | None

    @classmethod
    def of(cls, lib: ctypes.CDLL, pj_call_id: int, media: int) -> Self | None:
        """Ask PJSUA for those of a call's m= line; None where it has none."""
        room = ctypes.create_string_buffer(_ROOM_BYTES)
        if lib.pjsua_call_get_med_transport_info(pj_call_id, media, room) != 0:
            return None
        info = _Info.from_buffer(room)
        rtp, rtcp = int(info.sockets.rtp), int(info.sockets.rtcp)
        if rtp <= 0 or rtcp <= 0:
            return None
        return cls(
            rtp,
            rtcp,
            _place(info.rtp_source),
            _place(info.rtcp_source),
        )


def _place(address: SocketAddress) -> Place | None:
    return address.host_and_port if address.size else None
