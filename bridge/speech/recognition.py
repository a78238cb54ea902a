"""Recognition of one of a known set of phrases with pocketsphinx, after a telephone line.

What the decoder hears is one of the phrases from its first word to its last, or nothing: a search
that ends in the middle of a phrase is a rejection. Calls block and release the GIL (the longest
hold measured is 1 ms): run them in a worker thread. A lock lets one caller at a time in.

The figures below are measured: 14 phrases in 5 voices and speeds, through 8 kHz mu-law, 70 of 70
right. Clean synthetic speech needs noise under it (with next to none, 4 of 42 were lost, and 17 of
42 beside long digital silence), and the decoder's default beams (1e-48) are too narrow for a
grammar. With more noise (sigma 90 to 200) sentences that are no phrase are taken for one.
"""

import functools
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder, get_model_path

from bridge.audio.levels import find_speech
from bridge.audio.resample import resample_rational
from bridge.errors import ConfigError
from bridge.speech.synthesis import phonemes
from bridge.speech.words import words_of

# Longer ones first: each is looked for where the one before it ended.
_PHONES = {
    "tʃ": "CH", "dʒ": "JH", "eɪ": "EY", "aɪ": "AY", "ɔɪ": "OY", "oʊ": "OW", "aʊ": "AW", "ɜː": "ER",
    "ɑːɹ": "AA R", "ɑː": "AA", "ɔː": "AO", "iː": "IY", "uː": "UW", "əl": "AH L", "ɪ": "IH",
    "i": "IY", "ɛ": "EH", "e": "EH", "æ": "AE", "a": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH",
    "ɚ": "ER", "ɝ": "ER", "ɔ": "AO", "ɒ": "AA", "ɑ": "AA", "o": "OW", "ʊ": "UH", "u": "UW",
    "ᵻ": "IH", "ɾ": "T", "ʔ": "T", "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G",
    "g": "G", "f": "F", "v": "V", "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH",
    "h": "HH", "m": "M", "n": "N", "ŋ": "NG", "l": "L", "ɫ": "L", "ɹ": "R", "r": "R", "j": "Y",
    "w": "W", "x": "K", "ç": "HH",
}  # fmt: skip
_LONGEST = max(map(len, _PHONES))

_MODEL_HZ = 16_000
_BEAM = 1e-60
"""At 1e-80 the same is heard, and a row of sentences takes 2.1 s in place of 0.9."""
_PADDING_SAMPLES = 400 * _MODEL_HZ // 1000
_NOISE_SIGMA = 60.0
_SPEECH_RMS = 0.05 * 32768
_LARGEST_GAIN = 30.0
_SEED = 1

# Wider than the gate's defaults: soft consonants at the ends belong to the words.
_THRESHOLD_DBFS = -48.0
_MARGIN_MS = 120
_ONE, _ROW = "one", "row"
"""Searches: for one phrase, and for one or more of them without a pause. The second one takes a
second for a piece of three (the first a tenth of that), so it is for pieces that are no phrase, or
too long for theirs alone: the first hears only what a longer piece begins with."""
_SENTENCE_PAUSE_MS = 220
"""Silence that ends a sentence: espeak-ng at 165 words a minute leaves 260 ms and more between
sentences, and 180 ms at most at a comma."""


@dataclass(frozen=True, slots=True)
class HeardPhrase:
    """A phrase that was recognised, spelled as it was given."""

    text: str


@dataclass(frozen=True, slots=True)
class HeardPiece:
    """A stretch of speech in a longer recording; ``text`` is None if it was not understood."""

    text: str | None
    start_ms: int
    end_ms: int


