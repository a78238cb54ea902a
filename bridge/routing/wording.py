"""Finds phrases in a caller's words, word by word: "fire" is not in "fireplace". Pure."""

import re
from collections.abc import Iterable, Iterator

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")

_Words = tuple[str, ...]


def words_in(text: str) -> _Words:
    """Return the words of a text, case folded, in any script; punctuation is none."""
    return tuple(_WORD.findall(text.replace("\u2019", "'").casefold()))


class WordList:
    """Phrases that a transcript may hold.

    Args:
        phrases: each of one word or more.
        unless: words around one of the phrases with which it means something else ("an ambulance
            toy"): where they stand, nothing is found.
    """

    def __init__(self, phrases: Iterable[str], *, unless: Iterable[str] = ()) -> None:
        self._phrases = _longest_first(phrases)
        self._unless = _longest_first(unless)

    def __bool__(self) -> bool:
        return bool(self._phrases)

    def find(self, text: str) -> str | None:
        """Return the phrase that stands in ``text``, the longest where there are several."""
        said = words_in(text)
        covered = {place for words in self._unless for place in _places(words, said)}
        for words in self._phrases:
            for start in _starts(words, said):
                if covered.isdisjoint(range(start, start + len(words))):
                    return " ".join(words)
        return None

    def is_all_of(self, text: str) -> bool:
        """Return whether ``text`` is made of the phrases alone, one or more."""
        said = words_in(text)
        covered = {place for words in self._phrases for place in _places(words, said)}
        return bool(said) and len(covered) == len(said)


def _longest_first(phrases: Iterable[str]) -> tuple[_Words, ...]:
    found = {words_in(phrase) for phrase in phrases} - {()}
    return tuple(sorted(found, key=lambda words: (-len(words), words)))


def _starts(words: _Words, said: _Words) -> Iterator[int]:
    for start in range(len(said) - len(words) + 1):
        if said[start : start + len(words)] == words:
            yield start


def _places(words: _Words, said: _Words) -> Iterator[int]:
    for start in _starts(words, said):
        yield from range(start, start + len(words))


NO_WORDS = WordList(())
"""Nothing is found."""
