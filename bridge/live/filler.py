"""The sound of the filler: a soft tone, then a pause. 24 kHz 16-bit mono PCM, made once."""

import functools

import numpy as np

from bridge.realtime.ids import ItemId

FILLER_ITEM = ItemId("bridge_filler")
"""The item under which it plays: ours, unknown to every session."""

RATE_HZ = 24_000
TONE_MS = 300
PAUSE_MS = 900
"""Tone and pause together stay well under the 2 s that are dead air (`NEEDS.md` section 5)."""

_TONE_HZ = 440.0
_PEAK = 2600
"""-25 dBFS RMS: softer than speech, well above the noise of a line."""
_FADE_MS = 60


@functools.cache
def filler_audio(*, pause: bool) -> bytes:
    """Return one tone, fading in and out.

    Args:
        pause: with the silence behind it.
    """
    samples = RATE_HZ * TONE_MS // 1000
    fade_samples = RATE_HZ * _FADE_MS // 1000
    place = np.arange(samples)
    edge = np.minimum(place, place[::-1]) / fade_samples
    tone = _PEAK * np.clip(edge, 0, 1) * np.sin(2 * np.pi * _TONE_HZ * place / RATE_HZ)
    silence = np.zeros(RATE_HZ * PAUSE_MS // 1000 if pause else 0)
    return np.concatenate([tone, silence]).astype("<i2").tobytes()
