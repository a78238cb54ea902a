"""Batched polyphase resampling between the phone's 8 or 16 kHz and the Realtime API's 24 kHz.

One Kaiser-windowed low-pass becomes one dense matrix: a step of input samples with the filter's
history in front, times the matrix, is a step of output samples. All calls go through one product.

Invariants:

- Nothing here keeps state between calls. The caller hands over the history with the block; on the
  way up it is already in the rx ring.
- Same bits everywhere. Coefficients are multiples of 2**-24 and the product is float64, so each
  product and partial sum is exact (15 + 24 bits and a few for the sum, of 53) and neither the
  block size, the batch size nor the BLAS kernel can change a sample.
- Values beyond int16 clip; they never wrap.

Measured with these figures: flat within 0.06 dB from 200 Hz to 3.3 kHz each way, -0.3 dB at
3.4 kHz; everything from 4.3 kHz up is at least 60 dB down, from 4.6 kHz 71 dB. Between 4.0 and
4.3 kHz the filter is on its slope: -19 dB at 4.0, -29 at 4.1, -44 at 4.2 (tests/audio). For 16 kHz
the slope is as wide and its middle at 7.5 kHz, above all of G.722 (50 to 7,000 Hz) and below the
Nyquist frequency.

The matrix covers a short step and not a whole block, because most of a tall matrix is zeros: with
20 samples a step, float64 costs 1.5 us for 20 ms of one call among 200, against 7.1 us (and 3.8 us
in float32) with 320 samples a step (one BLAS thread; tests/bench/bench_resample.py).
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PHONE_HZ = 8_000
WIDE_HZ = 16_000
"""A phone's rate with G.722."""
REALTIME_HZ = 24_000

_RATIO = REALTIME_HZ // PHONE_HZ
_CUTOFF_HZ = {PHONE_HZ: 3_750.0, WIDE_HZ: 7_500.0}
_KAISER_BETA = 6.5
# On each side of the middle tap: 97 taps at 24 kHz, 193 at the 48 kHz that 16 and 24 kHz have in
# common. A whole number of samples at both ends.
_DELAY_MS = 2
_STEP_SAMPLES = 20
_COEFFICIENT_UNIT = 2.0**-24

# Whole-signal conversion has no delay to save: 96 samples of the lower rate, -70 dB from its
# Nyquist frequency on, flat up to 0.9 of it.
_RATIONAL_BETA = 6.8
_RATIONAL_CUTOFF = 0.95
_RATIONAL_HALF_SPAN_SAMPLES = 48
# 22050 Hz against 16 kHz is 320:441. Far beyond that the matrix itself becomes the cost.
_LARGEST_FACTOR = 1024


@dataclass(frozen=True, slots=True)
class _Kernel:
    """A polyphase low-pass as a dense matrix.

    Attributes:
        matrix: (history + hop, outputs) float64; a row vector of input times it is the output.
        history_samples: input samples needed in front of a step; half of them are the delay.
        hop_samples: input samples that a step consumes.
    """

    matrix: NDArray[np.float64]
    history_samples: int
    hop_samples: int

    @property
    def outputs_samples(self) -> int:
        """Output samples that a step makes."""
        return int(self.matrix.shape[1])

    def apply(self, windows: NDArray[np.int16]) -> NDArray[np.int16]:
        """Filter (calls, history + steps * hop) int16 into (calls, steps * outputs) int16."""
        calls, window_samples = windows.shape
        steps = (window_samples - self.history_samples) // self.hop_samples
        windows = np.ascontiguousarray(windows)
        # Overlapping view, one row a step; numpy checks here that it stays within the buffer.
        overlapping: NDArray[np.int16] = np.ndarray(
            (calls, steps, self.matrix.shape[0]),
            dtype=np.int16,
            buffer=windows,
            strides=(window_samples * 2, self.hop_samples * 2, 2),
        )
        inputs = overlapping.astype(np.float64).reshape(calls * steps, self.matrix.shape[0])
        outputs = inputs @ self.matrix
        np.rint(outputs, out=outputs)
        np.clip(outputs, -32768.0, 32767.0, out=outputs)
        return outputs.astype(np.int16).reshape(calls, steps * self.outputs_samples)


