"""The capacity build's own resampling between 8 and 16 kHz (deploy/pjsip/resample.c), by its sound.

On a node with G.722 every call of G.711 passes it, both ways.
"""

import ctypes
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bridge.telephony.library import load_symbols
from bridge.telephony.pjmedia import create_pool
from tests.audio.signals import level_at_db, loudest_other_db, noise, tone
from tests.telephony.rig import Rig

pytestmark = [
    pytest.mark.sip,
    pytest.mark.capacity,
    pytest.mark.parametrize("media_ports", ["memory"]),
]

Sound = npt.NDArray[np.int16]
Convert = Callable[[int, int, Sound], Sound]

NARROW_HZ, WIDE_HZ = 8_000, 16_000
FULL_DB = 20 * np.log10(16_000)
FRAMES_A_SECOND = 50
EDGE_SAMPLES = 200
"""Until a tone fills the filter."""
_INVALID_RATES = [(8_000, 24_000), (16_000, 48_000), (8_000, 8_000)]


@pytest.fixture
def convert(rig: Rig) -> Convert:
    library, pool = load_symbols(), create_pool(load_symbols())
    pointer, number = ctypes.c_void_p, ctypes.c_uint
    create, run = library.pjmedia_resample_create, library.pjmedia_resample_run
    create.argtypes = [pointer, ctypes.c_int, ctypes.c_int, *[number] * 4, pointer]
    run.argtypes, run.restype = [pointer] * 3, None

    def converted(from_hz: int, to_hz: int, sound: Sound) -> Sound:
        size, state = from_hz // FRAMES_A_SECOND, ctypes.c_void_p()
        status = create(pool, 1, 0, 1, from_hz, to_hz, size, ctypes.byref(state))
        if status:
            raise ValueError(status)
        frames = np.ascontiguousarray(sound.reshape(-1, size))
        result = np.zeros((len(frames), to_hz // FRAMES_A_SECOND), np.int16)
        for given, got in zip(frames, result, strict=True):
            run(state, given.ctypes.data, got.ctypes.data)
        return result.reshape(-1)

    return converted


@pytest.mark.parametrize("frequency_hz", [60, 300, 1_000, 2_500, 3_300, 3_500])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(NARROW_HZ, WIDE_HZ), (WIDE_HZ, NARROW_HZ)])
def test_all_that_g711_carries_passes_flat_and_alone(
    convert: Convert, from_hz: int, to_hz: int, frequency_hz: int
) -> None:
    heard = convert(from_hz, to_hz, tone(frequency_hz, from_hz, from_hz))[EDGE_SAMPLES:]
    heard = heard[: to_hz * 9 // 10]
    assert level_at_db(heard, frequency_hz, to_hz) == pytest.approx(FULL_DB, abs=0.1)
    assert loudest_other_db(heard, frequency_hz, to_hz) < FULL_DB - 65


@pytest.mark.parametrize("frequency_hz", [4_200, 4_600, 5_000, 6_300, 7_400])
def test_what_8_khz_cannot_hold_does_not_fold(convert: Convert, frequency_hz: int) -> None:
    heard = convert(WIDE_HZ, NARROW_HZ, tone(frequency_hz, WIDE_HZ, WIDE_HZ))[EDGE_SAMPLES:]
    folded_hz = NARROW_HZ - frequency_hz
    assert level_at_db(heard[: NARROW_HZ * 9 // 10], folded_hz, NARROW_HZ) < FULL_DB - 65


def test_the_loudest_that_there_is_does_not_wrap(convert: Convert) -> None:
    steps = np.sign(noise(NARROW_HZ, seed=3)).astype(np.int32) * 32_768
    loudest = np.clip(steps, -32_768, 32_767).astype(np.int16)
    up = convert(NARROW_HZ, WIDE_HZ, loudest).astype(np.float64)
    # A sample that wrapped would have the other sign than the sound around it.
    delay = int(np.argmax(np.correlate(up[:WIDE_HZ], np.repeat(loudest, 2)[:4_000], "valid")))
    same = np.sign(up[delay : delay + 4_000]) == np.sign(np.repeat(loudest, 2)[:4_000])
    assert same.mean() > 0.9
    assert np.abs(up).max() >= 32_767


@pytest.mark.parametrize(("from_hz", "to_hz"), _INVALID_RATES)
def test_other_rates_are_refused(convert: Convert, from_hz: int, to_hz: int) -> None:
    with pytest.raises(ValueError, match="700"):
        convert(from_hz, to_hz, np.zeros(from_hz, np.int16))
