"""The tick: one absolute schedule for SIP polling and audio, in the loop's thread.

A tick that comes late is measured and not made up for: the next one keeps the schedule, so a stall
costs one long gap and never a burst.
"""

import asyncio
from collections.abc import Callable

from bridge.clock import NS_PER_MS, NS_PER_S, Clock


class Ticker:
    """Calls ``work`` every ``period_ms`` on the running loop.

    Args:
        work: what a tick does; it must not raise.
        on_lag: receives how late each tick began, in ns, after the first moment of the schedule
            that no tick has answered: work that takes too long counts, too.
        on_work: receives how long each tick's work took, in ns.
    """

    def __init__(
        self,
        work: Callable[[], None],
        *,
        period_ms: int,
        clock: Clock,
        on_lag: Callable[[int], None],
        on_work: Callable[[int], None] = lambda took_ns: None,
    ) -> None:
        self._work = work
        self._period_ns = period_ms * NS_PER_MS
        self._clock = clock
        self._on_lag = on_lag
        self._on_work = on_work
        self._due_ns = 0
        self._owed_ns = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin ticking on the running loop."""
        self._owed_ns = self._due_ns = self._clock.now_ns() + self._period_ns
        self._schedule(self._period_ns)

    def stop(self) -> None:
        """End ticking; safe to call twice."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self, delay_ns: int) -> None:
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(max(0, delay_ns) / NS_PER_S, self._tick)

    def _tick(self) -> None:
        begun_ns = self._clock.now_ns()
        self._on_lag(max(0, begun_ns - self._owed_ns))
        self._work()
        now_ns = self._clock.now_ns()
        self._on_work(now_ns - begun_ns)
        self._owed_ns = self._first_after(begun_ns)
        self._due_ns = self._first_after(now_ns)
        if self._handle is not None:
            self._schedule(self._due_ns - now_ns)

    def _first_after(self, now_ns: int) -> int:
        """Return the schedule's first moment after ``now_ns``, and after the tick just done."""
        return (
            self._due_ns + max(1, (now_ns - self._due_ns) // self._period_ns + 1) * self._period_ns
        )
