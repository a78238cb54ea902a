"""A browser's side of a supervisor's audio (:mod:`bridge.audio.supervisor_frames`)."""

import struct

import numpy as np

from bridge.audio.supervisor_frames import ListenFrame, TalkFrame

_HEADER = struct.Struct("<II")


def decode_listen(message: bytes) -> ListenFrame:
    """Read a message as the browser does."""
    sequence, at_ms = _HEADER.unpack_from(message)
    samples = np.frombuffer(message, dtype="<i2", offset=_HEADER.size)
    return ListenFrame(sequence, at_ms, samples.reshape(-1, 2).astype(np.int16))


def encode_talk(frame: TalkFrame) -> bytes:
    """Write a message as the browser does."""
    return _HEADER.pack(frame.sequence, frame.at_ms) + frame.audio
