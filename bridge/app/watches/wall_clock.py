"""Notices that somebody set the machine's wall clock while the process ran."""

import structlog

from bridge.clock import NS_PER_MS, Clock

log = structlog.get_logger(__name__)

SET_MS = 1_000
"""Time services slew a clock by half a millisecond a second; what jumps so far was set."""


class WallClockWatch:
    """Compares wall clock and monotonic clock from look to look.

    Args:
        clock: has both.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._apart_ns = self._apart()

    def look(self) -> int:
        """Return by how much the wall clock was set since the last look, ms; 0 where it wasn't."""
        apart_ns = self._apart()
        by_ms = (apart_ns - self._apart_ns) // NS_PER_MS
        self._apart_ns = apart_ns
        if abs(by_ms) < SET_MS:
            return 0
        log.warning("clock_set", by_ms=by_ms, remedy="let the machine's time service slew it")
        return by_ms

    def _apart(self) -> int:
        return self._clock.wall_ns() - self._clock.now_ns()
