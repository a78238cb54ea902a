"""Guesses pronunciations that the recogniser's dictionary lacks, for a person to mend.

espeak-ng gives the sounds in IPA; the recogniser wants them in ARPABET (CMU's 39 phones).
"""

import functools
from collections.abc import Iterable
from pathlib import Path

from pocketsphinx import get_model_path

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
