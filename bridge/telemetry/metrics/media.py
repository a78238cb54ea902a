"""Metrics of audio and RTP: losses, lateness, additions, recordings, keys."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bridge.clock import NS_PER_S
from bridge.telemetry.labels import (
    DtmfMethod,
    DtmfResult,
    Path,
    SipDirection,
)
from bridge.telemetry.metrics.families import (
    ADDED_LATENCY_S,
    JITTER_S,
    LOSS_RATIO,
    MOS,
    Families,
    current_call,
)


@dataclass(frozen=True, slots=True)
class RtpSummary:
    """The RTP of a call in one direction, summed up at its end.

    Attributes:
        packets: received (or sent).
        lost: missing by sequence number.
        late: came after their time to play.
        jitter_ns: interarrival jitter (RFC 3550 section 6.4.1).
        mos: estimate from the E-model, 1 to 4.5; None if not known.
    """

    direction: SipDirection
    packets: int
    lost: int
    late: int
    jitter_ns: int
    mos: float | None = None


class MediaMetrics:
    """RTP, playout, digits and what the bridge itself adds to the delay."""

    def __init__(self, make: Families) -> None:
        self._packets = make.counter("rtp_packets_total", "RTP packets.", "direction")
        self._lost = make.counter("rtp_lost_packets_total", "RTP packets lost.", "direction")
        self._late = make.counter("rtp_late_packets_total", "RTP packets too late.", "direction")
        self._jitter = make.histogram(
            "rtp_jitter_seconds", "RFC 3550 jitter of a call.", JITTER_S, "direction"
        )
        self._loss = make.histogram(
            "rtp_loss_ratio", "Packets lost of a call, 0 to 1.", LOSS_RATIO, "direction"
        )
        self._mos = make.histogram("call_mos", "Estimated MOS of a call.", MOS, "direction")
        self._one_way = make.counter(
            "one_way_audio_calls_total", "Calls with audio in one direction only.", "arm"
        )
        self._underruns = make.counter(
            "playout_underruns_total", "Gaps inside the agent's speech.", "arm"
        )
        self.overrun = make.counter(
            "caller_audio_overruns_total", "Caller audio lost: the loop stood still for too long."
        ).inc
        self.clock_stalls = make.counter(
            "audio_thread_overruns_total", "Times that PJSIP's audio clock stood still for 60 ms."
        ).inc
        self._still = make.gauge(
            "audio_clock_still_seconds", "For how long PJSIP's audio clock has stood still by now."
        )
        self.reinvited = make.counter(
            "media_reinvites_total", "Times that a re-INVITE began a call's audio anew, holds too."
        ).inc
        self.late_blocks = make.counter(
            "playout_late_blocks_total", "Agent audio laid after PJSIP had passed its place."
        ).inc
        self._digits = make.counter("dtmf_digits_total", "Keys pressed.", "method", "result")
        self.no_telephone_event = make.counter(
            "calls_without_telephone_event_total", "Calls whose keys can't come as RTP events."
        ).inc
        self._added = make.histogram(
            "added_latency_seconds", "Delay that the bridge adds.", ADDED_LATENCY_S, "arm", "path"
        )
        self.recorder_dropped = make.counter(
            "recorder_dropped_blocks_total", "Audio blocks that missed the recording."
        ).inc
        self._recording_stopped = make.counter(
            "recording_stopped_total", "Recordings that the disk refused in a call.", "reason"
        )
        self._rows = make.gauge("ring_rows_in_use", "Rows of the rings that calls have.")
        self._ports = make.gauge(
            "conference_ports",
            "Ports in PJSIP's conference; without calls as many as the most calls at once made.",
        )
        self._added_by = functools.cache(self._added.labels)

    def watch(self, rows: Callable[[], int], ports: Callable[[], int]) -> None:
        """Count ring rows and conference ports at each scrape: what a call leaves is a leak."""
        self._rows.set_function(rows)
        self._ports.set_function(ports)

    def rtp_ended(self, summary: RtpSummary) -> None:
        """Record one direction of a call's RTP when the call ends."""
        direction = summary.direction
        self._packets.labels(direction).inc(summary.packets)
        self._lost.labels(direction).inc(summary.lost)
        self._late.labels(direction).inc(summary.late)
        self._jitter.labels(direction).observe(
            summary.jitter_ns / NS_PER_S, exemplar=current_call()
        )
        expected = summary.packets + summary.lost
        if expected:
            self._loss.labels(direction).observe(summary.lost / expected, exemplar=current_call())
        if summary.mos is not None:
            self._mos.labels(direction).observe(summary.mos, exemplar=current_call())

    def expect(self, arm: str) -> None:
        """Publish an arm's series before its first call."""
        for family in (self._one_way, self._underruns):
            family.labels(arm)

    def one_way_audio(self, arm: str) -> None:
        """Count a call in which only one side could be heard."""
        self._one_way.labels(arm).inc(exemplar=current_call())

    def underrun(self, arm: str) -> None:
        """Count a gap inside the agent's speech."""
        self._underruns.labels(arm).inc()

    def clock_still(self, ms: int) -> None:
        """Publish for how long PJSIP's audio clock has stood still by now."""
        self._still.set(ms / 1000)

    def digit(self, method: DtmfMethod, result: DtmfResult) -> None:
        """Count a key press."""
        self._digits.labels(method, result).inc()

    def added_latency(self, arm: str, path: Path, added_ns: int) -> None:
        """Observe what the bridge added to one piece of audio's delay."""
        self._added_by(arm, path).observe(added_ns / NS_PER_S)

    def expect_stops(self, reasons: Iterable[str]) -> None:
        """Publish the reasons for which recordings may stop: from 1 on there is no increase."""
        for reason in reasons:
            self._recording_stopped.labels(reason)

    def recording_stopped(self, reason: str) -> None:
        """Count a recording that ended before its call; ``reason`` is a `StopReason`."""
        self._recording_stopped.labels(reason).inc()
