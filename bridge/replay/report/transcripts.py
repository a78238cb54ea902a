"""Two arms' transcripts side by side: turn by turn, word by word. Pure.

Both callers said the same things, so the caller's turns are the rungs; what the agent said between
two of them on one arm stands beside what it said there on the other.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest

from bridge.replay.report.facts import Fact, FactKind, differing, find_facts
from bridge.replay.results.detail import TranscriptTurn
from bridge.speech.words import word_error_rate, words_of

_TOKEN = re.compile(r"\S+")


class Likeness(enum.StrEnum):
    """The likeness of two wordings."""

    SAME = "same"
    """Word for word."""
    WORDED = "worded"
    """Other words, but the same numbers, dates and names."""
    CONTENT = "content"
    """A number, a date or a name differs."""
    ONE_SIDED = "one-sided"
    """Only one arm said anything here."""
    UNKNOWN = "unknown"
    """Nobody wrote down what was said."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is shown.

    Attributes:
        differs: it is not in the other text.
        fact: the kind of fact that it belongs to.
        fact_differs: and the other text doesn't say the same.
    """

    text: str
    differs: bool = False
    fact: FactKind | None = None
    fact_differs: bool = False


@dataclass(frozen=True, slots=True)
class ArmTurn:
    """A side's turn on one arm.

    Attributes:
        words: what was heard on the line; empty where nobody wrote it down.
        other: the other record of the same words: what the session understood of the caller, or
            what it says the agent said; None where it is the same, or missing.
        open_text: the agent's words by a recogniser of any words; None without one.
        open_error_rate: of those against what it said.
        heard: the caller's recogniser wrote the words down; else the session says so.
        error_rate: of ``other`` against the words for the caller, 0.0 to 1.0 and beyond.
    """

    start_ms: int
    end_ms: int
    words: tuple[Word, ...]
    other: tuple[Word, ...] | None = None
    error_rate: float | None = None
    off_script: bool = False
    heard: bool = True
    open_text: str | None = None
    open_error_rate: float | None = None


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn on both arms.

    Attributes:
        differences: in numbers, dates and names, in words.
    """

    speaker: str
    first: ArmTurn | None
    second: ArmTurn | None
    likeness: Likeness
    differences: tuple[str, ...] = field(default=())


def align(first: Sequence[TranscriptTurn], second: Sequence[TranscriptTurn]) -> tuple[TurnRow, ...]:
    """Lay two transcripts beside each other."""
    rows = []
    for ours, theirs in zip_longest(_rungs(first), _rungs(second), fillvalue=()):
        # A rung begins with the caller's turn; the talk before the first one has none.
        rows += [_row(*pair) for pair in zip_longest(*_matched(ours, theirs))]
    return tuple(rows)


def input_error_rate(transcript: Sequence[TranscriptTurn]) -> float | None:
    """Return the word error rate of the session's input transcript over a whole call.

    Returns:
        None where the session gave none.
    """
    known = [turn for turn in transcript if _reference(turn) and turn.recognised is not None]
    if not known:
        return None
    sizes = [len(words_of(_reference(turn))) for turn in known]
    edits = sum(
        word_error_rate(_reference(turn), turn.recognised or "") * size
        for turn, size in zip(known, sizes, strict=True)
    )
    return edits / max(1, sum(sizes))


def compare_words(text: str, other: str) -> tuple[Word, ...]:
    """Return a text's words, marked where the other text differs."""
    tokens = list(_TOKEN.finditer(text))
    differs = _differing_tokens([words_of(token.group()) for token in tokens], words_of(other))
    facts = find_facts(text)
    lone, _ = differing(facts, find_facts(other))
    return tuple(
        _word(token, changed, facts, lone) for token, changed in zip(tokens, differs, strict=True)
    )


def plain_words(text: str) -> tuple[Word, ...]:
    """Return a text's words with its facts, compared to nothing."""
    facts = find_facts(text)
    return tuple(_word(token, False, facts, ()) for token in _TOKEN.finditer(text))


def _rungs(turns: Sequence[TranscriptTurn]) -> list[list[TranscriptTurn]]:
    """Split a transcript before each turn of the caller's."""
    rungs: list[list[TranscriptTurn]] = [[]]
    for turn in turns:
        if turn.speaker == "caller":
            rungs.append([turn])
        else:
            rungs[-1].append(turn)
    return rungs


def _matched(
    ours: Sequence[TranscriptTurn], theirs: Sequence[TranscriptTurn]
) -> tuple[list[TranscriptTurn | None], list[TranscriptTurn | None]]:
    """Put the caller's turn of a rung, which one arm's call may lack, on a row of its own."""
    sides: tuple[list[TranscriptTurn | None], list[TranscriptTurn | None]] = ([*ours], [*theirs])
    callers = [bool(side) and side[0] is not None and side[0].speaker == "caller" for side in sides]
    for side, has_caller in zip(sides, callers, strict=True):
        if any(callers) and not has_caller:
            side.insert(0, None)
    return sides


