"""Publishes counts once a second that other parts only keep, and each SIP message as it passes."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection

import structlog

from bridge.app.watches.clocks import AudioWatch, WallClockWatch
from bridge.app.watches.troubles import Troubles
from bridge.clock import NS_PER_MS, Clock
from bridge.descriptors import none_left
from bridge.live.call import CallRunner
from bridge.store.calls import CallStore
from bridge.telemetry.labels import SipDirection
from bridge.telemetry.logs import lines_left_out
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.metrics.sip import SipMetrics
from bridge.telephony.pump import Pump
from bridge.telephony.sip_messages import SipMessage

log = structlog.get_logger(__name__)

_EVERY_S = 1.0


class Counts:
    """Turns counts since the start into metrics.

    Args:
        metrics: where to.
        pump, store: what counts.
        clock: whose wall time is looked after.
        troubles: where to say that Redis is away.
        audio: looks at the audio clock.
        calls: those that go on now; read anew each time.
        ping_interval_s: how often a session pings, so how often its round trip is new.
    """

    def __init__(
        self,
        metrics: Metrics,
        pump: Pump,
        store: CallStore,
        clock: Clock,
        troubles: Troubles,
        audio: AudioWatch,
        calls: Collection[CallRunner],
        *,
        ping_interval_s: float,
    ) -> None:
        self._metrics = metrics
        self._pump = pump
        self._store = store
        self._wall_clock = WallClockWatch(clock)
        self._troubles = troubles
        self._audio = audio
        self._calls = calls
        self._rounds_a_ping = max(1, round(ping_interval_s / _EVERY_S))
        self._round = 0
        self._overruns = self._late_blocks = self._stalls = self._dropped = self._swept = 0
        self._left_out: Counter[str] = Counter()
        self._emptied = 0

    async def keep_publishing(self) -> None:
        """Publish for ever; cancel to end."""
        while True:
            await asyncio.sleep(_EVERY_S)
            self._publish_media()
            self._publish_store()
            self._publish_log()
            self._publish_descriptors()
            if self._wall_clock.look():
                self._metrics.node.clock_set()
            self._round += 1
            if self._round % self._rounds_a_ping == 0:
                self._publish_round_trips()

    def _publish_media(self) -> None:
        stats = self._pump.stats
        if stats.overruns > self._overruns:
            log.warning("caller_audio_lost", overruns=stats.overruns - self._overruns)
        self._metrics.media.overrun(stats.overruns - self._overruns)
        self._metrics.media.late_blocks(stats.late_blocks - self._late_blocks)
        self._overruns, self._late_blocks = stats.overruns, stats.late_blocks
        if stats.clock_stalls > self._stalls:
            log.warning("audio_clock_stalled", stalls=stats.clock_stalls - self._stalls)
        self._metrics.media.clock_stalls(stats.clock_stalls - self._stalls)
        self._stalls = stats.clock_stalls
        self._audio.look(stats.clock_still_ms)

    def _publish_store(self) -> None:
        stats = self._store.stats
        self._metrics.store.set_pending(stats.pending)
        self._metrics.store.set_away(stats.trouble)
        self._metrics.store.dropped(stats.dropped - self._dropped)
        self._metrics.store.swept(stats.swept - self._swept)
        self._metrics.store.emptied(stats.emptied - self._emptied)
        self._dropped, self._swept, self._emptied = stats.dropped, stats.swept, stats.emptied
        away = None if stats.trouble is None else f"Redis is away: {stats.trouble}"
        self._troubles.put("redis", away)

    def _publish_descriptors(self) -> None:
        used_up = none_left()
        self._metrics.node.set_descriptors_used_up(used_up=used_up)
        words = "no file descriptor left: new calls are refused" if used_up else None
        if self._troubles.put("no descriptor", words) and used_up:
            log.error("descriptors_used_up", remedy="raise the limit of open files; find the leak")

    def _publish_log(self) -> None:
        left_out = Counter(lines_left_out())
        for level, lines in (left_out - self._left_out).items():
            self._metrics.log_lines_left_out(level, lines)
        self._left_out = left_out

    def _publish_round_trips(self) -> None:
        for call in self._calls:
            round_trip_ms = call.round_trip_ms
            if round_trip_ms is not None:
                self._metrics.upstream.pong(call.arm, round(round_trip_ms * NS_PER_MS))


def message_counter(
    trunk_of: Callable[[str], str], metrics: SipMetrics
) -> Callable[[SipMessage, bool], None]:
    """Make what counts SIP messages by their trunk: given one, and whether we sent it."""

    def count(message: SipMessage, sent: bool) -> None:
        direction = SipDirection.OUT if sent else SipDirection.IN
        trunk = trunk_of(message.far_end)
        if message.code:
            metrics.response(direction, message.method, message.code, trunk=trunk)
        else:
            metrics.request(direction, message.method, trunk=trunk)

    return count
