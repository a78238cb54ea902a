"""Writes down speech in any words: pocketsphinx with the language model that it ships.

It is evidence beside the recogniser of known phrases, no judge: through 8 kHz, of "You owe forty
three dollars." it makes "you're forty three dollars", a word error rate of 40%. Calls block.
"""

import threading

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder, get_model_path

from bridge.audio.levels import find_speech
from bridge.audio.resample import resample_rational

_MODEL_HZ = 16_000
_PADDING_SAMPLES = 400 * _MODEL_HZ // 1000
_NOISE_SIGMA = 60.0
_SPEECH_RMS = 0.05 * 32768
_LARGEST_GAIN = 30.0
_SEED = 1


class OpenRecognizer:
    """Hears any English words. It takes about a second and 28 MB to be made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoder = Decoder(
            hmm=get_model_path("en-us/en-us"),
            dict=get_model_path("en-us/cmudict-en-us.dict"),
            lm=get_model_path("en-us/en-us.lm.bin"),
            loglevel="FATAL",
        )

    def transcribe(self, samples: NDArray[np.int16], rate_hz: int) -> str:
        """Return the words of (n,) int16 at any rate; "" for silence."""
        if not find_speech(samples, rate_hz):
            return ""
        speech = resample_rational(samples, rate_hz, _MODEL_HZ).astype(np.float64)
        rms = float(np.sqrt(np.mean(np.square(speech))))
        gain = min(_SPEECH_RMS / max(rms, 1.0), _LARGEST_GAIN)
        padded = np.pad(speech * gain, _PADDING_SAMPLES)
        padded += np.random.default_rng(_SEED).normal(0.0, _NOISE_SIGMA, padded.size)
        prepared = np.clip(padded, -32768, 32767).astype("<i2").tobytes()
        with self._lock:
            self._decoder.start_utt()
            self._decoder.process_raw(prepared, no_search=False, full_utt=True)
            self._decoder.end_utt()
            hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""
