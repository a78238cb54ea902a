"""Formats of a session's audio: bytes into the ring's samples and back."""

import numpy as np
import pytest

from bridge.audio import g711
from bridge.audio.formats import (
    FromRing,
    ToRing,
    converted,
    decode_samples,
    encode_samples,
    silence_of,
)
from bridge.realtime.session_config import AudioFormat
from tests.audio.signals import level_at_db, loudest_other_db, tone

LAWS = {AudioFormat.PCMU: g711.Law.PCMU, AudioFormat.PCMA: g711.Law.PCMA}


@pytest.mark.parametrize("audio_format", LAWS)
def test_tables_are_the_standard_library_s_g711(audio_format: AudioFormat) -> None:
    law, codes = LAWS[audio_format], bytes(range(256))
    every = np.arange(-32_768, 32_768).astype(np.int16)
    assert encode_samples(audio_format, every) == g711.encode(law, every)
    assert decode_samples(audio_format, codes).tolist() == g711.decode(law, codes).tolist()
    assert decode_samples(audio_format, silence_of(audio_format)).tolist() == [
        g711.decode(law, g711.encode(law, np.zeros(1, np.int16)))[0]
    ]


@pytest.mark.parametrize("audio_format", LAWS)
def test_an_8_khz_ring_gives_back_every_code_but_the_second_zero(
    audio_format: AudioFormat,
) -> None:
    codes = bytes(code for code in range(256) if code != 0x7F) + b"\x80"
    ring = ToRing(audio_format, 256, 8_000)(decode_samples(audio_format, codes)[np.newaxis])
    up = FromRing(audio_format, 256, 8_000)
    assert up.history_samples == up.delay_ms == 0
    assert up(ring) == codes


@pytest.mark.parametrize("ring_hz", [8_000, 16_000])
@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_tone_keeps_its_pitch_and_its_length(audio_format: AudioFormat, ring_hz: int) -> None:
    block = ring_hz // 2
    up = FromRing(audio_format, block, ring_hz)
    window = tone(1_000.0, ring_hz, block + up.history_samples, amplitude=8_000)
    audio = up(window[np.newaxis])
    assert len(audio) == 500 * audio_format.bytes_per_ms
    sound = decode_samples(audio_format, audio)
    rate_hz = audio_format.rate_hz
    assert level_at_db(sound, 1_000.0, rate_hz) - loudest_other_db(sound, 1_000.0, rate_hz) > 25
    down = ToRing(audio_format, block, ring_hz)
    assert down.window_samples == down.history_samples + sound.size
    padded = np.pad(sound, (down.history_samples, 0))
    back = down(padded[np.newaxis])[0]
    assert back.size == block
    assert level_at_db(back, 1_000.0, ring_hz) - loudest_other_db(back, 1_000.0, ring_hz) > 25


@pytest.mark.parametrize("to_format", AudioFormat)
@pytest.mark.parametrize("from_format", AudioFormat)
def test_a_piece_is_as_long_in_another_format(
    from_format: AudioFormat, to_format: AudioFormat
) -> None:
    sound = tone(700.0, from_format.rate_hz, from_format.rate_hz // 5, amplitude=8_000)
    audio = converted(encode_samples(from_format, sound), from_format, to_format)
    assert len(audio) == 200 * to_format.bytes_per_ms
    heard, rate_hz = decode_samples(to_format, audio), to_format.rate_hz
    assert level_at_db(heard, 700.0, rate_hz) - loudest_other_db(heard, 700.0, rate_hz) > 20
