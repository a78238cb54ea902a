"""Records a call's RTP at its end: losses, and the quality estimated from them.

The estimate is the E-model of ITU-T G.107 reduced to what a gateway can see, for G.711 with packet
loss concealment (`NEEDS.md` section 3). An estimate: say so wherever it is shown.
"""

from bridge.live.records.summary import CallSummary
from bridge.telemetry.labels import SipDirection
from bridge.telemetry.metrics import RtpSummary
from bridge.telemetry.metrics.media import MediaMetrics
from bridge.telephony.rtp_stats import RtpDirection, RtpStats

_R_MAX = 93.2
_BPL = 25.1
"""Robustness of G.711 with concealment against random loss (ITU-T G.113 appendix I)."""


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


def estimated_mos(loss_ratio: float, one_way_ms: float) -> float:
    """Estimate the mean opinion score, 1 to 4.5.

    Args:
        loss_ratio: packets lost or too late to play, 0 to 1.
        one_way_ms: mouth to ear, jitter buffer included.
    """
    delay = 0.024 * one_way_ms + 0.11 * max(one_way_ms - 177.3, 0.0)
    loss_percent = 100 * min(max(loss_ratio, 0.0), 1.0)
    r = _R_MAX - delay - 95 * loss_percent / (loss_percent + _BPL)
    r = max(r, 0.0)
    mos = 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r)
    return min(max(mos, 1.0), 4.5)  # the polynomial dips below 1 for the smallest r
