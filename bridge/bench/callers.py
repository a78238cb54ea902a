"""The callers: one process, many calls with RTP both ways. It does what it is told, line by line.

Orders are JSON lines on stdin, each answered by one JSON line on stdout:

    {"do": "hold", "calls": 200, "rate": 20}           ramp up to so many calls
    {"do": "measure", "s": 10}                         what they hear from now on
    {"do": "churn", "calls": 2000, "rate": 20, "each_s": 2}   so many short calls, one after another
    {"do": "end"}                                      hang up, also in the middle of an order

RTP goes through a few sockets ("lanes"): every call of a lane names the same port in its SDP, and
what comes is told apart by where it comes from. Lane k sends at its own moment of each 20 ms, so
that the gateway sees packets spread as from many phones, and this process has an even load.
"""

import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from bridge.audio import g711
from bridge.bench.datagrams import Datagrams
from bridge.bench.hearing import Hearing
from bridge.bench.sip_calls import Outcomes, SipCalls
from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.errors import InfrastructureError

MOST_CALLS = 1024
_LANES = 5
_FRAME_NS = 20 * NS_PER_MS
_FRAME_SAMPLES = 160
_REPEAT_NS = 100 * NS_PER_MS
_NOISE_LEVEL = 60.0
"""About -55 dBFS: a quiet room, so that nothing takes it for speech."""

_PACKET = np.dtype(
    [
        *(("first", "u1"), ("kind", "u1"), ("sequence", ">u2"), ("timestamp", ">u4")),
        *(("ssrc", ">u4"), ("audio", "u1", _FRAME_SAMPLES)),
    ]
)
"""RTP (RFC 3550 section 5.1) with 20 ms of PCMU."""

_Order = Mapping[str, object]
_Steps = Iterator[None]


class _Lane:
    """One RTP socket: its calls send together, once in 20 ms."""

    def __init__(self) -> None:
        self.wire = Datagrams(_PACKET.itemsize, MOST_CALLS)
        self.due_ns = 0
        self._packets = self.wire.out.view(_PACKET)[:, 0]
        self._packets["first"] = 0x80
        self._packets["ssrc"] = np.arange(MOST_CALLS) + 1
        self._packets["audio"] = np.frombuffer(_quiet_room(), dtype=np.uint8)
        self._slots: npt.NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._slot_of_port = np.full(1 << 16, -1, dtype=np.int64)
        self._ports: dict[int, int] = {}

    def add(self, slot: int, port: int) -> None:
        self._ports[slot] = port
        self._slot_of_port[port] = slot
        self.wire.aim(slot, port)
        self._packets["sequence"][slot] = 0
        self._packets["timestamp"][slot] = 0
        self._slots = np.array(sorted(self._ports), dtype=np.intp)

    def remove(self, slot: int) -> None:
        port = self._ports.pop(slot, None)
        if port is not None:
            self._slot_of_port[port] = -1
            self._slots = np.array(sorted(self._ports), dtype=np.intp)

    def send(self) -> None:
        if not len(self._slots):
            return
        self.wire.send(self._slots)
        packets, slots = self._packets, self._slots
        packets["sequence"][slots] += np.uint16(1)
        packets["timestamp"][slots] += np.uint32(_FRAME_SAMPLES)

    def listen(self, hearing: Hearing) -> None:
        while True:
            came = self.wire.receive()
            if not len(came.lengths):
                return
            slots = self._slot_of_port[came.ports]
            packets = came.data.view(_PACKET)[:, 0]
            ours = (slots >= 0) & (came.lengths == _PACKET.itemsize) & (packets["kind"] & 0x7F == 0)
            good = packets[ours]
            hearing.take(
                slots[ours],
                good["sequence"].astype(np.int64),
                good["timestamp"].astype(np.int64),
                came.stamps_ns[ours],
                good["audio"],
            )


