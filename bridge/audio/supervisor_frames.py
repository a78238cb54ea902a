"""Audio between a supervisor's browser and the bridge: binary WebSocket messages, little-endian.

    listen, to the browser:   uint32 sequence, uint32 ms since the answer,
                              int16 PCM, stereo (caller, agent as heard), 20 ms:
                              160 samples at 8 kHz, or 320 at 16 kHz
    talk, from the browser:   uint32 sequence, uint32 ms, int16 PCM, 24 kHz, mono, 20 to 100 ms

Sequences grow by one a message, the lost ones counted, so a gap shows how much is missing.
"""

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TALK_HZ = 24_000
FRAME_MS = 20
TALK_BYTES = TALK_HZ * FRAME_MS // 1000 * 2

_HEADER = struct.Struct("<II")
_WRAP = 2**32
_MOST_TALK_FRAMES = 5


class TalkFrame(NamedTuple):
    """What one message from the browser holds; ``audio`` is 24 kHz 16-bit mono PCM."""

    sequence: int
    at_ms: int
    audio: bytes


class ListenFrame(NamedTuple):
    """What one message to the browser holds; ``stereo`` is (n, 2) int16, 20 ms."""

    sequence: int
    at_ms: int
    stereo: npt.NDArray[np.int16]


def encode_listen(frame: ListenFrame) -> bytes:
    """Write a message to the browser."""
    header = _HEADER.pack(frame.sequence % _WRAP, frame.at_ms % _WRAP)
    return header + frame.stereo.astype("<i2").tobytes()


def decode_talk(message: bytes) -> TalkFrame:
    """Read a message from the browser.

    Raises:
        ValueError: it is none.
    """
    audio_bytes = len(message) - _HEADER.size
    frames, rest = divmod(audio_bytes, TALK_BYTES)
    if rest or not 1 <= frames <= _MOST_TALK_FRAMES:
        raise ValueError(
            f"a message of {len(message)} bytes: {_HEADER.size} and 1 to {_MOST_TALK_FRAMES} times"
            f" {TALK_BYTES} expected"
        )
    sequence, at_ms = _HEADER.unpack_from(message)
    return TalkFrame(sequence, at_ms, message[_HEADER.size :])
