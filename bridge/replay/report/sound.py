"""A call's audio as the report carries it: its outline, and a WAV file small enough to embed."""

import base64
import struct

import numpy as np
from numpy.typing import NDArray

from bridge.audio import g711

_MULAW = 0x0007
_FORMAT = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")
_QUIETEST_FULL_SCALE = 3277
"""A call is drawn with its loudest moment as high as the lane, but its noise is not blown up
beyond tenfold."""


def outline(lanes: NDArray[np.int16], bins: int) -> list[list[int]]:
    """Return how loud each lane is, moment by moment.

    Args:
        lanes: (n, channels) int16.
        bins: moments that the call is cut into.

    Returns:
        A list a channel of ``bins`` peaks, 0 to 100; the lanes have one scale.
    """
    samples, channels = lanes.shape
    per_bin = -(-samples // bins) if samples else 1
    padded = np.zeros((per_bin * bins, channels), dtype=np.int32)
    padded[:samples] = np.abs(lanes.astype(np.int32))
    peaks = padded.reshape(bins, per_bin, channels).max(axis=1)
    loudest = max(_QUIETEST_FULL_SCALE, int(peaks.max(initial=0)))
    scaled: list[list[int]] = np.rint(peaks.T * (100 / loudest)).astype(np.int64).tolist()
    return scaled


def as_path(peaks: list[int], height: int) -> str:
    """Return an outline as an SVG path that is mirrored at the middle of its lane.

    Args:
        peaks: 0 to 100, one a unit of width.
        height: of the lane, in units.
    """
    half = height / 2
    tops = [f"{x},{half - max(0.5, peak * half / 100):.1f}" for x, peak in enumerate(peaks)]
    bottoms = [f"{x},{half + max(0.5, peak * half / 100):.1f}" for x, peak in enumerate(peaks)]
    return f"M{'L'.join([*tops, *reversed(bottoms)])}Z" if peaks else ""


def as_mulaw_wav(lanes: NDArray[np.int16], rate_hz: int) -> bytes:
    """Encode a WAV file of mu-law, half the size of PCM; browsers play it (RFC 2361, tag 7).

    The call went through G.711 already: nothing that could be heard is lost.

    Args:
        lanes: (n, channels) int16.
        rate_hz: of the lanes.
    """
    frames, channels = lanes.shape
    data = g711.encode(g711.Law.PCMU, lanes.reshape(-1))
    size = len(data) + len(data) % 2
    head = _FORMAT.pack(
        *(b"RIFF", _FORMAT.size - 8 + size, b"WAVE"),
        *(b"fmt ", 18, _MULAW, channels, rate_hz, rate_hz * channels, channels, 8, 0),
        *(b"fact", 4, frames),
        *(b"data", len(data)),
    )
    return head + data.ljust(size, b"\xff")


def as_base64(content: bytes) -> str:
    """Return bytes as they stand in a page."""
    return base64.b64encode(content).decode("ascii")
