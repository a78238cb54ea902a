"""Locks the RTP and RTCP of calls on their far ends, so that nobody else hears or is heard.

PJMEDIA follows a new source after 10 packets from it with none of the old one between, and at once
where the SDP's address never sent. So each socket has a filter in the kernel before its stream
begins, and :class:`bridge.sip.media_sources.SourceLock` says whose packets pass. A hold keeps the
filters; without a call no socket is open. Runs in the loop's thread.
"""

import ctypes
from collections.abc import Callable, Iterable
from typing import Protocol

from bridge.clock import NS_PER_MS, NS_PER_S, Clock
from bridge.sip.media_sources import Network, Place, SourceLock, networks_of
from bridge.telephony import packet_filter
from bridge.telephony.media_sockets import MediaSockets

_LEARN_EVERY_NS = 100 * NS_PER_MS
_LOOK_EVERY_NS = NS_PER_S
_RTP_SILENT_NS = 2 * NS_PER_S
_RTCP_SILENT_NS = 15 * NS_PER_S
"""RTCP comes each 5 s (RFC 3550 section 6.2)."""
_RTCP_AWAITED_NS = 10 * NS_PER_S
"""Most of the time to the first report is over by then (there, 6.3.1); a far end that sends none is
not worth ten looks a second."""

OnDropped = Callable[[str, int], None]
"""Given the host that a far end's SIP comes from, and a number of packets that were dropped."""


class CountedCall(Protocol):
    """A call whose streams count packets."""

    def media_counts(self) -> tuple[int, int]:
        """Return RTP and RTCP packets that were played or read so far; (0, 0) without a stream."""


class _Door:
    """One socket's filter and lock."""

    def __init__(self, silent_ns: int) -> None:
        self.lock = SourceLock(silent_ns)
        self.dropped = 0
        self.fd = -1

    def open(self, fd: int, networks: tuple[Network, ...], packets: int) -> None:
        is_new = fd != self.fd
        if is_new:
            self.fd, self.dropped = fd, 0
        self.lock.open(networks, packets)
        self.apply()
        if is_new:
            packet_filter.drain(fd)

    def apply(self) -> None:
        packet_filter.attach(self.fd, self.lock.rule)

    def count(self) -> int:
        """Return how many packets were dropped since this was asked last."""
        before, self.dropped = self.dropped, packet_filter.dropped(self.fd)
        return (self.dropped - before) % (1 << 32)

    def learn(self, packets: int, last: Place | None) -> None:
        if self.lock.learn(packets, last):
            self.apply()


