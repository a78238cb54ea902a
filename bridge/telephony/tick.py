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
        on_lag: receives how late each tick began, in ns.
    """

    def __init__(
        self,
        work: Callable[[], None],
        *,
        period_ms: int,
        clock: Clock,
        on_lag: Callable[[int], None],
    ) -> None:
        self._work = work
        self._period_ns = period_ms * NS_PER_MS
        self._clock = clock
        self._on_lag = on_lag
        self._due_ns = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin ticking on the running loop."""
        self._due_ns = self._clock.now_ns() + self._period_ns
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
        lag_ns = self._clock.now_ns() - self._due_ns
        self._on_lag(max(0, lag_ns))
        self._work()
        now_ns = self._clock.now_ns()
        self._due_ns += self._period_ns
        if self._due_ns <= now_ns:
            missed = (now_ns - self._due_ns) // self._period_ns + 1
            self._due_ns += missed * self._period_ns
        if self._handle is not None:
            self._schedule(self._due_ns - now_ns)
