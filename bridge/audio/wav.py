"""WAV files: 16-bit PCM in and out, G.711 in.

Everything here blocks on the disk: on the gateway's loop it belongs in a worker thread. Arrays are
(n, channels) int16; channel 0 is left.
"""

import contextlib
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bridge.audio import g711
from bridge.audio.resample import resample_rational
from bridge.errors import ConfigError, InfrastructureError

_FORMAT_PCM = 0x0001
_FORMAT_EXTENSIBLE = 0xFFFE
# Format tags of RFC 2361 appendix A.
_LAWS = {0x0006: g711.Law.PCMA, 0x0007: g711.Law.PCMU}
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FORMAT_CHUNK = struct.Struct("<HHIIHH")
_CHUNK = struct.Struct("<4sI")
_RIFF_HEAD_BYTES = 12
_RIFF_SIZE_AT = 4
_DATA_SIZE_AT = _HEADER.size - 4
_SAMPLE_BYTES = 2
_LARGEST_SIZE = 0xFFFF_FFFF
_REMEDY = "convert it to a 16-bit PCM WAV file"


@dataclass(frozen=True, slots=True)
class _Format:
    tag: int
    channels: int
    rate_hz: int
    bits: int


def read_wav(path: str | os.PathLike[str]) -> tuple[NDArray[np.int16], int]:
    """Read a WAV file of 16-bit PCM, mu-law or A-law.

    A file whose writer died is read as far as it goes.

    Args:
        path: the file.

    Returns:
        (n, channels) int16 and the rate in Hz.

    Raises:
        ConfigError: the file can't be read, is not WAV, or holds another encoding.
    """
    name = os.fspath(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"can't read the WAV file: {error.strerror}", path=name, remedy="check the path"
        ) from error
    if content[:4] != b"RIFF" or content[8:_RIFF_HEAD_BYTES] != b"WAVE":
        raise ConfigError("not a WAV file", path=name, remedy=_REMEDY)
    chunks = _split_chunks(content)
    if b"fmt " not in chunks or b"data" not in chunks:
        raise ConfigError("a WAV file without a format or data chunk", path=name, remedy=_REMEDY)
    wav_format = _decode_format(chunks[b"fmt "], name)
    samples = _decode_samples(wav_format, chunks[b"data"], name)
    frames = samples.size // wav_format.channels
    return samples[: frames * wav_format.channels].reshape(
        frames, wav_format.channels
    ), wav_format.rate_hz


def read_speech(path: str | os.PathLike[str], rate_hz: int) -> NDArray[np.int16]:
    """Read a WAV file as one channel at the wanted rate; channels are averaged.

    Args:
        path: the file.
        rate_hz: wanted rate.

    Returns:
        (n,) int16 at ``rate_hz``.

    Raises:
        ConfigError: as :func:`read_wav`, or a file without samples, or of a rate that has no usable
            ratio to ``rate_hz``.
    """
    samples, file_hz = read_wav(path)
    if samples.shape[0] == 0:
        raise ConfigError("the WAV file holds no samples", path=os.fspath(path))
    mono = np.rint(samples.mean(axis=1)).astype(np.int16)
    try:
        return resample_rational(mono, file_hz, rate_hz)
    except ValueError as error:
        raise ConfigError(
            f"can't bring the WAV file to {rate_hz} Hz: {error}",
            path=os.fspath(path),
            remedy="convert it to 8, 16, 24 or 48 kHz",
        ) from error


def write_wav(path: str | os.PathLike[str], samples: NDArray[np.int16], rate_hz: int) -> None:
    """Write a whole WAV file of 16-bit PCM.

    Args:
        path: the file; what was there is replaced.
        samples: (n, channels) or (n,) int16.
        rate_hz: rate of the samples.

    Raises:
        InfrastructureError: the file can't be opened.
        ValueError: another shape or dtype.
    """
    channels = samples.shape[1] if samples.ndim == 2 else 1
    with WavWriter(path, channels, rate_hz) as writer:
        writer.append(samples.reshape(-1, 1) if samples.ndim == 1 else samples)