class Callers:
    """All of them.

    Args:
        server: host and port of the SIP server.
        user: who is called.
        each_another: every call is from a number of its own; else all are from one.
    """

    def __init__(self, server: tuple[str, int], user: str, *, each_another: bool = False) -> None:
        self._server = server
        self._sip_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sip_socket.bind(("127.0.0.1", 0))
        self._sip_socket.setblocking(False)
        self._sip = SipCalls(
            server,
            int(self._sip_socket.getsockname()[1]),
            user,
            lambda data: self._sip_socket.sendto(data, server),
            on_up=self._on_up,
            on_over=self._on_over,
            caller=_number if each_another else lambda number: "bench",
        )
        self._hearing = Hearing(MOST_CALLS)
        self._lanes = [_Lane() for _ in range(_LANES)]
        self._free = list(range(MOST_CALLS - 1, -1, -1))
        self._up: dict[int, int] = {}
        self._lags_ns: list[int] = []
        self._repeat_ns = 0
        self._orders: dict[str, Callable[[_Order], Iterator[dict[str, object] | None]]] = {
            "hold": self._hold,
            "measure": self._measure,
            "churn": self._churn,
            "end": self._end,
        }

    def run(self) -> None:
        """Do what stdin says until it ends."""
        begun_ns = time.monotonic_ns()
        for number, lane in enumerate(self._lanes):
            lane.due_ns = begun_ns + number * _FRAME_NS // _LANES
        poll = select.poll()
        poll.register(self._sip_socket, select.POLLIN)
        poll.register(sys.stdin, select.POLLIN)
        current: Iterator[dict[str, object] | None] | None = None
        heard = b""
        while True:
            due_ns = min(lane.due_ns for lane in self._lanes)
            wait_ms = max(0, due_ns - time.monotonic_ns()) // NS_PER_MS
            for descriptor, _ in poll.poll(wait_ms):
                if descriptor == self._sip_socket.fileno():
                    self._read_sip()
                    continue
                read = os.read(sys.stdin.fileno(), 65536)
                if not read:
                    return
                heard += read
                if heard.endswith(b"\n"):
                    order = json.loads(heard)
                    heard, current = b"", self._orders[order["do"]](order)
            self._tick()
            if current is not None and (answer := next(current)) is not None:
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
                current = None

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        for lane in self._lanes:
            while lane.due_ns <= now_ns:
                self._lags_ns.append(now_ns - lane.due_ns)
                lane.listen(self._hearing)
                lane.send()
                lane.due_ns += _FRAME_NS
        if now_ns >= self._repeat_ns:
            self._sip.repeat(now_ns)
            self._repeat_ns = now_ns + _REPEAT_NS

    def _read_sip(self) -> None:
        while True:
            try:
                data = self._sip_socket.recv(65536)
            except BlockingIOError:
                return
            except ConnectionError:  # nobody there; requests are repeated, and given up
                continue
            self._sip.receive(data, time.monotonic_ns())

    def _call(self, now_ns: int) -> None:
        slot = self._free.pop()
        self._sip.invite(slot, self._lane_of(slot).wire.port, now_ns)

    def _lane_of(self, slot: int) -> _Lane:
        return self._lanes[slot % _LANES]

    def _on_up(self, slot: int, port: int) -> None:
        self._up[slot] = time.monotonic_ns()
        self._hearing.forget(slot)
        self._lane_of(slot).add(slot, port)

    def _on_over(self, slot: int) -> None:
        self._up.pop(slot, None)
        self._lane_of(slot).remove(slot)
        self._free.append(slot)

    # Orders: each runs once round the loop until it has an answer

    def _hold(self, order: _Order) -> Iterator[dict[str, object] | None]:
        """Ramp up to ``calls`` calls, at ``rate`` a second."""
        self._sip.outcomes = Outcomes()
        wanted = int(str(order["calls"])) - len(self._up)
        for _ in self._at_rate(wanted, float(str(order["rate"]))):
            yield None
        while self._sip.asked:
            yield None
        yield self._outcomes()

    def _at_rate(self, calls: int, rate: float) -> _Steps:
        """Place calls, one a step at most, so that whoever drives it can hold back."""
        begun_ns = time.monotonic_ns()
        for number in range(calls):
            due_ns = begun_ns + int(number * NS_PER_S / rate)
            while (now_ns := time.monotonic_ns()) < due_ns or not self._free:
                yield
            self._call(now_ns)
            yield

    def _measure(self, order: _Order) -> Iterator[dict[str, object] | None]:
        """Listen for ``s`` seconds."""
        calls = len(self._up)
        self._hearing.window()
        self._lags_ns.clear()
        dropped, overflowed = self._sip.outcomes.dropped, self._overflowed()
        end_ns = time.monotonic_ns() + int(float(str(order["s"])) * NS_PER_S)
        while time.monotonic_ns() < end_ns:
            yield None
        lags_ms = np.array(self._lags_ns) / NS_PER_MS
        yield {
            "calls": calls,
            **asdict(self._hearing.window()),
            "dropped_calls": self._sip.outcomes.dropped - dropped,
            "overflowed": self._overflowed() - overflowed,
            "send_lag_p99_ms": round(float(np.percentile(lags_ms, 99)), 2),
            "send_lag_max_ms": round(float(lags_ms.max()), 2),
        }

    def _churn(self, order: _Order) -> Iterator[dict[str, object] | None]:
        """Place ``calls`` calls at ``rate`` a second, each up for ``each_s``."""
        self._sip.outcomes = Outcomes()
        each_ns = int(float(str(order["each_s"])) * NS_PER_S)
        most = int(str(order.get("most", MOST_CALLS)))
        placing = self._at_rate(int(str(order["calls"])), float(str(order["rate"])))
        unfinished = object()
        while True:
            self._hang_up_since(time.monotonic_ns() - each_ns)
            if self._sip.left < most and next(placing, unfinished) is unfinished:
                break
            yield None
        while self._sip.left:
            self._hang_up_since(time.monotonic_ns() - each_ns)
            yield None
        yield self._outcomes()

    def _hang_up_since(self, answered_ns: int) -> None:
        for slot, since_ns in list(self._up.items()):
            if since_ns <= answered_ns:
                self._sip.bye(slot, time.monotonic_ns())

    def _end(self, order: _Order) -> Iterator[dict[str, object] | None]:
        """Hang up; a far end that doesn't answer BYE is given up by the dialogs themselves."""
        while self._sip.left:
            self._hang_up_since(time.monotonic_ns())
            yield None
        yield self._outcomes()

    def _outcomes(self) -> dict[str, object]:
        outcomes = self._sip.outcomes
        setup_ms = [ns / NS_PER_MS for ns in outcomes.setup_ns]
        return {
            "up": len(self._up),
            "answered": len(setup_ms),
            "refused": outcomes.refused,
            "dropped": outcomes.dropped,
            "setup_p50_ms": _percentile(setup_ms, 50),
            "setup_p95_ms": _percentile(setup_ms, 95),
            "setup_max_ms": _percentile(setup_ms, 100),
        }

    def _overflowed(self) -> int:
        return sum(lane.wire.overflowed() for lane in self._lanes)


def run_callers(server: tuple[str, int], user: str, *, each_another: bool = False) -> None:
    """Be the callers until stdin ends.

    Raises:
        InfrastructureError: this is no 64-bit Linux, or a socket can't be had.
    """
    try:
        callers = Callers(server, user, each_another=each_another)
    except OSError as error:
        raise InfrastructureError(f"the callers get no socket: {error.strerror}") from error
    callers.run()


def _number(call: int) -> str:
    """Return a number that nobody has (555-0100 and on are for fiction)."""
    return f"+1555{call:07}"


def _percentile(values: list[float], percent: int) -> float | None:
    return round(float(np.percentile(values, percent)), 1) if values else None


def _quiet_room() -> bytes:
    noise = np.random.default_rng(1).normal(0.0, _NOISE_LEVEL, _FRAME_SAMPLES)
    return g711.encode(g711.Law.PCMU, noise.astype(np.int16))
