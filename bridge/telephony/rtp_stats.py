"""Reads PJSIP's counts of a call's RTP when a stream of it ends.

Received: our own count, late ones being what the jitter buffer threw away. Sent: what the far end
reported by RTCP (RFC 3550 section 6.4), which is nothing where it sends none.
"""

from dataclasses import dataclass
from typing import Any

_NS_PER_US = 1000
_NETWORK_MS = 20
"""Taken for one way of the network where RTCP gave no round trip."""


@dataclass(frozen=True, slots=True)
class RtpDirection:
    """The RTP figures of one direction.

    Attributes:
        lost: missing by sequence number.
        late: came after their time to play; 0 for what we sent.
        jitter_ns: mean interarrival jitter.
    """

    packets: int = 0
    lost: int = 0
    late: int = 0
    jitter_ns: int = 0


@dataclass(frozen=True, slots=True)
class RtpStats:
    """Both directions, and the delay from mouth to ear as far as it can be known."""

    received: RtpDirection
    sent: RtpDirection
    one_way_ms: float

    @property
    def is_one_way(self) -> bool:
        """Whether audio came, or went, in one direction alone."""
        return bool(self.received.packets) is not bool(self.sent.packets)


def add(earlier: RtpStats | None, later: RtpStats) -> RtpStats:
    """Return the figures of two streams of one call together."""
    if earlier is None:
        return later
    pairs = ((earlier.received, later.received), (earlier.sent, later.sent))
    received, sent = (
        RtpDirection(
            one.packets + two.packets,
            one.lost + two.lost,
            one.late + two.late,
            max(one.jitter_ns, two.jitter_ns),
        )
        for one, two in pairs
    )
    return RtpStats(received, sent, max(earlier.one_way_ms, later.one_way_ms))


def read_rtp(call: Any, index: int) -> RtpStats:
    """Read the figures of a call's stream while it still has one.

    Args:
        call: PJSUA's call (a SWIG object without types).
        index: of the stream among its media.

    Raises:
        pjsua2.Error: the stream is gone.
    """
    figures = call.getStreamStat(index)  # owns what is read below
    received, sent, buffer = figures.rtcp.rxStat, figures.rtcp.txStat, figures.jbuf
    round_trip_ms = figures.rtcp.rttUsec.mean / 1000
    network_ms = round_trip_ms / 2 if round_trip_ms > 0 else _NETWORK_MS
    return RtpStats(
        RtpDirection(
            packets=int(received.pkt),
            lost=int(received.loss),
            late=int(buffer.discard),
            jitter_ns=int(received.jitterUsec.mean) * _NS_PER_US,
        ),
        RtpDirection(
            packets=int(sent.pkt),
            lost=int(sent.loss),
            jitter_ns=int(sent.jitterUsec.mean) * _NS_PER_US,
        ),
        one_way_ms=network_ms + float(buffer.avgDelayMsec),
    )
