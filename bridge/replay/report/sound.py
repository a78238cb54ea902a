"""A call's audio as the report carries it: its outline, and a WAV file small enough to embed."""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.audio import g711
from bridge.audio.wav import read_wav

_MULAW = 0x0007
_FORMAT = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")
_QUIETEST_FULL_SCALE = 3277
"""A call is drawn with its loudest moment as high as the lane, but its noise is not blown up
beyond tenfold."""

LANE_UNITS = 100
"""Height of a lane in the units of its path."""

_PX_PER_BIN = 2


@dataclass(slots=True)
class Budget:
    """How much audio still goes into the page.

    Attributes:
        left_out: calls whose audio didn't.
    """

    bytes_left: int
    left_out: int = 0

    def take(self, size: int) -> bool:
        """Reserve room; False where there is not enough."""
        if size > self.bytes_left:
            self.left_out += 1
            return False
        self.bytes_left -= size
        return True


@dataclass(frozen=True, slots=True)
class Recording:
    """A call's audio as it was kept.

    Attributes:
        lanes: (n, 2) int16: caller, agent as heard.
        link: to the file, from the page.
    """

    lanes: NDArray[np.int16]
    rate_hz: int
    link: str

    @property
    def length_ms(self) -> float:
        """How long it is."""
        return 1000 * len(self.lanes) / self.rate_hz


@dataclass(frozen=True, slots=True)
class Sound:
    """A call's audio as the page carries it.

    Attributes:
        length_ms: of the audio.
        width_px: of the outlines, under their clock.
        bins: units of width of the outlines' paths.
        paths: SVG paths of the caller's lane and the agent's.
        data: a WAV file in base64; None where the page has no room for it.
        link: to the file, from the page.
    """

    length_ms: float
    width_px: float
    bins: int
    paths: tuple[str, ...]
    data: str | None
    link: str


def read_recording(path: Path, link: str) -> Recording:
    """Read a call's audio.

    Raises:
        ConfigError: it is not there, or no WAV file.
    """
    lanes, rate_hz = read_wav(path)
    return Recording(lanes, rate_hz, link)


def make_sound(recording: Recording, px_per_s: float, budget: Budget) -> Sound:
    """Draw a recording to a scale, and pack it if there is room."""
    width_px = recording.length_ms * px_per_s / 1000
    bins = max(1, round(width_px / _PX_PER_BIN))
    wav = as_mulaw_wav(recording.lanes, recording.rate_hz)
    return Sound(
        recording.length_ms,
        round(width_px, 1),
        bins,
        tuple(as_path(peaks, LANE_UNITS) for peaks in outline(recording.lanes, bins)),
        as_base64(wav) if budget.take(len(wav) * 4 // 3) else None,
        recording.link,
    )


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
