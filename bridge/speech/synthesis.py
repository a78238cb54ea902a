"""Speech from text with espeak-ng, as 24 kHz 16-bit PCM.

The C library is one per process and keeps global state (voice, rate, callback), so a lock is held
around each sentence and every parameter is set anew. Calls block (about a hundredth of what they
say lasts) and release the GIL: run them in a worker thread. A text
said again lasts the same to within a millisecond or so: the library carries a few samples over.
"""

import ctypes
import functools
import threading
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from bridge.audio.resample import resample_rational
from bridge.errors import ConfigError, InfrastructureError
from bridge.speech.words import words_of

SAMPLE_RATE_HZ = 24_000
"""Rate of all speech that this module returns."""

DEFAULT_VOICE = "en-us"

# speak_lib.h of espeak-ng 1.52
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_RATE_PARAMETER = 1
_VOLUME_PARAMETER = 2
_CHARS_UTF8 = 1
_PHONEMES_IPA = 2
_POS_CHARACTER = 1
_EE_OK = 0

# At its own 100 the loudest vowels clip.
_VOLUME = 60

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def voice_of(language: str | None) -> str:
    """Return the voice that speaks a language.

    Args:
        language: BCP 47 tag, as ``en`` or ``pt-BR``; None for American English.

    Raises:
        ConfigError: espeak-ng speaks no such language.
        InfrastructureError: espeak-ng could not be started.
    """
    if language is None:
        return DEFAULT_VOICE
    tag = language.lower()
    try:
        _engine().check(tag)
    except ConfigError:
        tag = tag.split("-")[0]  # `de-AT`: better German German than nothing
        _engine().check(tag)
    return tag


def speaks_english(voice: str) -> bool:
    """Return whether a voice speaks English, the only language that the recogniser has."""
    return voice.partition("+")[0].lower().split("-")[0] == "en"


class Synthesizer:
    """Speaks text in one voice of the local engine.

    Args:
        voice: an espeak-ng voice, with a variant after a plus: ``en-us``, ``en-us+f3``.
        words_per_minute: 80 to 450.

    Raises:
        ConfigError: no such voice.
        InfrastructureError: espeak-ng could not be started.
    """

    def __init__(self, voice: str = DEFAULT_VOICE, words_per_minute: int = 160) -> None:
        self.voice = voice
        self.words_per_minute = words_per_minute
        _engine().check(voice)

    def say(self, text: str) -> NDArray[np.int16]:
        """Speak ``text``.

        Returns:
            (n,) int16 at 24 kHz, mono; empty if the text has nothing to say.
        """
        if not words_of(text):
            return np.zeros(0, np.int16)
        engine = _engine()
        speech = engine.say(text, self.voice, self.words_per_minute)
        return resample_rational(speech, engine.rate_hz, SAMPLE_RATE_HZ)


def phonemes(word: str, voice: str = DEFAULT_VOICE) -> str:
    """Return how a word is pronounced, in IPA.

    Raises:
        ConfigError: no such voice.
        InfrastructureError: espeak-ng could not be started.
    """
    return _engine().phonemes(word, voice)


class _Engine:
    """The process's espeak-ng."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._declare()
        data_path = Path(espeakng_loader.get_data_path())
        self._variants = data_path / "voices" / "!v"
        self.rate_hz: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, str(data_path).encode(), 0
        )
        if self.rate_hz <= 0:
            raise InfrastructureError(
                "espeak-ng did not start",
                remedy="reinstall the espeakng-loader package, which carries its data",
            )
        self._lock = threading.Lock()
        self._pieces: list[NDArray[np.int16]] = []
        # Kept on the object: the C library goes on calling it.
        self._collect = _Callback(self._take)
        self._library.espeak_SetSynthCallback(self._collect)

    def check(self, voice: str) -> None:
        """Raise ConfigError unless ``voice`` exists."""
        with self._lock:
            self._set_voice(voice)

    def say(self, text: str, voice: str, words_per_minute: int) -> NDArray[np.int16]:
        """Return (n,) int16 at ``rate_hz``."""
        encoded = text.encode()
        with self._lock:
            self._set_voice(voice)
            self._library.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)
            self._library.espeak_SetParameter(_VOLUME_PARAMETER, _VOLUME, 0)
            self._pieces = []
            status = self._library.espeak_Synth(
                encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
            )
            if status != _EE_OK:
                raise InfrastructureError(f"espeak-ng refused to speak (status {status})")
            pieces, self._pieces = self._pieces, []
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)

    def phonemes(self, text: str, voice: str) -> str:
        """Return how a text is pronounced, in IPA."""
        pointer = ctypes.c_char_p(text.encode())
        with self._lock:
            self._set_voice(voice)
            found = self._library.espeak_TextToPhonemes(
                ctypes.byref(pointer), _CHARS_UTF8, _PHONEMES_IPA
            )
        return bytes(found or b"").decode()

    def _set_voice(self, voice: str) -> None:
        _, _, variant = voice.partition("+")
        # espeak-ng takes an unknown variant in silence and speaks without it.
        known = not variant or (self._variants / variant).is_file()
        if not known or self._library.espeak_SetVoiceByName(voice.encode()) != _EE_OK:
            raise ConfigError(
                f"espeak-ng has no voice '{voice}'",
                remedy="use a language and perhaps a variant: en-us, en-gb-x-rp, en-us+f3",
            )

    def _take(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int) -> int:
        """Keep what the C library hands over (it reuses the buffer); 0 asks it to go on."""
        # At the end it hands over a null pointer and no samples.
        if count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).astype(np.int16))
        return 0

    def _declare(self) -> None:
        library = self._library
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        library.espeak_Initialize.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        library.espeak_SetSynthCallback.argtypes = [_Callback]
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.POINTER(ctypes.c_uint),
            ctypes.c_void_p,
        ]


_engine_lock = threading.Lock()


def _engine() -> _Engine:
    with _engine_lock:
        return _start_engine()


@functools.cache
def _start_engine() -> _Engine:
    return _Engine()
