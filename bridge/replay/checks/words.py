"""Judges the agent's words by the caller's ear and by the session's own transcript. Pure.

The ear decides. Where it understood nothing of a stretch, the transcript may still show that the
words were never said; it can't show that the caller heard them.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bridge.replay.call.timeline import NOT_UNDERSTOOD
from bridge.replay.checks.check import CheckStatus
from bridge.replay.evidence.evidence import Evidence, WireEvent
from bridge.replay.evidence.heard_items import heard_items, references, utterances
from bridge.replay.script import Expectation
from bridge.speech.recognition import HeardPiece
from bridge.speech.words import numbers_in, words_of

_AMOUNT = re.compile(r"\$(\d[\d,]*)(?:\.(\d\d))?")
_AUDIO = ("response.audio.delta", "response.output_audio.delta")
_TRANSCRIPT = ("response.audio_transcript.done", "response.output_audio_transcript.done")


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """The agent's words in a stretch of the call, by the ear and by the session.

    Attributes:
        heard: by the caller's recogniser; ``[?]`` for what it did not understand.
        transcribed: the session's transcripts of it; None where there is no wire log.
        beside: each sentence that was heard, and the transcript of that moment, where there is one.
    """

    heard: str
    transcribed: tuple[str, ...] | None
    beside: tuple[tuple[str, str], ...] = ()

    @property
    def understood(self) -> bool:
        """Whether the recogniser understood all of it, and there was something."""
        return bool(self.heard) and NOT_UNDERSTOOD not in self.heard


Finds = Callable[[str], bool]
"""Whether a text holds what is looked for."""


def judge_said(said: AgentSaid, finds: Finds) -> tuple[CheckStatus, str]:
    """Decide whether the agent said something.

    Returns:
        The status, and what was found.
    """
    if finds(said.heard):
        other = _contradiction(said, finds)
        if other is None:
            return CheckStatus.PASS, f'it said "{said.heard}"'
        return CheckStatus.INCONCLUSIVE, (
            f'"{said.heard}" was heard, and the session\'s transcript says "{other}": where hears'
            " lacks what was said, the recogniser takes the nearest"
        )
    if not said.heard:
        return CheckStatus.FAIL, "it was not heard"
    if said.understood:
        other = " ".join(said.transcribed or ())
        differs = finds(_as_spoken(other))
        beside = f', and by the session\'s transcript "{other}"' if differs else ""
        return CheckStatus.FAIL, f'it said "{said.heard}"{beside}'
    if not said.transcribed:
        return CheckStatus.INCONCLUSIVE, (
            f'"{said.heard}" was heard, and not understood: it may be a sentence that is not in '
            "hears, or one that the line has spoiled"
        )
    text = " ".join(said.transcribed)
    if finds(text):
        return CheckStatus.INCONCLUSIVE, (
            f'"{said.heard}" was heard, and not understood; by the session\'s transcript it said '
            f'"{text}"'
        )
    return CheckStatus.FAIL, f'it said "{text}" by the session\'s transcript'


def _contradiction(said: AgentSaid, finds: Finds) -> str | None:
    """Return the transcript of what was found in the words heard, where it does not hold it."""
    transcribed = [text for heard, text in said.beside if finds(heard)]
    if not transcribed or any(finds(text) or finds(_as_spoken(text)) for text in transcribed):
        return None
    return transcribed[0]


def _as_spoken(text: str) -> str:
    """Write signs out as they are spoken: "$42.50" as "42 dollars and 50 cents"."""
    text = _AMOUNT.sub(_amount, text)
    return text.replace("%", " percent ")


def _amount(found: re.Match[str]) -> str:
    cents = f" and {found[2]} cents" if found[2] and found[2] != "00" else ""
    return f"{found[1]} dollars{cents}"


def judge_unsaid(said: AgentSaid, finds: Finds) -> tuple[CheckStatus, str]:
    """Decide whether the agent never said something."""
    for text in (said.heard, *(said.transcribed or ())):
        if finds(text):
            return CheckStatus.FAIL, f'it said "{text}"'
    if said.transcribed is None and said.heard and not said.understood:
        return CheckStatus.INCONCLUSIVE, "not all that was heard was understood"
    return CheckStatus.PASS, "it did not"


def wanted(expect: Expectation) -> Iterator[tuple[str, str, Finds]]:
    """Yield what an expectation wants to hear: its kind, in words, and how it is found."""
    if expect.text_contains is not None:
        text = expect.text_contains
        yield "text_contains", f'the agent to say "{text}"', holds_words(text)
    if expect.contains_any:
        texts = expect.contains_any
        expected = f"the agent to say {_listed(texts, 'or')}"
        yield "contains_any", expected, lambda said: any(holds_words(text)(said) for text in texts)
    if expect.contains_all:
        all_texts = expect.contains_all
        yield (
            "contains_all",
            f"the agent to say {_listed(all_texts, 'and')}",
            lambda said: all(holds_words(text)(said) for text in all_texts),
        )
    if expect.matches is not None:
        pattern = re.compile(expect.matches, re.IGNORECASE)
        expected = f"the agent's words to match /{expect.matches}/"
        yield "matches", expected, lambda said: pattern.search(said) is not None
    for number in expect.numbers:
        yield "numbers", f"the agent to say the number {number}", holds_number(number)


def holds_words(wanted: str) -> Finds:
    """Look for words one after the other."""
    return lambda text: contains_words(text, wanted)


def contains_words(text: str, wanted: str) -> bool:
    """Return whether ``text`` holds the words of ``wanted`` one after the other."""
    words, sought = words_of(text), words_of(wanted)
    return bool(sought) and any(
        words[at : at + len(sought)] == sought for at in range(len(words) - len(sought) + 1)
    )


def holds_number(number: int | str) -> Finds:
    """Look for a number, however it is spelled; a fraction is two, one after the other."""
    sought = numbers_in(str(number))

    def finds(text: str) -> bool:
        found = numbers_in(text)
        return any(
            found[at : at + len(sought)] == sought for at in range(len(found) - len(sought) + 1)
        )

    return finds


def beside(evidence: Evidence, pieces: Sequence[HeardPiece]) -> tuple[tuple[str, str], ...]:
    """Return each sentence that was heard, and the session's transcript of what sounded then."""
    if evidence.wire is None:
        return ()
    items = heard_items(evidence.wire, evidence.silenced_ms)
    transcribed = references([(p.start_ms, p.end_ms) for p in pieces], items)
    pairs = zip(pieces, transcribed, strict=True)
    return tuple((piece.text, text) for piece, text in pairs if piece.text and text)


def transcripts(evidence: Evidence, begins_ms: float, ends_ms: float) -> tuple[str, ...] | None:
    """Return what the session says that the agent said, of what began to come in a stretch.

    Returns:
        None where there is no wire log.
    """
    if evidence.wire is None:
        return None
    return tuple(
        text for at_ms, text in _answers(evidence.wire) if begins_ms <= at_ms < ends_ms and text
    )


def _answers(wire: Sequence[WireEvent]) -> Iterator[tuple[float, str]]:
    """Yield when an answer's first audio came, and its text."""
    begun: dict[str, float] = {}
    for event in wire:
        item_id = str(event.raw.get("item_id"))
        if event.type in _AUDIO:
            begun.setdefault(item_id, event.at_ms)
        elif event.type in _TRANSCRIPT:
            yield begun.get(item_id, event.at_ms), str(event.raw.get("transcript", ""))
    yield from ((each.start_ms, each.text) for each in utterances(wire))


def _listed(texts: Sequence[str], joint: str) -> str:
    return f" {joint} ".join(f'"{text}"' for text in texts)
