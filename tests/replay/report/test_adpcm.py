"""IMA ADPCM, as the standard library reads it."""

import numpy as np
import pytest

from bridge.audio.stdlib_audioop import audioop
from bridge.replay.report.sound import encode_adpcm


@pytest.mark.parametrize("samples", [0, 1, 8000, 8001])
def test_two_samples_are_a_byte_and_sound_as_they_were(samples: int) -> None:
    wave = (8000 * np.sin(np.arange(samples) * 0.3)).astype(np.int16)
    packed = encode_adpcm(wave)
    assert len(packed) == (samples + 1) // 2
    decoded, _ = audioop.adpcm2lin(packed, 2, None)
    heard = np.frombuffer(decoded, dtype=np.int16)[: wave.size]
    assert np.abs(heard[200:] - wave[200:].astype(int)).max(initial=0) < 1000


def test_another_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        encode_adpcm(np.zeros(4))  # type: ignore[arg-type]  # what a caller may pass by mistake
