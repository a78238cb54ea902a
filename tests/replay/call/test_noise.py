"""Noise in the caller's audio."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.audio.wav import write_wav
from bridge.errors import ConfigError
from bridge.replay.call.noise import make_noise, speech_rms
from bridge.replay.script import Noise
from tests.softphone.far_end import tone

SPEECH = np.concatenate([tone(500, 800, 8000), np.zeros(48_000, np.int16), tone(500, 400, 8000)])


def rms(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float64)))))


def test_speech_is_measured_while_somebody_speaks() -> None:
    assert speech_rms([SPEECH]) == pytest.approx(8000 / np.sqrt(2), rel=0.02)
    assert speech_rms([]) == pytest.approx(0.05 * 32768)


@pytest.mark.speech
@pytest.mark.parametrize("snr_db", [0.0, 15.0, 30.0])
@pytest.mark.parametrize("kind", ["white", "babble"])
def test_noise_lies_its_ratio_below_the_words(kind: str, snr_db: float) -> None:
    noise = make_noise(Noise.model_validate({"kind": kind, "snr_db": snr_db}), [SPEECH], Path())

    assert 20 * np.log10(speech_rms([SPEECH]) / rms(noise)) == pytest.approx(snr_db, abs=0.3)


@pytest.mark.speech
@pytest.mark.parametrize("kind", ["white", "babble"])
def test_the_same_seed_makes_the_same_noise(kind: str) -> None:
    def made(seed: int) -> NDArray[np.int16]:
        return make_noise(Noise.model_validate({"kind": kind, "seed": seed}), [SPEECH], Path())

    once, again, other = made(3), made(3), made(4)
    # espeak-ng carries a few samples over from one sentence to the next.
    assert np.corrcoef(once, again)[0, 1] > 0.99 if kind == "white" else once.size == again.size
    assert abs(np.corrcoef(once, other)[0, 1]) < 0.5


def test_a_file_is_noise_and_must_not_be_silent(tmp_path: Path) -> None:
    write_wav(tmp_path / "street.wav", tone(200, 500), 24_000)
    write_wav(tmp_path / "silent.wav", np.zeros(2400, np.int16), 24_000)

    noise = make_noise(Noise(file=Path("street.wav"), snr_db=20), [SPEECH], tmp_path)
    assert rms(noise) == pytest.approx(8000 / np.sqrt(2) / 10, rel=0.02)
    with pytest.raises(ConfigError, match="silent"):
        make_noise(Noise(file=Path("silent.wav")), [SPEECH], tmp_path)
