"""Watches two clocks: PJSIP's of the audio, which may stop, and the wall's, which may be set.

Out of memory, PJSIP's audio thread may fail at every frame while the rest of the process runs on:
calls are answered, and their callers hear nothing. Only a restart mends that.
"""

from collections.abc import Callable, Iterable

import structlog

from bridge.app.watches.troubles import Troubles
from bridge.clock import NS_PER_MS, Clock
from bridge.live.call import CallRunner
from bridge.telemetry.metrics.media import MediaMetrics

log = structlog.get_logger(__name__)

STILL_MS = 2_000
"""No busy machine's any more."""

SURE_AFTER, ENDS_AFTER = 2, 8
"""Looks at which it stood still: a process that was stopped finds its clock so for one moment. Then
new calls are refused, and at last those that go on are ended."""


SET_MS = 1_000
"""Time services slew a clock by half a millisecond a second; what jumps so far was set."""


class AudioWatch:
    """Looks at the audio clock once a second.

    Args:
        calls: gives those that go on.
        metrics, troubles: where to say so.

    Attributes:
        stopped: it stands still for good; without calls nobody can see it move again.
    """

    def __init__(
        self,
        calls: Callable[[], Iterable[CallRunner]],
        metrics: MediaMetrics,
        troubles: Troubles,
    ) -> None:
        self.stopped = False
        self._calls = calls
        self._metrics = metrics
        self._troubles = troubles
        self._looks = 0

    def look(self, still_ms: int) -> None:
        """Take for how long the clock has stood still by now."""
        self._metrics.clock_still(still_ms)
        calls = list(self._calls())
        if still_ms >= STILL_MS:
            self._looks += 1
        elif calls and not still_ms:
            self._looks = 0
        self._judge()
        if self._looks >= ENDS_AFTER:
            for call in calls:
                call.audio_stopped(still_ms)

    def _judge(self) -> None:
        stopped = self._looks >= SURE_AFTER
        if stopped == self.stopped:
            return
        self.stopped = stopped
        words = "the audio clock stands still: callers hear nothing" if stopped else None
        self._troubles.put("audio", words)
        if stopped:
            log.critical("audio_stopped", remedy="restart the node; look at its memory")
        else:
            log.warning("audio_goes_on")


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
