"""The benchmark's callers: one process, many calls with RTP both ways, directed by its parent.

Orders are JSON lines on stdin, each answered by one JSON line on stdout:

    {"do": "hold", "calls": 200, "rate": 20}           ramp up to so many calls
    {"do": "measure", "s": 10}                         what they hear from now on
    {"do": "churn", "calls": 2000, "rate": 20, "each_s": 2}   so many short calls, one after another
    {"do": "end"}                                      hang up, also in the middle of an order
"""

import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from bridge.audio.resample import downsample_whole
from bridge.bench.lanes import FRAME_SAMPLES, MOST_CALLS, Frames, frames_of
from bridge.bench.phones import Answer, Order, Phones, run_phones
from bridge.bench.sip_calls import Outcomes
from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.speech.synthesis import Synthesizer

_TEXT = "Good morning. I would like to know when my parcel arrives, and what it costs to return it."
_PAUSE_FRAMES = 150
"""3 s, in which an agent may answer."""

_Steps = Iterator[None]


class Callers(Phones):
    """Callers in quiet rooms.

    Args:
        server: host and port of the SIP server.
        user: who is called.
        each_another: every call is from a number of its own; else all are from one.
        secure: SIP over TLS and SRTP; else UDP and RTP.
    """

    def __init__(
        self,
        server: tuple[str, int],
        user: str,
        *,
        each_another: bool = False,
        secure: bool = False,
    ) -> None:
        super().__init__(server, user, secure=secure)
        self._each_another = each_another
        self._placed = 0
        self.orders = {
            "hold": self._hold,
            "measure": self._measure,
            "churn": self._churn,
            "end": self._end,
        }

    def _call(self, now_ns: int) -> None:
        slot = self.free.pop()
        self._placed += 1
        # 555-0100 and on are for fiction: numbers that nobody has.
        caller = f"+1555{self._placed:07}" if self._each_another else "bench"
        self.sip.invite(slot, self.lane_of(slot).wire.port, now_ns, caller=caller)

    def _hold(self, order: Order) -> Answer:
        """Ramp up to ``calls`` calls, at ``rate`` a second."""
        self.sip.outcomes = Outcomes()
        wanted = int(str(order["calls"])) - len(self.up)
        for _ in self._at_rate(wanted, float(str(order["rate"]))):
            yield None
        while self.sip.asked:
            yield None
        yield self._outcomes()

    def _at_rate(self, calls: int, rate: float) -> _Steps:
        """Place calls, one a step at most, so that whoever drives it can hold back."""
        begun_ns = time.monotonic_ns()
        for number in range(calls):
            due_ns = begun_ns + int(number * NS_PER_S / rate)
            while (now_ns := time.monotonic_ns()) < due_ns or not self.free:
                yield
            self._call(now_ns)
            yield

    def _measure(self, order: Order) -> Answer:
        """Listen for ``s`` seconds."""
        calls = len(self.up)
        self.hearing.window()
        self.lags_ns.clear()
        dropped, overflowed = self.sip.outcomes.dropped, self.overflowed()
        end_ns = time.monotonic_ns() + int(float(str(order["s"])) * NS_PER_S)
        while time.monotonic_ns() < end_ns:
            yield None
        yield {
            "calls": calls,
            **asdict(self.hearing.window()),
            "dropped_calls": self.sip.outcomes.dropped - dropped,
            "overflowed": self.overflowed() - overflowed,
            **self.lag_report(),
        }

    def _churn(self, order: Order) -> Answer:
        """Place ``calls`` calls at ``rate`` a second, each up for ``each_s``."""
        self.sip.outcomes = Outcomes()
        each_ns = int(float(str(order["each_s"])) * NS_PER_S)
        most = int(str(order.get("most", MOST_CALLS)))
        placing = self._at_rate(int(str(order["calls"])), float(str(order["rate"])))
        unfinished = object()
        while True:
            self._hang_up_since(time.monotonic_ns() - each_ns)
            if self.sip.left < most and next(placing, unfinished) is unfinished:
                break
            yield None
        while self.sip.left:
            self._hang_up_since(time.monotonic_ns() - each_ns)
            yield None
        yield self._outcomes()

    def _hang_up_since(self, answered_ns: int) -> None:
        for slot, since_ns in list(self.up.items()):
            if since_ns <= answered_ns:
                self.sip.bye(slot, time.monotonic_ns())

    def _end(self, order: Order) -> Answer:
        """Hang up; a far end that doesn't answer BYE is given up by the dialogs themselves."""
        while self.sip.left:
            self._hang_up_since(time.monotonic_ns())
            yield None
        yield self._outcomes()

    def _outcomes(self) -> dict[str, object]:
        outcomes = self.sip.outcomes
        setup_ms = [ns / NS_PER_MS for ns in outcomes.setup_ns]
        return {
            "up": len(self.up),
            "answered": len(setup_ms),
            "refused": outcomes.refused,
            "dropped": outcomes.dropped,
            "setup_p50_ms": percentile(setup_ms, 50),
            "setup_p95_ms": percentile(setup_ms, 95),
            "setup_max_ms": percentile(setup_ms, 100),
        }


def run_callers(
    server: tuple[str, int], user: str, *, each_another: bool = False, secure: bool = False
) -> None:
    """Be the callers until stdin ends.

    Raises:
        InfrastructureError: this is no 64-bit Linux, or a socket can't be had.
    """
    run_phones(lambda: Callers(server, user, each_another=each_another, secure=secure))


def percentile(values: list[float], percent: int) -> float | None:
    """Return a percentile to one decimal; None of nothing."""
    return round(float(np.percentile(values, percent)), 1) if values else None


class Talkers(Callers):
    """Callers in rooms where somebody speaks."""

    def __init__(self, server: tuple[str, int], user: str) -> None:
        super().__init__(server, user)
        self._speech = _speech()

    def tick(self) -> None:
        """Move RTP, and have whoever has finished begin again."""
        super().tick()
        for slot in self.up:
            lane = self.lane_of(slot)
            if not lane.is_busy(slot):
                # Each begins at another place: rooms don't speak in chorus.
                lane.say(slot, np.roll(self._speech, -37 * slot, axis=0))


def run_talkers(server: tuple[str, int], user: str) -> None:
    """Be the talkers until stdin ends.

    Raises:
        InfrastructureError: this is no 64-bit Linux, or a socket can't be had.
    """
    run_phones(lambda: Talkers(server, user))


def _speech() -> Frames:
    """Return the sentences and the pause as packets, (n, 160) mu-law."""
    samples = downsample_whole(Synthesizer("en-us").say(_TEXT))
    return frames_of(np.pad(samples, (0, _PAUSE_FRAMES * FRAME_SAMPLES)))
