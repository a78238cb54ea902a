"""The quality of a call's audio as an estimated MOS. Pure.

The E-model of ITU-T G.107 reduced to what a gateway can see, for G.711 with packet loss concealment
(`NEEDS.md` section 3). An estimate: say so wherever it is shown.
"""

_R_MAX = 93.2
_BPL = 25.1
"""Robustness of G.711 with concealment against random loss (ITU-T G.113 appendix I)."""


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
