"""What the resampler promises: flat, no images, no aliases, exact in blocks, never wrapping."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from bridge.audio.resample import (
    PHONE_HZ,
    REALTIME_HZ,
    WIDE_HZ,
    BlockResampler,
    _phone_kernel,
    downsample_whole,
    resample_rational,
    upsample_whole,
)
from tests.audio.signals import level_at_db, loudest_other_db, noise, spectrum_db, tone

PASS_BAND_HZ = (200, 300, 500, 800, 1000, 1500, 2000, 2500, 2800, 3000, 3100, 3200, 3250, 3300)
BLOCKS = (80, 160, 320, 480)
EDGE_SAMPLES = 600


def upsampler(block: int, phone_hz: int = PHONE_HZ) -> BlockResampler:
    return BlockResampler(block, phone_hz, phone_hz, REALTIME_HZ)


def downsampler(block: int, phone_hz: int = PHONE_HZ) -> BlockResampler:
    return BlockResampler(block, phone_hz, REALTIME_HZ, phone_hz)


def in_blocks(x: NDArray[np.int16], block: int, calls: int, *, up: bool) -> NDArray[np.int16]:
    """Run a signal through the block resampler, ``calls`` rotations of it at a time."""
    resampler = upsampler(block) if up else downsampler(block)
    hop = block if up else 3 * block
    signals = np.stack([np.roll(x, 997 * call) for call in range(calls)])
    padded = np.pad(signals, ((0, 0), (resampler.history_samples, 0)))
    return np.concatenate(
        [
            resampler(padded[:, at : at + resampler.window_samples])
            for at in range(0, x.size - hop + 1, hop)
        ],
        axis=1,
    )


@pytest.mark.parametrize("frequency_hz", PASS_BAND_HZ)
def test_upsampling_pass_band_is_flat_within_half_a_decibel(frequency_hz: int) -> None:
    x = tone(frequency_hz, 8_000, 8_000)
    gain_db = level_at_db(upsample_whole(x), frequency_hz, 24_000) - level_at_db(
        x, frequency_hz, 8_000
    )
    assert abs(gain_db) < 0.1  # the promise is 0.5


@pytest.mark.parametrize("frequency_hz", PASS_BAND_HZ)
def test_downsampling_pass_band_is_flat_within_half_a_decibel(frequency_hz: int) -> None:
    x = tone(frequency_hz, 24_000, 24_000)
    gain_db = level_at_db(downsample_whole(x), frequency_hz, 8_000) - level_at_db(
        x, frequency_hz, 24_000
    )
    assert abs(gain_db) < 0.1


@pytest.mark.parametrize("frequency_hz", [200, 700, 1000, 1900, 2600, 3000, 3300, 3400])
def test_upsampling_images_are_sixty_decibels_down(frequency_hz: int) -> None:
    y = upsample_whole(tone(frequency_hz, 8_000, 8_000))[EDGE_SAMPLES:-EDGE_SAMPLES]
    level_db = level_at_db(y, frequency_hz, 24_000)
    assert level_db - loudest_other_db(y, frequency_hz, 24_000) >= 60


@pytest.mark.parametrize("frequency_hz", [4300, 4600, 5000, 6200, 7300, 8100, 9500, 11_000, 11_900])
def test_downsampling_aliases_are_sixty_decibels_down(frequency_hz: int) -> None:
    x = tone(frequency_hz, 24_000, 24_000)
    y = downsample_whole(x)[EDGE_SAMPLES:-EDGE_SAMPLES]
    loudest_db = float(spectrum_db(y, 8_000)[0].max())
    assert level_at_db(x, frequency_hz, 24_000) - loudest_db >= 60


@pytest.mark.parametrize(
    ("frequency_hz", "down_db"), [(4020, 20), (4100, 28), (4200, 42), (4250, 55)]
)
def test_downsampling_slope_above_the_phone_band(frequency_hz: int, down_db: int) -> None:
    # Documented in the module, not promised by anyone: what lies here folds to 3.7-4.0 kHz.
    x = tone(frequency_hz, 24_000, 24_000)
    y = downsample_whole(x)[EDGE_SAMPLES:-EDGE_SAMPLES]
    measured_db = level_at_db(x, frequency_hz, 24_000) - float(spectrum_db(y, 8_000)[0].max())
    assert down_db <= measured_db <= down_db + 5


@pytest.mark.parametrize("calls", [1, 2, 7, 33])
@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_up_equal_the_whole_signal_bit_for_bit(block: int, calls: int) -> None:
    x = noise(480 * 4, seed=block)
    y = in_blocks(x, block, calls, up=True)
    for call in range(calls):
        np.testing.assert_array_equal(
            y[call], upsample_whole(np.roll(x, 997 * call), aligned=False)
        )


@pytest.mark.parametrize("calls", [1, 2, 7, 33])
@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_down_equal_the_whole_signal_bit_for_bit(block: int, calls: int) -> None:
    x = noise(3 * 480 * 4, seed=block)
    y = in_blocks(x, block, calls, up=False)
    for call in range(calls):
        np.testing.assert_array_equal(
            y[call], downsample_whole(np.roll(x, 997 * call), aligned=False)
        )


@pytest.mark.parametrize("phone_hz", [PHONE_HZ, WIDE_HZ])
@pytest.mark.parametrize("up", [True, False])
def test_every_partial_sum_is_exact_in_float64(phone_hz: int, *, up: bool) -> None:
    # Why blocks equal the whole on every BLAS: a rounding error would show in one sample of
    # millions, so the comparison alone can't prove it.
    rates_hz = (phone_hz, REALTIME_HZ) if up else (REALTIME_HZ, phone_hz)
    matrix = _phone_kernel(*rates_hz, 20).matrix
    in_units = matrix * 2.0**24
    np.testing.assert_array_equal(in_units, np.rint(in_units))
    assert float(np.abs(in_units).sum(axis=0).max()) * 32768 < 2.0**53


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("block", [1, 7, 30, 33])
def test_odd_blocks_equal_the_whole_signal(block: int, up: bool) -> None:
    x = noise(block * 3 * 12, seed=block)
    whole = upsample_whole(x, aligned=False) if up else downsample_whole(x, aligned=False)
    np.testing.assert_array_equal(in_blocks(x, block, 1, up=up)[0], whole)


def through_wide(x: NDArray[np.int16], block: int, *, up: bool) -> NDArray[np.int16]:
    """Convert a signal from or to 16 kHz, in blocks of so many samples at 16 kHz."""
    resampler = upsampler(block, WIDE_HZ) if up else downsampler(block, WIDE_HZ)
    hop = resampler.window_samples - resampler.history_samples
    padded = np.pad(x, (resampler.history_samples, 0))[np.newaxis]
    blocks = [
        resampler(padded[:, at : at + resampler.window_samples])[0]
        for at in range(0, x.size - hop + 1, hop)
    ]
    return np.concatenate(blocks)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("frequency_hz", [200, 1000, 3000, 4000, 5000, 6000, 6800, 7000])
def test_all_of_g722_passes_flat_and_without_images(frequency_hz: int, *, up: bool) -> None:
    from_hz, to_hz = (WIDE_HZ, REALTIME_HZ) if up else (REALTIME_HZ, WIDE_HZ)
    x = tone(frequency_hz, from_hz, from_hz)
    y = through_wide(x, WIDE_HZ, up=up)[EDGE_SAMPLES:-EDGE_SAMPLES]
    level_db = level_at_db(y, frequency_hz, to_hz)
    assert abs(level_db - level_at_db(x, frequency_hz, from_hz)) < 0.1
    assert level_db - loudest_other_db(y, frequency_hz, to_hz) >= 60


@pytest.mark.parametrize("frequency_hz", [8100, 8600, 9500, 11_000, 11_900])
def test_what_16_khz_cannot_hold_is_sixty_decibels_down(frequency_hz: int) -> None:
    x = tone(frequency_hz, REALTIME_HZ, REALTIME_HZ)
    y = through_wide(x, WIDE_HZ, up=False)[EDGE_SAMPLES:-EDGE_SAMPLES]
    loudest_db = float(spectrum_db(y, WIDE_HZ)[0].max())
    assert level_at_db(x, frequency_hz, REALTIME_HZ) - loudest_db >= 60


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("block", [2, 14, 80, 320, 640])
def test_wideband_blocks_equal_the_whole_signal_bit_for_bit(block: int, *, up: bool) -> None:
    x = noise(block * 3 * 12 if up else block * 3 // 2 * 24, seed=block)
    whole = x.size if up else x.size * 2 // 3
    np.testing.assert_array_equal(through_wide(x, block, up=up), through_wide(x, whole, up=up))


def test_a_wideband_block_is_of_pairs() -> None:
    for block in (0, 1, 321):
        with pytest.raises(ValueError, match="at least 2"):
            upsampler(block, WIDE_HZ)


def test_windows_may_be_a_view_of_a_larger_array() -> None:
    up = upsampler(160)
    backing = noise(3 * 400, seed=1).reshape(3, 400)
    view = backing[::2, 100 : 100 + up.window_samples]
    np.testing.assert_array_equal(up(view), up(view.copy()))


@pytest.mark.parametrize("half_period", [3, 5, 8, 40])
def test_full_scale_square_wave_clips_and_does_not_wrap(half_period: int) -> None:
    n = np.arange(4800)
    square = np.where(n // half_period % 2 == 0, 32767, -32768).astype(np.int16)
    # With a wrap, the sign flips where the overshoot is: compare with a signal that has headroom.
    for convert in (upsample_whole, downsample_whole):
        loud = convert(square)
        headroom = convert(square // np.int16(4)).astype(np.int32) * 4
        expected = np.clip(headroom, -32768, 32767)
        assert np.abs(loud.astype(np.int32) - expected).max() <= 8
    if half_period >= 5:
        assert np.abs(upsample_whole(square // np.int16(4)).astype(np.int32) * 4).max() > 33_500
        assert upsample_whole(square).max() == 32767
        assert upsample_whole(square).min() == -32768


@pytest.mark.parametrize("value", [-32768, -1, 0, 1, 255, 32767])
def test_a_constant_stays_exactly_that_constant(value: int) -> None:
    x = np.full(3000, value, dtype=np.int16)
    assert set(upsample_whole(x)[300:-300].tolist()) == {value}
    assert set(downsample_whole(x)[300:-300].tolist()) == {value}


def test_reported_delay_is_the_measured_delay() -> None:
    x = np.zeros(160, dtype=np.int16)
    x[50] = 20_000
    up = upsampler(160)
    risen = up(np.pad(x, (up.history_samples, 0))[np.newaxis])[0]
    assert (int(np.argmax(risen)) - 3 * 50) / 24 == pytest.approx(up.delay_ms)

    down = downsampler(160)
    y = np.zeros(480, dtype=np.int16)
    y[150] = 20_000
    fallen = down(np.pad(y, (down.history_samples, 0))[np.newaxis])[0]
    assert (int(np.argmax(fallen)) - 150 / 3) / 8 == pytest.approx(down.delay_ms)
    assert up.delay_ms == down.delay_ms == 2.0


def test_history_is_shorter_than_five_milliseconds() -> None:
    assert upsampler(160).history_samples / 8 < 5
    assert downsampler(160).history_samples / 24 < 5


def test_aligned_round_trip_of_a_phone_band_signal_is_in_place() -> None:
    x = sum((tone(f, 8_000, 4000, 3000.0) for f in (350, 1000, 2100)), np.zeros(4000, np.int16))
    back = downsample_whole(upsample_whole(x))
    assert back.shape == x.shape
    assert np.abs(back[100:-100].astype(np.int32) - x[100:-100]).max() <= 30


@pytest.mark.parametrize("samples", [0, 1, 2, 19, 20, 61])
def test_whole_signals_of_any_length(samples: int) -> None:
    x = noise(samples, seed=samples)
    for aligned in (True, False):
        assert upsample_whole(x, aligned=aligned).shape == (3 * samples,)
        assert downsample_whole(x, aligned=aligned).shape == (-(-samples // 3),)


def test_no_calls_is_an_empty_batch() -> None:
    assert upsampler(160)(np.zeros((0, 192), dtype=np.int16)).shape == (0, 480)


@pytest.mark.parametrize(
    "windows",
    [
        np.zeros((1, 160), dtype=np.int16),
        np.zeros(192, dtype=np.int16),
        np.zeros((1, 192), dtype=np.float32),
    ],
)
def test_wrong_shape_or_dtype_is_refused(windows: NDArray[np.int16]) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        upsampler(160)(windows)


def test_an_empty_block_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 sample"):
        downsampler(0)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from((1, 20, 80, 160)),
    st.integers(0, 5),
    st.booleans(),
    st.data(),
)
def test_any_window_gives_the_shape_dtype_and_clip(
    block: int, calls: int, up: bool, data: st.DataObject
) -> None:
    resampler = upsampler(block) if up else downsampler(block)
    extremes = st.sampled_from((-32768, -32767, -1, 0, 1, 32766, 32767))
    shape = (calls, resampler.window_samples)
    windows = data.draw(hnp.arrays(np.int16, shape, elements=extremes))
    y = resampler(windows)
    assert y.dtype == np.int16
    assert y.shape == (calls, 3 * block if up else block)
    # A wrapped sample would differ wildly from the same filter run with 18 dB of headroom.
    quiet = resampler((windows // 8).astype(np.int16)).astype(np.int32) * 8
    # floor division loses up to 7, rounding 4 more, both weighed by the filter's absolute sum.
    assert np.abs(y - np.clip(quiet, -32768, 32767)).max(initial=0) <= 40


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [
        (22_050, 24_000),
        (22_050, 16_000),
        (22_050, 8_000),
        (44_100, 8_000),
        (48_000, 24_000),
        (8_000, 16_000),
        (16_000, 24_000),
    ],
)
def test_rational_conversion_is_flat_and_in_place(from_hz: int, to_hz: int) -> None:
    lower_hz = min(from_hz, to_hz)
    for fraction in (0.03, 0.2, 0.44):
        frequency_hz = fraction * lower_hz
        y = resample_rational(tone(frequency_hz, from_hz, from_hz), from_hz, to_hz)
        assert y.shape == (to_hz,)
        direct = tone(frequency_hz, to_hz, to_hz)
        difference = (y.astype(np.int32) - direct)[400:-400]
        assert np.abs(difference).max() < 160  # 1% of the amplitude: level, phase and images
        middle = y[400:-400]
        level_db = level_at_db(middle, frequency_hz, to_hz)
        assert level_db - loudest_other_db(middle, frequency_hz, to_hz) >= 60


@pytest.mark.parametrize(("from_hz", "to_hz"), [(22_050, 8_000), (44_100, 16_000), (48_000, 8_000)])
def test_rational_conversion_down_lets_no_alias_through(from_hz: int, to_hz: int) -> None:
    for frequency_hz in (0.52 * to_hz, 0.7 * to_hz, 0.49 * from_hz):
        y = resample_rational(tone(frequency_hz, from_hz, from_hz), from_hz, to_hz)
        assert np.abs(y[400:-400].astype(np.int32)).max() <= 16  # -60 dB of 16000


def test_rational_conversion_between_equal_rates_copies() -> None:
    x = noise(100, seed=5)
    y = resample_rational(x, 8_000, 8_000)
    np.testing.assert_array_equal(x, y)
    assert y is not x


@pytest.mark.parametrize(("from_hz", "to_hz"), [(0, 8_000), (8_000, -1), (8_001, 8_000)])
def test_rational_conversion_refuses_unusable_rates(from_hz: int, to_hz: int) -> None:
    with pytest.raises(ValueError, match="Hz"):
        resample_rational(noise(10, seed=1), from_hz, to_hz)