def _row(ours: TranscriptTurn | None, theirs: TranscriptTurn | None) -> TurnRow:
    speaker = next(turn.speaker for turn in (ours, theirs) if turn is not None)
    if speaker == "caller":
        return _caller_row(ours, theirs)
    texts = [_agent_text(turn) for turn in (ours, theirs)]
    first, second = (
        None if turn is None else _said(turn, text, other)
        for turn, text, other in zip((ours, theirs), texts, reversed(texts), strict=True)
    )
    likeness, differences = _likeness(ours, theirs, *texts)
    return TurnRow(speaker, first, second, likeness, differences)


def _caller_row(ours: TranscriptTurn | None, theirs: TranscriptTurn | None) -> TurnRow:
    first, second = (None if turn is None else _caller_said(turn) for turn in (ours, theirs))
    if first is None or second is None:
        return TurnRow("caller", first, second, Likeness.ONE_SIDED)
    return TurnRow("caller", first, second, Likeness.SAME)


def _caller_said(turn: TranscriptTurn) -> ArmTurn:
    text = _reference(turn)
    understood = turn.recognised
    return ArmTurn(
        turn.start_ms,
        turn.end_ms,
        plain_words(text) if understood is None else compare_words(text, understood),
        None if understood is None else compare_words(understood, text),
        None if understood is None else word_error_rate(text, understood),
        turn.off_script,
    )


def _said(turn: TranscriptTurn, text: str | None, other: str | None) -> ArmTurn:
    if text is None:
        return ArmTurn(turn.start_ms, turn.end_ms, (), off_script=turn.off_script)
    reference = turn.reference
    differs = reference is not None and words_of(reference) != words_of(text)
    heard = turn.text is not None and text == turn.text
    return ArmTurn(
        turn.start_ms,
        turn.end_ms,
        plain_words(text) if other is None else compare_words(text, other),
        _only_wording(compare_words(reference, text))
        if differs and reference is not None
        else None,
        off_script=turn.off_script,
        heard=heard,
        open_text=turn.open_text,
        open_error_rate=turn.open_error_rate,
    )


def _only_wording(words: Sequence[Word]) -> tuple[Word, ...]:
    """Leave the facts out: of an answer that was cut short, most of them were never heard."""
    return tuple(Word(word.text, word.differs) for word in words)


def _likeness(
    ours: TranscriptTurn | None,
    theirs: TranscriptTurn | None,
    first: str | None,
    second: str | None,
) -> tuple[Likeness, tuple[str, ...]]:
    if ours is None or theirs is None:
        return Likeness.ONE_SIDED, ()
    if first is None or second is None:
        return Likeness.UNKNOWN, ()
    if words_of(first) == words_of(second):
        return Likeness.SAME, ()
    gone, come = differing(find_facts(first), find_facts(second))
    if not gone and not come:
        return Likeness.WORDED, ()
    return Likeness.CONTENT, tuple(_difference(*pair) for pair in zip_longest(gone, come))


def _difference(gone: Fact | None, come: Fact | None) -> str:
    if gone is not None and come is not None:
        kind = gone.kind.value if gone.kind is come.kind else f"{gone.kind} or {come.kind}"
        return f"{kind}: “{gone.text}” became “{come.text}”"
    if gone is not None:
        return f"{gone.kind}: “{gone.text}” is missing"
    assert come is not None
    return f"{come.kind}: “{come.text}” is new"


def _agent_text(turn: TranscriptTurn | None) -> str | None:
    """What the caller heard; where nobody recognised it, what the session says was said."""
    if turn is None:
        return None
    # A recogniser that made nothing of it leaves a mark, and no words.
    return turn.text if turn.text and words_of(turn.text) else turn.reference


def _reference(turn: TranscriptTurn) -> str:
    return turn.reference or turn.text or "" if turn.speaker == "caller" else ""


def _differing_tokens(tokens: Sequence[tuple[str, ...]], other: Sequence[str]) -> list[bool]:
    """Return for each token, spelled as words, whether any of them is not in the other text."""
    flat = [word for token in tokens for word in token]
    matcher = SequenceMatcher(None, flat, list(other), autojunk=False)
    same = {at + i for at, _, size in matcher.get_matching_blocks() for i in range(size)}
    differs, at = [], 0
    for token in tokens:
        differs.append(any(at + i not in same for i in range(len(token))))
        at += len(token)
    return differs


def _word(token: re.Match[str], differs: bool, facts: Sequence[Fact], lone: Sequence[Fact]) -> Word:
    start, end = token.span()
    fact = next((each for each in facts if each.start < end and start < each.end), None)
    if fact is None:
        return Word(token.group(), differs)
    # A number that moved, or is written otherwise, is no difference.
    return Word(token.group(), differs and fact in lone, fact.kind, fact in lone)
