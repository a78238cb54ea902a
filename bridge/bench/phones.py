"""Many phones in one process, directed by JSON lines on stdin and answering on stdout.

The base of the benchmark's callers and the soak's. RTP goes through a few lanes; lane k sends at
its own moment of each 20 ms, so that the gateway sees packets spread as from many phones, and this
process has an even load.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import numpy as np

from bridge.bench.hearing import RtpHearing
from bridge.bench.lanes import MOST_CALLS, Lane
from bridge.bench.sip_calls import Ended, SipCalls
from bridge.bench.wires import TlsWire, UdpWire
from bridge.clock import NS_PER_MS
from bridge.errors import InfrastructureError
from bridge.softphone.sip_message import Direction

_LANES = 5
_FRAME_NS = 20 * NS_PER_MS
_REPEAT_NS = 100 * NS_PER_MS

Order = Mapping[str, object]
Answer = Iterator[Mapping[str, object] | None]
"""The work of an order: run on once round the loop, until it gives something."""


class Phones:
    """Many phones on few sockets. A call is a slot.

    Args:
        server: host and port of the SIP server.
        user: who is called.
        secure: SIP over TLS and SRTP; else UDP and RTP.

    Attributes:
        orders: the handler of each order, by its ``do``.
        up: slots of the calls that are up, and since when (monotonic ns).
        free: slots without a call.
        lags_ns: how late lanes sent.
    """

    def __init__(self, server: tuple[str, int], user: str, *, secure: bool = False) -> None:
        self.orders: dict[str, Callable[[Order], Answer]] = {}
        self.hearing = RtpHearing(MOST_CALLS)
        self.up: dict[int, int] = {}
        self.free = list(range(MOST_CALLS - 1, -1, -1))
        self.lags_ns: list[int] = []
        self._wire = TlsWire(server) if secure else UdpWire(server)
        self.sip = SipCalls(
            server,
            self._wire.port,
            user,
            self._wire.send,
            secure=secure,
            on_up=self.on_up,
            on_over=self.on_over,
            on_changed=self.on_changed,
        )
        self._lanes = [Lane(secure=secure) for _ in range(_LANES)]
        self._repeat_ns = 0

    def lane_of(self, slot: int) -> Lane:
        """Return the lane that a call's RTP goes through."""
        return self._lanes[slot % _LANES]

    def on_up(self, slot: int, port: int) -> None:
        """Take a call that is answered."""
        self.up[slot] = time.monotonic_ns()
        self.hearing.forget(slot)
        self.lane_of(slot).add(slot, port, self.sip.keys_of(slot))

    def change(self, slot: int, direction: Direction) -> bool:
        """Send a re-INVITE; False if one is under way, or the call isn't up.

        What comes from here on is heard anew: the RTP after a hold may be here before the answer.
        """
        port = self.lane_of(slot).wire.port
        if not self.sip.change(slot, port, direction, time.monotonic_ns()):
            return False
        self.hearing.forget(slot)
        return True

    def on_changed(self, slot: int, port: int) -> None:
        """Take the answer to a re-INVITE."""
        self.hearing.forget(slot)
        self.lane_of(slot).add(slot, port, self.sip.keys_of(slot))

    def on_over(self, slot: int, ended: Ended) -> None:
        """Take the end of a call."""
        self.up.pop(slot, None)
        self.lane_of(slot).remove(slot)
        self.free.append(slot)

    def overflowed(self) -> int:
        """Return how many packets came that nobody here took."""
        return sum(lane.wire.overflowed() for lane in self._lanes)

    def lag_report(self) -> dict[str, float]:
        """Return how late lanes have sent since the last time, and forget it."""
        lags_ms = np.array(self.lags_ns or [0]) / NS_PER_MS
        self.lags_ns.clear()
        return {
            "send_lag_p99_ms": round(float(np.percentile(lags_ms, 99)), 2),
            "send_lag_max_ms": round(float(lags_ms.max()), 2),
        }

    def run(self) -> None:
        """Do what stdin says until it ends."""
        begun_ns = time.monotonic_ns()
        for number, lane in enumerate(self._lanes):
            lane.due_ns = begun_ns + number * _FRAME_NS // _LANES
        poll = select.poll()
        poll.register(self._wire, select.POLLIN)
        poll.register(sys.stdin, select.POLLIN)
        current: Answer | None = None
        heard = b""
        while True:
            due_ns = min(lane.due_ns for lane in self._lanes)
            wait_ms = max(0, due_ns - time.monotonic_ns()) // NS_PER_MS
            for descriptor, _ in poll.poll(wait_ms):
                if descriptor == self._wire.fileno():
                    for message in self._wire.messages():
                        self.sip.receive(message, time.monotonic_ns())
                    continue
                read = os.read(sys.stdin.fileno(), 65536)
                if not read:
                    return
                heard += read
                if heard.endswith(b"\n"):
                    order = json.loads(heard)
                    heard, current = b"", self.orders[order["do"]](order)
            self.tick()
            if current is not None and (answer := next(current)) is not None:
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
                current = None

    def close(self) -> None:
        """Give the sockets back."""
        self._wire.close()
        for lane in self._lanes:
            lane.wire.close()

    def tick(self) -> None:
        """Move the RTP that is due, and repeat requests."""
        now_ns = time.monotonic_ns()
        for lane in self._lanes:
            while lane.due_ns <= now_ns:
                self.lags_ns.append(now_ns - lane.due_ns)
                lane.listen(self.hearing)
                lane.send()
                lane.due_ns += _FRAME_NS
        if now_ns >= self._repeat_ns:
            self.sip.repeat(now_ns)
            self._repeat_ns = now_ns + _REPEAT_NS


def run_phones(make: Callable[[], Phones]) -> None:
    """Make phones and be them until stdin ends.

    Raises:
        InfrastructureError: this is no 64-bit Linux, or a socket can't be had.
    """
    try:
        phones = make()
    except OSError as error:
        raise InfrastructureError(f"the callers get no socket: {error.strerror}") from error
    with closing(phones):
        phones.run()
