"""A conversation as a judge reads it, and the search for its quotes in it. Pure.

The agent's words are those that the caller's phone heard where all were understood, else those of
the session's transcript. A quote counts that occurs in one turn, word for word, and in the
session's transcript of that turn, too, where there is one; case, punctuation and how numbers are
written don't matter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.replay.call.timeline import NOT_UNDERSTOOD
from bridge.replay.checks.words import contains_words
from bridge.replay.results.detail import JudgeQuote, TranscriptTurn
from bridge.speech.words import sentences_of, words_of

_LEAST_WORDS = 3
"""Fewer are found anywhere ("to the"); a whole sentence may be shorter."""
_TO_A_JUDGE = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,60}"
    r"\b(?:instruction|question|prompt|rule|above|previous|transcript)"
    r"|\b(?:say|answer|reply|respond|output|return|mark|rate)\b.{0,30}\b(?:pass(?:ed)?|json)\b"
    r"|\b(?:judge|grader|evaluator|language model)\b",
    re.IGNORECASE,
)
"""Sentences that speak to whoever reads the conversation, not to who is on the phone."""


@dataclass(frozen=True, slots=True)
class ConversationTurn:
    """A turn of a conversation.

    Attributes:
        text: as the judge reads it.
        transcribed: by the session's transcript; None where nothing was.
    """

    speaker: str
    text: str
    at_ms: int
    transcribed: str | None = None

    def holds(self, quote: str) -> bool:
        """Return whether both, what was heard and what was transcribed, hold a quote."""
        texts = [self.text] if self.transcribed is None else [self.text, self.transcribed]
        return all(contains_words(text, quote) for text in texts)


def conversation_of(turns: Sequence[TranscriptTurn]) -> tuple[ConversationTurn, ...]:
    """Return a conversation's turns; those of which no word is known are left out."""
    found = []
    for turn in turns:
        understood = turn.text is not None and NOT_UNDERSTOOD not in turn.text
        heard = turn.speaker == "caller" or understood or turn.reference is None
        text = turn.text if heard else turn.reference
        if text is not None and words_of(text.replace(NOT_UNDERSTOOD, "")):
            transcribed = turn.reference if turn.speaker == "agent" else None
            found.append(ConversationTurn(turn.speaker, text, turn.start_ms, transcribed))
    return tuple(found)


def find_quote(quote: str, conversation: Sequence[ConversationTurn]) -> JudgeQuote | None:
    """Return where a quote occurs, first in the agent's turns; None where it does not count.

    It does not where nobody said it, where it is too short to prove anything, and where it is of a
    sentence that speaks to the judge. The sentence that it is part of is returned whole: a judge
    that leaves a "not" out of its quote hides it from nobody.
    """
    if not words_of(quote):
        return None
    agent_first = sorted(conversation, key=lambda said: said.speaker != "agent")
    for said in agent_first:
        if not said.holds(quote):
            continue
        sentences = sentences_of(said.text)
        whole = any(words_of(sentence) == words_of(quote) for sentence in sentences)
        if len(words_of(quote)) < _LEAST_WORDS and not whole:
            return None
        to_judge = [sentence for sentence in sentences if _TO_A_JUDGE.search(sentence)]
        if _TO_A_JUDGE.search(quote) or any(_overlap(sentence, quote) for sentence in to_judge):
            continue
        around = " ".join(each for each in sentences if _overlap(each, quote)) or quote
        return JudgeQuote(around, said.speaker, said.at_ms)
    return None


def _overlap(sentence: str, quote: str) -> bool:
    """Return whether a quote is of a sentence, in whole or in part."""
    return contains_words(sentence, quote) or contains_words(quote, sentence)
