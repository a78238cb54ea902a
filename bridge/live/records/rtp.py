"""Records a call's RTP at its end: losses, and the quality estimated from them."""

from bridge.live.records.summary import CallSummary
from bridge.telemetry.labels import SipDirection
from bridge.telemetry.metrics import RtpSummary
from bridge.telemetry.metrics.media import MediaMetrics
from bridge.telemetry.quality import estimated_mos
from bridge.telephony.rtp_stats import RtpDirection, RtpStats


def put_down_rtp(rtp: RtpStats, summary: CallSummary, metrics: MediaMetrics) -> None:
    """Sum up the RTP of a call that is over."""
    for direction, figures in ((SipDirection.IN, rtp.received), (SipDirection.OUT, rtp.sent)):
        mos = _mos(figures, rtp.one_way_ms)
        summary.mos[direction.value] = mos
        metrics.rtp_ended(
            RtpSummary(
                direction, figures.packets, figures.lost, figures.late, figures.jitter_ns, mos
            )
        )


def _mos(figures: RtpDirection, one_way_ms: float) -> float | None:
    """Estimate a direction's MOS; None where nothing is known of it."""
    expected = figures.packets + figures.lost
    if not expected:
        return None
    return round(estimated_mos((figures.lost + figures.late) / expected, one_way_ms), 2)
