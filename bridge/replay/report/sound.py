"""A call's audio as the report carries it: its outline, and its sound, small enough to embed."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.audio.stdlib_audioop import audioop
from bridge.audio.wav import read_wav

_SAMPLE_BYTES = 2

_BLOCK, _LEAST_GAP = 160, 800
"""Samples: silence is looked for in steps of 20 ms, and what is shorter than 100 ms is kept."""
_QUIETEST_FULL_SCALE = 3277
"""A call is drawn with its loudest moment as high as the lane, but its noise is not blown up
beyond tenfold."""

LANE_UNITS = 200
"""Height of a lane in the units of its path."""

_PX_PER_BIN = 2


@dataclass(slots=True)
class AudioBudget:
    """Counts how much audio still goes into the page.

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
class RecordingInPage:
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
        data: :func:`pack`; None where the page has no room for it.
        link: to the file, from the page.
    """

    length_ms: float
    width_px: float
    bins: int
    paths: tuple[str, ...]
    data: str | None
    link: str


def read_recording(path: Path, link: str) -> RecordingInPage:
    """Read a call's audio.

    Raises:
        ConfigError: it is not there, or no WAV file.
    """
    lanes, rate_hz = read_wav(path)
    return RecordingInPage(lanes, rate_hz, link)


def make_sound(recording: RecordingInPage, px_per_s: float, budget: AudioBudget) -> Sound:
    """Draw a recording to a scale, and pack it if there is room."""
    width_px = recording.length_ms * px_per_s / 1000
    bins = max(1, round(width_px / _PX_PER_BIN))
    data = pack(recording.lanes, recording.rate_hz)
    return Sound(
        recording.length_ms,
        round(width_px, 1),
        bins,
        tuple(as_path(peaks) for peaks in outline(recording.lanes, bins)),
        data if budget.take(len(data)) else None,
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


def as_path(peaks: Sequence[int]) -> str:
    """Return an outline as an SVG path that is mirrored at the middle of its lane.

    Args:
        peaks: 0 to 100, one a unit of width; the lane has :data:`LANE_UNITS`.
    """
    half = LANE_UNITS // 2
    # A call is mostly silence, which is one step however long it is.
    steps = [(max(1, peak), len(list(same))) for peak, same in groupby(peaks)]
    tops = [f"V{half - height}h{width}" for height, width in steps]
    bottoms = [f"V{half + height}h-{width}" for height, width in reversed(steps)]
    return f"M0,{half}{''.join([*tops, *bottoms])}Z" if steps else ""


def pack(lanes: NDArray[np.int16], rate_hz: int) -> str:
    """Encode a call to be decoded by the page: JSON text, a sixth of the WAV file or less.

    ``{"hz", "samples", "lanes": [[[start, data], ...], ...]}``: of each lane the pieces in which
    there is sound, by their first sample, as IMA ADPCM in base64; between them all is zero. That is
    the 32 kbit/s of a telephone trunk (G.726); of what was sent as G.711, nothing that matters to a
    listener is lost, and no sample is moved.

    Args:
        lanes: (n, channels) int16.
        rate_hz: of the lanes.
    """
    packed = [
        [
            [start, b64encode(encode_adpcm(lane[start:stop])).decode("ascii")]
            for start, stop in sounding(lane)
        ]
        for lane in lanes.T
    ]
    document = {"hz": rate_hz, "samples": len(lanes), "lanes": packed}
    return json.dumps(document, separators=(",", ":"))


def sounding(lane: NDArray[np.int16]) -> list[tuple[int, int]]:
    """Return where a lane holds more than zeros: first samples, and those behind the last.

    Args:
        lane: (n,) int16.
    """
    blocks = -(-lane.size // _BLOCK)
    padded = np.pad(lane, (0, blocks * _BLOCK - lane.size)).reshape(blocks, _BLOCK)
    sounds = np.concatenate(([0], padded.any(axis=1), [0]))
    edges = np.flatnonzero(np.diff(sounds)) * _BLOCK
    found: list[tuple[int, int]] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if found and start - found[-1][1] < _LEAST_GAP:
            start = found.pop()[0]
        found.append((start, min(stop, lane.size)))
    return found


def encode_adpcm(samples: NDArray[np.int16]) -> bytes:
    """Compress (n,) int16 samples to n / 2 bytes of IMA ADPCM, the first of two in the high half.

    The predictor and the step begin at 0. An odd last sample is followed by a silent one.

    Raises:
        ValueError: another dtype.
    """
    if samples.dtype != np.int16:
        raise ValueError(f"samples of dtype {samples.dtype}; int16 expected")
    even = np.pad(samples, (0, samples.size % 2))
    encoded, _ = audioop.lin2adpcm(even.tobytes(), _SAMPLE_BYTES, None)
    return encoded