class Recognizer:
    """Hears which of some phrases was said.

    Args:
        phrases: what may be said, sentence by sentence; case and punctuation don't matter.
        pronunciations: word -> ARPABET phones (``NORTHWIND: N AO R TH W IH N D``) for words that
            the dictionary lacks, or says otherwise.

    Raises:
        ConfigError: no phrase at all, an unknown word, or phones that don't exist.
    """

    def __init__(
        self, phrases: Sequence[str], pronunciations: Mapping[str, str] | None = None
    ) -> None:
        self._phrases = {" ".join(words_of(phrase)): phrase for phrase in reversed(phrases)}
        self._phrases.pop("", None)
        if not self._phrases:
            raise ConfigError("there are no phrases to recognise", remedy="give at least one")
        self._lock = threading.Lock()
        self._decoder = Decoder(
            hmm=get_model_path("en-us/en-us"),
            dict=get_model_path("en-us/cmudict-en-us.dict"),
            lm=None,
            beam=_BEAM,
            wbeam=_BEAM,
            pbeam=_BEAM,
            loglevel="FATAL",
        )
        self._teach(pronunciations or {})
        choices = " | ".join(f"( {phrase} )" for phrase in self._phrases)
        for search, rule in ((_ONE, "<one>"), (_ROW, "<one>+")):
            grammar = (
                f"#JSGF V1.0;\ngrammar {search};\n<one> = {choices} ;\npublic <said> = {rule} ;"
            )
            self._decoder.add_jsgf_string(search, grammar)

    def hear(self, samples: NDArray[np.int16], rate_hz: int) -> HeardPhrase | None:
        """Recognise one utterance.

        Args:
            samples: (n,) int16 with one sentence in it, at any level and with any silence around.
            rate_hz: their rate.

        Returns:
            The phrase, or None for silence, noise and whatever is no phrase as a whole.
        """
        phrases = self._hear(samples, rate_hz, _ONE)
        return HeardPhrase(phrases[0]) if phrases else None

    def hear_all(self, samples: NDArray[np.int16], rate_hz: int) -> list[HeardPiece]:
        """Recognise every sentence of a recording, split where the speaker paused.

        Sentences between which nobody paused (the end of one answer, the begin of the next) are
        one piece.

        Args:
            samples: (n,) int16.
            rate_hz: their rate.

        Returns:
            Every stretch of speech in order, also those that were not understood.
        """
        margin = rate_hz * _MARGIN_MS // 1000
        pieces = []
        for start, end in find_speech(
            samples, rate_hz, threshold_dbfs=_THRESHOLD_DBFS, hangover_ms=_SENTENCE_PAUSE_MS
        ):
            piece = samples[max(0, start - margin) : end + margin]
            heard = self._hear(piece, rate_hz, _ONE)
            if not heard or (end - start) * 1000 // rate_hz > _longest_ms(heard[0]):
                heard = self._hear(piece, rate_hz, _ROW)
            pieces.append(
                HeardPiece(
                    text=" ".join(heard) or None,
                    start_ms=start * 1000 // rate_hz,
                    end_ms=end * 1000 // rate_hz,
                )
            )
        return pieces

    def _hear(self, samples: NDArray[np.int16], rate_hz: int, search: str) -> list[str]:
        """Return the phrases that were said, whole ones from the first word to the last."""
        stretches = find_speech(samples, rate_hz, threshold_dbfs=_THRESHOLD_DBFS)
        if not stretches:
            return []
        start, end = stretches[0][0], stretches[-1][1]
        margin = rate_hz * _MARGIN_MS // 1000
        loud = np.concatenate([samples[a:b] for a, b in stretches])
        speech = resample_rational(
            samples[max(0, start - margin) : end + margin], rate_hz, _MODEL_HZ
        )
        words = self._decode(_prepare(speech, _rms(loud)), search)
        return [self._phrases[each] for each in self._tile(words)]

    def _tile(self, words: str) -> list[str]:
        """Part words into phrases; none where they don't end with one."""
        if words in self._phrases:
            return [words]
        for phrase in self._phrases:
            if words.startswith(phrase + " ") and (rest := self._tile(words[len(phrase) + 1 :])):
                return [phrase, *rest]
        return []

    def _teach(self, pronunciations: Mapping[str, str]) -> None:
        """Add pronunciations, then check that every word of every phrase has one."""
        for word, phones in pronunciations.items():
            for spoken in words_of(word):
                self._add_word(spoken, phones)
        for phrase in self._phrases:
            for word in phrase.split():
                if self._decoder.lookup_word(word) is None:
                    raise ConfigError(
                        f"the pronunciation of '{word}' is not known",
                        remedy=f"add it under pronunciations, in ARPABET phones: '{word}: HH AH'",
                    )

    def _add_word(self, word: str, phones: str) -> None:
        # A second pronunciation of a known word is word(2), and comes back in the hypothesis as
        # the plain word.
        name, turn = word, 1
        while self._decoder.lookup_word(name) is not None:
            turn += 1
            name = f"{word}({turn})"
        try:
            self._decoder.add_word(name, " ".join(phones.upper().split()), True)
        except RuntimeError as error:
            raise ConfigError(
                f"the pronunciation of '{word}' has a phone that doesn't exist",
                remedy="use ARPABET phones without stress digits, separated by spaces: N AO R TH",
            ) from error

    def _decode(self, prepared: bytes, search: str) -> str:
        """Return the words heard, perhaps only a part of a phrase."""
        with self._lock:
            self._decoder.activate_search(search)
            self._decoder.start_utt()
            self._decoder.process_raw(prepared, no_search=False, full_utt=True)
            self._decoder.end_utt()
            hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""


def _longest_ms(phrase: str) -> int:
    """Return how long a phrase may take: slow speakers have 12 letters a second."""
    return 300 + 85 * len(phrase)


def _rms(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _prepare(speech: NDArray[np.int16], rms: float) -> bytes:
    """Bring speech to one level and lay padding and noise around it, as the model wants it.

    Args:
        speech: (n,) int16 at 16 kHz.
        rms: its level while somebody speaks.
    """
    gain = min(_SPEECH_RMS / max(rms, 1.0), _LARGEST_GAIN)
    padded = np.pad(speech.astype(np.float64) * gain, _PADDING_SAMPLES)
    padded += np.random.default_rng(_SEED).normal(0.0, _NOISE_SIGMA, padded.size)
    return np.clip(padded, -32768, 32767).astype("<i2").tobytes()


def guess_pronunciations(texts: Iterable[str], voice: str) -> dict[str, str]:
    """Return ARPABET phones for each word of some texts that the dictionary lacks.

    Blocks: the dictionary is read once (130,000 words).
    """
    unknown = {word for text in texts for word in words_of(text)} - _dictionary()
    return {word: _arpabet(phonemes(word, voice)) for word in sorted(unknown)}


def _arpabet(ipa: str) -> str:
    """Write IPA in ARPABET; stress and length that make no other phone are left out."""
    found, at = [], 0
    while at < len(ipa):
        size = next((n for n in range(_LONGEST, 0, -1) if ipa[at : at + n] in _PHONES), 0)
        if size:
            found.append(_PHONES[ipa[at : at + size]])
        at += size or 1
    return " ".join(found)


@functools.cache
def _dictionary() -> frozenset[str]:
    lines = Path(get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8")
    return frozenset(line.partition(" ")[0] for line in lines.splitlines())
