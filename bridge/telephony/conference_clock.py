"""Estimates when PJSIP's conference ticked, by the samples that it has counted."""

from bridge.clock import NS_PER_S
from bridge.telephony.ports import RATE_HZ

_WINDOW_NS = NS_PER_S


class ConferenceClock:
    """Says when the conference's last tick was, from readings that come some time after it.

    Ticks are evenly spaced, so the reading that came soonest after its tick tells where all of them
    lie: a late loop doesn't make audio look young. It is the soonest of the last second or two, so
    that a clock that jumped (the process was stopped) is followed. Resolution: one tick of ours.
    """

    def __init__(self) -> None:
        self._origins_ns: tuple[int, int] | None = None
        self._window_ends_ns = 0

    def feed(self, samples: int, now_ns: int) -> int:
        """Return when the tick was that made the count ``samples``, by a reading at ``now_ns``."""
        ticks_ns = samples * NS_PER_S // RATE_HZ
        origin_ns = now_ns - ticks_ns
        before_ns, current_ns = self._origins_ns or (origin_ns, origin_ns)
        if now_ns >= self._window_ends_ns:
            before_ns, current_ns = current_ns, origin_ns
            self._window_ends_ns = now_ns + _WINDOW_NS
        current_ns = min(current_ns, origin_ns)
        self._origins_ns = before_ns, current_ns
        return ticks_ns + min(before_ns, current_ns)
