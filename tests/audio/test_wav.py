"""WAV files: what we write others read, and the other way round; bad files are named."""

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bridge.audio import g711
from bridge.audio.wav import WavWriter, read_speech, read_wav, write_wav
from bridge.errors import ConfigError, InfrastructureError
from tests.audio.signals import level_at_db, noise, tone


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def fmt(tag: int, channels: int, rate_hz: int, bits: int) -> tuple[bytes, bytes]:
    frame_bytes = channels * bits // 8
    return b"fmt ", struct.pack(
        "<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "call.wav"


def stereo(frames: int) -> NDArray[np.int16]:
    return noise(2 * frames, seed=frames).reshape(frames, 2)


def test_written_file_is_read_by_the_standard_library(path: Path) -> None:
    samples = stereo(1000)
    write_wav(path, samples, 8_000)
    with wave.open(str(path), "rb") as reader:
        assert reader.getnchannels() == 2
        assert reader.getframerate() == 8_000
        assert reader.getsampwidth() == 2
        assert reader.readframes(5000) == samples.tobytes()


def test_file_of_the_standard_library_is_read(path: Path) -> None:
    samples = stereo(500)
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(2)
        writer.setframerate(24_000)
        writer.setsampwidth(2)
        writer.writeframes(samples.tobytes())
    back, rate_hz = read_wav(path)
    assert rate_hz == 24_000
    np.testing.assert_array_equal(back, samples)


def test_one_dimensional_samples_are_one_channel(path: Path) -> None:
    write_wav(path, tone(440, 8_000, 100), 8_000)
    assert read_wav(path)[0].shape == (100, 1)


def test_file_is_whole_up_to_the_last_second_without_close(path: Path) -> None:
    writer = WavWriter(path, 2, 8_000)
    samples = stereo(160)
    for _ in range(130):
        writer.append(samples)
    # As a process that dies now leaves it: the writer's buffer never reaches the disk.
    with wave.open(str(path), "rb") as reader:
        assert reader.getnframes() == 130 * 160 - 130 * 160 % 8_000
        assert reader.readframes(160) == samples.tobytes()
    writer.close()
    assert read_wav(path)[0].shape == (130 * 160, 2)


def test_file_is_valid_before_the_first_sample(path: Path) -> None:
    writer = WavWriter(path, 1, 8_000)
    assert read_wav(path)[0].shape == (0, 1)
    writer.close()
    writer.close()


def test_writer_refuses_other_shapes_and_use_after_close(path: Path) -> None:
    with WavWriter(path, 2, 8_000) as writer:
        for wrong in (np.zeros((4, 1), np.int16), np.zeros(4, np.int16)):
            with pytest.raises(ValueError, match=r"\(n, 2\) int16 expected"):
                writer.append(wrong)
    with pytest.raises(ValueError, match="closed"):
        writer.append(stereo(1))


@pytest.mark.parametrize(("channels", "rate_hz"), [(0, 8_000), (1, 0)])
def test_writer_refuses_an_impossible_format(path: Path, channels: int, rate_hz: int) -> None:
    with pytest.raises(ValueError, match="a WAV file of"):
        WavWriter(path, channels, rate_hz)


def test_writer_names_the_file_that_it_cannot_open(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"absent/a\.wav"):
        WavWriter(tmp_path / "absent" / "a.wav", 1, 8_000)


@pytest.mark.parametrize(("tag", "law"), [(7, g711.Law.PCMU), (6, g711.Law.PCMA)])
def test_g711_files_are_read(path: Path, tag: int, law: g711.Law) -> None:
    x = tone(1000, 8_000, 801)
    payload = g711.encode(law, x)
    path.write_bytes(riff(fmt(tag, 1, 8_000, 8), (b"fact", b"\0" * 4), (b"data", payload)))
    samples, rate_hz = read_wav(path)
    assert rate_hz == 8_000
    np.testing.assert_array_equal(samples[:, 0], g711.decode(law, payload))


def test_extensible_pcm_and_odd_chunks_are_read(path: Path) -> None:
    x = stereo(10)
    guid_tail = bytes.fromhex("000000001000800000aa00389b71")
    name, head = fmt(0xFFFE, 2, 48_000, 16)
    extension = struct.pack("<HHIH", 22, 16, 3, 1) + guid_tail
    path.write_bytes(riff((b"LIST", b"odd"), (name, head + extension), (b"data", x.tobytes())))
    np.testing.assert_array_equal(read_wav(path)[0], x)


@pytest.mark.parametrize("claimed_bytes", [0xFFFF_FFFF, 1000])
def test_file_cut_short_is_read_as_far_as_it_goes(path: Path, claimed_bytes: int) -> None:
    x = stereo(10)
    head = riff(fmt(1, 2, 8_000, 16)) + b"data" + struct.pack("<I", claimed_bytes)
    path.write_bytes(head + x.tobytes()[:-3])
    np.testing.assert_array_equal(read_wav(path)[0], x[:9])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a WAV file"),
        (b"OggS" + b"\0" * 40, "not a WAV file"),
        (riff(), "without a format or data chunk"),
        (riff(fmt(1, 1, 8_000, 16)), "without a format or data chunk"),
        (riff((b"fmt ", b"\1\0"), (b"data", b"")), "format chunk is cut"),
        (riff(fmt(1, 0, 8_000, 16), (b"data", b"")), "0 channels"),
        (riff(fmt(1, 1, 0, 16), (b"data", b"")), "0 Hz"),
        (riff(fmt(1, 1, 8_000, 24), (b"data", b"")), "24 bits in format 0x0001"),
        (riff(fmt(3, 1, 8_000, 32), (b"data", b"")), "32 bits in format 0x0003"),
    ],
)
def test_bad_file_is_refused_by_name(path: Path, content: bytes, complaint: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_wav(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.remedy


def test_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.wav: can't read the WAV file: No such file"):
        read_wav(tmp_path / "absent.wav")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_samples_or_a_config_error(path: Path, tail: bytes, with_fmt: bool) -> None:
    start = riff(fmt(1, 2, 8_000, 16)) if with_fmt else b"RIFF\0\0\0\0WAVE"
    path.write_bytes(start + tail)
    try:
        samples, rate_hz = read_wav(path)
    except ConfigError:
        return
    assert samples.ndim == 2
    assert samples.dtype == np.int16
    assert rate_hz > 0


def test_speech_is_mono_at_the_wanted_rate(path: Path) -> None:
    left = tone(440, 22_050, 22_050, 8000.0)
    write_wav(path, np.stack([left, left], axis=1), 22_050)
    speech = read_speech(path, 8_000)
    assert speech.shape == (8_000,)
    assert level_at_db(speech, 440, 8_000) == pytest.approx(20 * np.log10(8000), abs=0.1)


def test_speech_averages_the_channels(path: Path) -> None:
    left = np.array([32767, -32768, 10], np.int16)
    right = np.array([32767, -32768, -10], np.int16)
    write_wav(path, np.stack([left, right], axis=1), 8_000)
    assert read_speech(path, 8_000).tolist() == [32767, -32768, 0]


def test_speech_without_samples_is_refused(path: Path) -> None:
    write_wav(path, np.zeros(0, np.int16), 8_000)
    with pytest.raises(ConfigError, match="holds no samples"):
        read_speech(path, 8_000)


def test_speech_of_an_odd_rate_is_refused(path: Path) -> None:
    write_wav(path, np.zeros(10, np.int16), 8_001)
    with pytest.raises(ConfigError, match="8001 Hz to 8000 Hz"):
        read_speech(path, 8_000)
