"""PJSIP's audio clock, seen from the loop: the times of its ticks, and its stalls."""

from bridge.clock import NS_PER_MS, NS_PER_S

STALL_NS = 60 * NS_PER_MS
"""Three frames: a longer gap gets through a jitter buffer of 40 to 80 ms (`NEEDS.md` section 5)."""

_WINDOW_NS = NS_PER_S


class ConferenceClock:
    """Says when the conference's last tick was, from readings that come some time after it.

    Ticks are evenly spaced, so the reading that came soonest after its tick shows where all of them
    lie: a late loop doesn't make audio look young. It is the soonest of the last second or two, so
    that a clock that jumped (the process was stopped) is followed. Resolution: one tick of ours.

    Args:
        rate_hz: of the samples that are counted.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._origins_ns: tuple[int, int] | None = None
        self._window_ends_ns = 0

    def feed(self, samples: int, now_ns: int) -> int:
        """Return when the tick was that made the count ``samples``, by a reading at ``now_ns``."""
        ticks_ns = samples * NS_PER_S // self._rate_hz
        origin_ns = now_ns - ticks_ns
        before_ns, current_ns = self._origins_ns or (origin_ns, origin_ns)
        if now_ns >= self._window_ends_ns:
            before_ns, current_ns = current_ns, origin_ns
            self._window_ends_ns = now_ns + _WINDOW_NS
        current_ns = min(current_ns, origin_ns)
        self._origins_ns = before_ns, current_ns
        return ticks_ns + min(before_ns, current_ns)


class ClockWatch:
    """Watches PJSIP's audio clock, by a position that steps with it.

    Attributes:
        stalls: how often it stood still for :data:`STALL_NS`.
        still_ns: for how long it stands still.
    """

    def __init__(self) -> None:
        self.stalls = 0
        self.still_ns = 0
        self._position = -1
        self._moved_ns = 0
        self._stalled = False

    def forget(self) -> None:
        """Begin anew: another row's position comes next."""
        self._position = -1

    def feed(self, position: int, now_ns: int) -> bool:
        """Return whether the clock has stepped since it was last looked at."""
        if position != self._position:
            if self._position >= 0:  # else nobody knows yet whether it steps
                self.still_ns = 0
            self._position, self._moved_ns, self._stalled = position, now_ns, False
            return True
        self.still_ns = now_ns - self._moved_ns
        if not self._stalled and self.still_ns >= STALL_NS:
            self._stalled = True
            self.stalls += 1
        return False