def _kernel(prototype: NDArray[np.float64], up: int, down: int, cycles: int) -> _Kernel:
    """Lay a symmetric low-pass at ``up`` times the input rate out as a matrix.

    Args:
        prototype: taps at the common rate; their count is a multiple of ``2 * up``, plus one.
        up: factor from the input rate to the common rate.
        down: factor from the common rate to the output rate.
        cycles: how often the ``down`` inputs to ``up`` outputs pattern repeats in a step.
    """
    taps = prototype.copy()
    for phase in range(up):
        # Every phase passes a constant unchanged, else silence with an offset would buzz at the
        # input rate.
        taps[phase::up] /= taps[phase::up].sum()
    taps = np.rint(taps / _COEFFICIENT_UNIT) * _COEFFICIENT_UNIT
    history_samples = (taps.size - 1) // up
    inputs = np.arange(history_samples + cycles * down)[:, np.newaxis]
    outputs = np.arange(cycles * up)[np.newaxis, :]
    tap = (outputs * down) + (taps.size - 1) - inputs * up
    within = (tap >= 0) & (tap < taps.size)
    matrix = np.where(within, taps[np.clip(tap, 0, taps.size - 1)], 0.0)
    return _Kernel(np.ascontiguousarray(matrix), history_samples, cycles * down)


def _low_pass(half_taps: int, cutoff: float, beta: float) -> NDArray[np.float64]:
    """Return ``2 * half_taps + 1`` windowed-sinc taps; ``cutoff`` in cycles per sample."""
    n = np.arange(-half_taps, half_taps + 1, dtype=np.float64)
    return np.sinc(2.0 * cutoff * n) * np.kaiser(n.size, beta)