class CallLock:
    """The lock of one PJSUA call: its far end's addresses, and a door for each socket.

    Args:
        call: PJSUA's, for its counts.
        pj_call_id: returns its number.
        host: that the far end's SIP comes from; "" while that isn't known.
        media_from: networks that its media may come from, beside what SDP and SIP say.
    """

    def __init__(
        self,
        locks: "RtpLocks",
        call: CountedCall,
        pj_call_id: Callable[[], int],
        host: str,
        media_from: tuple[Network, ...],
    ) -> None:
        self._locks = locks
        self._call = call
        self._pj_call_id = pj_call_id
        self._host = host
        self._media = -1
        self._media_from = media_from
        self._described: tuple[str, ...] = ()
        self._doors = _Door(_RTP_SILENT_NS), _Door(_RTCP_SILENT_NS)

    def heard_from(self, host: str) -> None:
        """Take the source of a message that may change the dialog; a new one opens the lock."""
        if host and host != self._host:
            self._host = host
            self.renew()

    def end(self) -> None:
        """Look no more after it: the call is over."""
        self._media = -1
        self._locks.forget(self)

    def begin(self, media: int, described: Iterable[str]) -> None:
        """Set the filters up before a stream begins.

        Args:
            media: number of its m= line.
            described: the far end's addresses, as its SDP has them.
        """
        self._media, self._described = media, tuple(described)
        self._open((0, 0))

    def renew(self) -> None:
        """Learn the source anew, after an offer and answer."""
        if self._media >= 0:
            self._open(self._call.media_counts())

    def _open(self, counts: tuple[int, int]) -> None:
        sockets = self._sockets()
        if sockets is None:
            return
        networks = (*networks_of([*self._described, self._host]), *self._media_from)
        for door, fd, packets in zip(self._doors, (sockets.rtp, sockets.rtcp), counts, strict=True):
            door.open(fd, networks, packets)
        self._locks.watch(self)

    def learn(self, *, awaits_rtcp: bool) -> bool:
        """Lock on sources that sent; return whether one is still awaited.

        Args:
            awaits_rtcp: whether that of RTCP counts, too.
        """
        sockets = self._own_sockets()
        if sockets is None:
            return False
        self._learn(sockets)
        rtp, rtcp = (door.lock.source is None for door in self._doors)
        return rtp or (rtcp and awaits_rtcp)

    def _learn(self, sockets: MediaSockets) -> None:
        sources = sockets.rtp_source, sockets.rtcp_source
        pairs = zip(self._doors, sources, strict=True)
        if any(door.lock.source is None and source is not None for door, source in pairs):
            counts = self._call.media_counts()
            for door, packets, source in zip(self._doors, counts, sources, strict=True):
                door.learn(packets, source)

    def look(self, now_ns: int) -> None:
        """Count what was dropped, doubt sources that are silent meanwhile, learn that of RTCP."""
        sockets = self._own_sockets()
        if sockets is None:
            return
        self._learn(sockets)
        new = [door.count() for door in self._doors]
        if not any(new):
            return
        self._locks.on_dropped(self._host, sum(new))
        counts = self._call.media_counts()
        for door, packets, drops in zip(self._doors, counts, new, strict=True):
            if drops and door.lock.doubt(packets, now_ns):
                door.apply()
                self._locks.watch(self)

    def _own_sockets(self) -> MediaSockets | None:
        """Find the sockets that the doors are at; None where the call has others, or none."""
        sockets = self._sockets()
        own = tuple(door.fd for door in self._doors)
        return sockets if sockets is not None and (sockets.rtp, sockets.rtcp) == own else None

    def _sockets(self) -> MediaSockets | None:
        call_id = self._pj_call_id()
        return None if call_id < 0 else self._locks.sockets(call_id, self._media)


class RtpLocks:
    """Keeps the locks of all calls of one endpoint.

    Args:
        lib: PJSIP's symbols.
        on_dropped: gets the number of packets that strangers sent.
    """

    def __init__(self, lib: ctypes.CDLL, clock: Clock, on_dropped: OnDropped) -> None:
        self.on_dropped = on_dropped
        self._lib = lib
        self._clock = clock
        self._watched: set[CallLock] = set()
        self._open: dict[CallLock, int] = {}
        """Those that await a source -> until when they await that of RTCP."""
        self._learn_ns = self._look_ns = 0

    def lock(
        self,
        call: CountedCall,
        pj_call_id: Callable[[], int],
        host: str,
        media_from: tuple[Network, ...],
    ) -> CallLock:
        """Make the lock of a new call, which has the arguments of :class:`CallLock`."""
        return CallLock(self, call, pj_call_id, host, media_from)

    def sockets(self, pj_call_id: int, media: int) -> MediaSockets | None:
        """Find the sockets of a call's m= line."""
        return MediaSockets.of(self._lib, pj_call_id, media)

    def watch(self, lock: CallLock) -> None:
        """Look after a lock that was opened."""
        self._watched.add(lock)
        self._open[lock] = self._clock.now_ns() + _RTCP_AWAITED_NS

    def forget(self, lock: CallLock) -> None:
        """Look no more after the lock of a call that is over."""
        self._watched.discard(lock)
        self._open.pop(lock, None)

    def poll(self) -> None:
        """Look after all locks as often as is due; call it as often as you like."""
        now_ns = self._clock.now_ns()
        if now_ns - self._learn_ns >= _LEARN_EVERY_NS:
            self._learn_ns = now_ns
            self._open = {
                lock: until_ns
                for lock, until_ns in self._open.items()
                if lock.learn(awaits_rtcp=now_ns < until_ns)
            }
        if now_ns - self._look_ns >= _LOOK_EVERY_NS:
            self._look_ns = now_ns
            for lock in list(self._watched):
                lock.look(now_ns)
