"""Clocks in integer nanoseconds: the real one, and a manual twin for tests.

Durations come from :meth:`Clock.now_ns` (monotonic) alone. :meth:`Clock.wall_ns` is for display and
records. Code below floor 3 never reads a clock: it takes ``now_ns`` as an argument.
"""

import time
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """The interface of a clock."""

    def now_ns(self) -> int:
        """Return monotonic nanoseconds, comparable within this process only."""

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch (UTC)."""


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """Return monotonic nanoseconds."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch (UTC)."""
        return time.time_ns()


class ManualClock:
    """A clock that moves only when it is advanced.

    Args:
        now_ns: monotonic start.
        wall_ns: wall-clock start; both move together.
    """

    def __init__(self, now_ns: int = 0, wall_ns: int = 1_700_000_000 * NS_PER_S) -> None:
        self._now_ns = now_ns
        self._wall_ns = wall_ns

    def now_ns(self) -> int:
        """Return monotonic nanoseconds."""
        return self._now_ns

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch (UTC)."""
        return self._wall_ns

    def advance_ms(self, ms: float) -> int:
        """Move both clocks forward by ``ms`` milliseconds and return the new monotonic time."""
        if ms < 0:
            raise ValueError(f"a monotonic clock cannot go back by {ms} ms")
        step_ns = round(ms * NS_PER_MS)
        self._now_ns += step_ns
        self._wall_ns += step_ns
        return self._now_ns