@functools.lru_cache(maxsize=32)
def _phone_kernel(from_hz: int, to_hz: int, cycles: int) -> _Kernel:
    common_hz = math.lcm(from_hz, to_hz)
    cutoff_hz = _CUTOFF_HZ[min(from_hz, to_hz)]
    prototype = _low_pass(common_hz * _DELAY_MS // 1000, cutoff_hz / common_hz, _KAISER_BETA)
    return _kernel(prototype, common_hz // from_hz, common_hz // to_hz, cycles)


@functools.lru_cache(maxsize=16)
def _rational_kernel(up: int, down: int) -> _Kernel:
    larger = max(up, down)
    # Rounded up to a multiple of `up`, so that the delay is whole input samples.
    half_taps = math.ceil(_RATIONAL_HALF_SPAN_SAMPLES * larger / up) * up
    prototype = _low_pass(half_taps, _RATIONAL_CUTOFF / (2 * larger), _RATIONAL_BETA)
    return _kernel(prototype, up, down, max(1, _STEP_SAMPLES * _RATIO // larger))


class BlockResampler:
    """Converts blocks between the phone's rate and another one, either way.

    Args:
        block_samples: samples of one block at the phone's rate: a multiple of 4 ms is fastest.
        phone_hz: :data:`PHONE_HZ` or :data:`WIDE_HZ`; it is one of the two rates.
        from_hz, to_hz: of what comes and what is made; not the same.

    Attributes:
        block_samples: samples of one block at the phone's rate.
        history_samples: input samples (at the input rate) that go before each block.
        window_samples: history and block together, at the input rate.
        delay_ms: group delay of the filter, the same at all frequencies.
    """

    def __init__(self, block_samples: int, phone_hz: int, from_hz: int, to_hz: int) -> None:
        pattern = phone_hz // math.gcd(from_hz, to_hz)
        cycles, rest = divmod(block_samples, pattern)
        if cycles < 1 or rest:
            raise ValueError(
                f"a block needs at least {pattern} sample(s), or a multiple, not {block_samples}"
            )
        self.block_samples = block_samples
        self._kernel = _phone_kernel(from_hz, to_hz, math.gcd(cycles, _STEP_SAMPLES))
        self.history_samples = self._kernel.history_samples
        self.window_samples = self.history_samples + block_samples * from_hz // phone_hz
        self.delay_ms = float(_DELAY_MS)

    def __call__(self, windows: NDArray[np.int16]) -> NDArray[np.int16]:
        """Convert one block of every call.

        Args:
            windows: (calls, :attr:`window_samples`) int16 at the input rate, each row the history
                and then the block. Zeros are the history of a call that just began.

        Returns:
            (calls, block) int16 at the output rate, rounded to nearest and clipped.

        Raises:
            ValueError: another shape or dtype.
        """
        if windows.ndim != 2 or windows.shape[1] != self.window_samples:
            raise ValueError(
                f"windows of shape {windows.shape}; (calls, {self.window_samples}) expected: "
                f"{self.history_samples} samples of history, then the block"
            )
        if windows.dtype != np.int16:
            raise ValueError(f"windows of dtype {windows.dtype}; int16 expected")
        return self._kernel.apply(windows)


def upsample_whole(x: NDArray[np.int16], *, aligned: bool = True) -> NDArray[np.int16]:
    """Convert a whole signal from 8 kHz to 24 kHz with the filter that blocks have.

    Args:
        x: (n,) int16 at 8 kHz.
        aligned: True takes the 2 ms of delay out (output sample 3k is at the time of input sample
            k); False gives what blocks after a history of zeros give, bit for bit.

    Returns:
        (3 * n,) int16 at 24 kHz.
    """
    kernel = _phone_kernel(PHONE_HZ, REALTIME_HZ, _STEP_SAMPLES)
    return _convert_whole(x, kernel, _RATIO * x.size, aligned=aligned)


def downsample_whole(x: NDArray[np.int16], *, aligned: bool = True) -> NDArray[np.int16]:
    """Convert a whole signal from 24 kHz to 8 kHz with the filter that blocks have.

    Args:
        x: (n,) int16 at 24 kHz.
        aligned: as in :func:`upsample_whole`.

    Returns:
        (ceil(n / 3),) int16 at 8 kHz.
    """
    kernel = _phone_kernel(REALTIME_HZ, PHONE_HZ, _STEP_SAMPLES)
    return _convert_whole(x, kernel, -(-x.size // _RATIO), aligned=aligned)


def resample_rational(x: NDArray[np.int16], from_hz: int, to_hz: int) -> NDArray[np.int16]:
    """Convert a whole signal between any two usual rates, without delay.

    Flat within 0.1 dB up to 0.9 of the lower Nyquist frequency; images and aliases of what lies
    beyond that frequency are 70 dB down. Meant for synthesized speech and files, not for the tick.

    Args:
        x: (n,) int16 at ``from_hz``.
        from_hz: rate of ``x``.
        to_hz: wanted rate.

    Returns:
        (ceil(n * to_hz / from_hz),) int16; a copy when the rates are equal.

    Raises:
        ValueError: a rate that is not positive, or rates without a small common ratio (22050 to
            16000 is 320:441; up to 1024 on each side is supported).
    """
    if from_hz < 1 or to_hz < 1:
        raise ValueError(f"a sample rate must be positive: {from_hz} Hz to {to_hz} Hz")
    common_hz = math.gcd(from_hz, to_hz)
    up, down = to_hz // common_hz, from_hz // common_hz
    if max(up, down) > _LARGEST_FACTOR:
        raise ValueError(
            f"{from_hz} Hz to {to_hz} Hz is {up}:{down}; at most {_LARGEST_FACTOR} is supported"
        )
    if up == down:
        return x.copy()
    return _convert_whole(x, _rational_kernel(up, down), -(-x.size * up // down), aligned=True)


def _convert_whole(
    x: NDArray[np.int16], kernel: _Kernel, wanted_samples: int, *, aligned: bool
) -> NDArray[np.int16]:
    if x.ndim != 1 or x.dtype != np.int16:
        raise ValueError(f"signal of shape {x.shape} and dtype {x.dtype}; (n,) int16 expected")
    steps = -(-wanted_samples // kernel.outputs_samples)
    # Half of the history is the delay: leaving it out of the zeros in front moves the signal back.
    front_samples = kernel.history_samples // 2 if aligned else kernel.history_samples
    window = np.zeros((1, kernel.history_samples + steps * kernel.hop_samples), dtype=np.int16)
    fitting_samples = min(x.size, window.size - front_samples)
    window[0, front_samples : front_samples + fitting_samples] = x[:fitting_samples]
    return kernel.apply(window)[0, :wanted_samples]