class WavWriter:
    """A 16-bit PCM WAV file that grows.

    The header's sizes are brought up to date after each second of audio, data first, so a process
    that dies leaves a file that any player opens, short of at most the last second. Until it is
    closed, or its process has died, the file has a shared lock (`flock`): whoever gets an exclusive
    one knows that it is whole.

    Args:
        path: the file; what was there is replaced.
        channels: samples in a frame.
        rate_hz: rate of the frames.

    Raises:
        InfrastructureError: the file can't be opened.
        ValueError: no channels or no rate.
    """

    def __init__(self, path: str | os.PathLike[str], channels: int, rate_hz: int) -> None:
        if channels < 1 or rate_hz < 1:
            raise ValueError(f"a WAV file of {channels} channels at {rate_hz} Hz")
        self.path = Path(path)
        self.channels = channels
        self.rate_hz = rate_hz
        self.frames = 0
        self._frames_in_header = 0
        try:
            self._file = self.path.open("wb")
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(self._file, fcntl.LOCK_SH)
            try:
                self._file.write(_encode_header(channels, rate_hz))
                self._file.flush()
            except OSError:
                with contextlib.suppress(OSError):  # what is buffered finds no room again
                    self._file.close()
                raise
        except OSError as error:
            raise InfrastructureError(
                f"can't write the WAV file {self.path}: {error.strerror}",
                remedy="check the folder, its permissions and the room on its disk",
            ) from error

    def append(self, samples: NDArray[np.int16]) -> None:
        """Add (n, channels) int16 frames.

        Raises:
            ValueError: another shape or dtype, or the writer is closed.
            OSError: the disk refused.
        """
        if samples.ndim != 2 or samples.shape[1] != self.channels or samples.dtype != np.int16:
            raise ValueError(
                f"samples of shape {samples.shape} and dtype {samples.dtype}; "
                f"(n, {self.channels}) int16 expected"
            )
        self._file.write(samples.astype("<i2", copy=False).tobytes())
        self.frames += samples.shape[0]
        if self.frames - self._frames_in_header >= self.rate_hz:
            self._patch_header()

    def close(self) -> None:
        """Write the final sizes and close the file; doing so twice is fine."""
        if self._file.closed:
            return
        try:
            self._patch_header()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _patch_header(self) -> None:
        self._file.flush()
        data_bytes = self.frames * self.channels * _SAMPLE_BYTES
        for at, size in (
            (_RIFF_SIZE_AT, data_bytes + _HEADER.size - 8),
            (_DATA_SIZE_AT, data_bytes),
        ):
            self._file.seek(at)
            self._file.write(struct.pack("<I", min(size, _LARGEST_SIZE)))
        self._file.seek(0, os.SEEK_END)
        self._file.flush()
        self._frames_in_header = self.frames


def _encode_header(channels: int, rate_hz: int) -> bytes:
    frame_bytes = channels * _SAMPLE_BYTES
    return _HEADER.pack(
        b"RIFF",
        _HEADER.size - 8,
        b"WAVE",
        b"fmt ",
        _FORMAT_CHUNK.size,
        _FORMAT_PCM,
        channels,
        rate_hz,
        rate_hz * frame_bytes,
        frame_bytes,
        8 * _SAMPLE_BYTES,
        b"data",
        0,
    )


def _split_chunks(content: bytes) -> dict[bytes, bytes]:
    """Return the first chunk of each name, a cut one as far as it goes."""
    chunks: dict[bytes, bytes] = {}
    at = _RIFF_HEAD_BYTES
    while at + _CHUNK.size <= len(content):
        name, size = _CHUNK.unpack_from(content, at)
        at += _CHUNK.size
        chunks.setdefault(name, content[at : at + size])
        at += size + size % 2
    return chunks


def _decode_format(chunk: bytes, name: str) -> _Format:
    if len(chunk) < _FORMAT_CHUNK.size:
        raise ConfigError("a WAV file whose format chunk is cut", path=name, remedy=_REMEDY)
    tag, channels, rate_hz, _, _, bits = _FORMAT_CHUNK.unpack_from(chunk)
    if tag == _FORMAT_EXTENSIBLE and len(chunk) >= 26:
        # The real tag is the head of the sub-format GUID, after size, valid bits and channel mask.
        (tag,) = struct.unpack_from("<H", chunk, 24)
    if channels == 0 or rate_hz == 0:
        raise ConfigError(
            f"a WAV file of {channels} channels at {rate_hz} Hz", path=name, remedy=_REMEDY
        )
    return _Format(tag, channels, rate_hz, bits)


def _decode_samples(wav_format: _Format, data: bytes, name: str) -> NDArray[np.int16]:
    law = _LAWS.get(wav_format.tag)
    if law is not None and wav_format.bits == 8:
        return g711.decode(law, data)
    if wav_format.tag == _FORMAT_PCM and wav_format.bits == 8 * _SAMPLE_BYTES:
        whole_bytes = len(data) - len(data) % _SAMPLE_BYTES
        return np.frombuffer(data[:whole_bytes], dtype="<i2").astype(np.int16)
    raise ConfigError(
        f"a WAV file of {wav_format.bits} bits in format 0x{wav_format.tag:04x}",
        path=name,
        remedy=_REMEDY,
    )
