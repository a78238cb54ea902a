"""Judges the demo by holding each side's transcript of the other against what was said.

Both sides are compared from outside: the agent's words as the caller's own recogniser heard them
against the gateway's record, the gateway's transcript against the words that the caller's script
holds. Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.errors import Outcome
from bridge.speech.words import word_error_rate, words_of

LARGEST_WORD_ERROR_RATE = 0.2
"""What a listener shrugs off: one word in five."""

SpeakerName = Literal["caller", "agent", "bridge"]


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One line of the conversation in the gateway's record.

    Attributes:
        latency_ms: agent only: the caller's last sound (for the greeting: the answer) to the
            agent's first, as PJSIP sent it out.
        interrupted: the caller cut it off, so its end was never heard.
    """

    speaker: SpeakerName
    text: str
    latency_ms: int | None = None
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class CallerSide:
    """What the caller knows.

    Attributes:
        said: its utterances, in order.
        heard: what its recogniser made of the agent, sentence by sentence; "" for speech that was
            not understood.
        agent_heard_ms: how long the agent's voice was to be heard.
        failures: expectations of its script that did not hold.
    """

    said: Sequence[str]
    heard: Sequence[str]
    agent_heard_ms: int
    failures: Sequence[str] = ()


def judge(outcome: str, turns: Sequence[RecordedTurn], caller: CallerSide) -> list[str]:
    """Return what was wrong with a call.

    Args:
        outcome: how the gateway says that the call ended.
        turns: its record of the conversation.
        caller: the other end's.

    Returns:
        One sentence for each fault; none means that all went well.
    """
    faults = list(caller.failures)
    if outcome != Outcome.COMPLETED:
        faults.append(f"the call ended as {outcome or 'unknown'}, not as {Outcome.COMPLETED}")
    if caller.agent_heard_ms <= 0:
        faults.append("the caller heard no speech at all")
    agent = [turn for turn in turns if turn.speaker == "agent"]
    if not any(not turn.interrupted for turn in agent):
        faults.append("the gateway's record has no agent turn that was heard to its end")
    heard = _share_out([_Reference(turn.text, turn.interrupted) for turn in agent], caller.heard)
    for number, (turn, words) in enumerate(zip(agent, heard, strict=True), start=1):
        faults += _compare(f"agent turn {number}", "heard", _Reference.of(turn), words)
    transcripts = [turn.text for turn in turns if turn.speaker == "caller"]
    written = _share_out([_Reference(text) for text in caller.said], transcripts)
    for number, (text, words) in enumerate(zip(caller.said, written, strict=True), start=1):
        faults += _compare(f"caller utterance {number}", "transcribed", _Reference(text), words)
    if not agent and any(caller.heard):
        faults.append("the caller heard speech that the gateway's record lacks")
    if not caller.said and transcripts:
        faults.append("the gateway transcribed a caller who said nothing")
    return faults


@dataclass(frozen=True, slots=True)
class _Reference:
    """What was said; ``cut`` where only its beginning can have been heard."""

    text: str
    cut: bool = False

    @classmethod
    def of(cls, turn: RecordedTurn) -> "_Reference":
        return cls(turn.text, turn.interrupted)

    def error_rate(self, heard: str) -> float:
        if not self.cut:
            return word_error_rate(self.text, heard)
        if not (count := len(words_of(heard))):
            return 0.0
        return word_error_rate(" ".join(words_of(self.text)[:count]), heard)

    def edits(self, heard: str) -> float:
        said, got = len(words_of(self.text)), len(words_of(heard))
        if got > 2 * said + 2:
            return got - said  # the fewest that it can be; the exact number takes long
        return self.error_rate(heard) * max(1, got if self.cut else said)


def _compare(what: str, verb: str, said: _Reference, words: str) -> list[str]:
    rate = said.error_rate(words)
    if rate <= LARGEST_WORD_ERROR_RATE:
        return []
    got = f'{verb} as "{words}"' if words else f"not {verb}"
    return [f'{what} was {got} (word error rate {rate:.2f}): "{said.text}"']


def _share_out(references: Sequence[_Reference], pieces: Sequence[str]) -> list[str]:
    """Give consecutive pieces to each reference, in order and all of them, with fewest edits.

    A speaker's pauses cut a turn into several pieces, so pieces and turns can't be paired off one
    by one.

    Returns:
        For each reference its pieces, joined; "" where it got none.
    """
    if not references:
        return []
    spoken = [piece for piece in pieces if words_of(piece)]
    counts = range(len(spoken) + 1)
    # best[j]: fewest edits when the references so far take the first j pieces; taken: their cuts.
    best = [0.0 if j == 0 else math.inf for j in counts]
    taken: list[list[int]] = []
    for reference in references:
        row = [
            min(
                (best[k] + reference.edits(" ".join(spoken[k:j])), k)
                for k in range(j + 1)
                if best[k] < math.inf
            )
            for j in counts
        ]
        best = [edits for edits, _ in row]
        taken.append([cut for _, cut in row])
    shares: list[str] = []
    end = len(spoken)
    for cuts in reversed(taken):
        shares.append(" ".join(spoken[cuts[end] : end]))
        end = cuts[end]
    return shares[::-1]
