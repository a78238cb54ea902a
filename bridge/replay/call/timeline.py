"""Lays a played call out in the order of time: both sides' turns, and the interruptions.

Pure functions over what the phone noted and what the recogniser made of it. All times are ms since
the answer, on the audio clock of the caller's own phone.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.softphone.call import KEY_MS
from bridge.softphone.ear import HeardUtterance
from bridge.speech.recognition import HeardPiece

NOT_UNDERSTOOD = "[?]"
"""Stands in a turn's text for a stretch that was none of the expected sentences."""

_TOO_SHORT_MS = 60
"""So much of an utterance beside a filler is the filler's own edge."""

_SAME_TURN_MS = 1500
"""A longer pause of the agent's begins a turn of its own (a reprompt, say)."""


class Doing(enum.StrEnum):
    """Kinds of things that a caller does."""

    SAY = "say"
    INTERRUPT = "interrupt"
    BACKCHANNEL = "backchannel"
    DTMF = "dtmf"
    SILENCE = "silence"
    WAIT = "wait"
    HOLD = "hold"
    HANGUP = "hangup"
    LISTEN = "listen"


_SPOKEN = frozenset({Doing.SAY, Doing.INTERRUPT})
_HEARD = _SPOKEN | {Doing.BACKCHANNEL}
_ANSWERABLE = _SPOKEN | {Doing.DTMF}
_BREATH_MS = 600
"""An agent who fell silent so shortly before it was talked over was talking: synthetic sentences
pause for 360 ms."""


@dataclass(frozen=True, slots=True)
class Deed:
    """An act of the caller at a step, as it really was.

    Attributes:
        step: index of the script's step, from 0.
        text: the words or digits.
        start_ms: first sound of the words, first key, begin of the silence or of the listening.
        end_ms: last sound of the words, last key, end of the silence.
    """

    step: int
    doing: Doing
    text: str
    start_ms: int
    end_ms: int

    @property
    def answers_count_from_ms(self) -> int:
        """From when on the agent's speech is an answer to this.

        A key is known by its first packet, so it is answered while it still sounds.
        """
        if self.doing in (Doing.SILENCE, Doing.LISTEN):
            return self.start_ms
        if self.doing is Doing.DTMF:
            return max(self.start_ms, self.end_ms - KEY_MS)
        return self.end_ms

    @property
    def closes(self) -> bool:
        """Whether what the agent says from here on is no longer about what was before this."""
        return self.doing not in (Doing.BACKCHANNEL, Doing.WAIT)

    @property
    def closes_ms(self) -> int:
        """From when on the agent's speech is no longer part of what was before this.

        Sentences that an interrupted agent begins until the interruption is over are its old ones.
        """
        return self.end_ms if self.doing is Doing.INTERRUPT else self.start_ms


@dataclass(frozen=True, slots=True)
class HeardFiller:
    """A sound that bids the caller wait, and is none of the agent's speech."""

    start_ms: int
    end_ms: int
    kind: Literal["tone", "phrase"]


@dataclass(frozen=True, slots=True)
class CallLog:
    """An answered call as it was: acts, sounds, words and its end.

    Attributes:
        deeds: in order.
        utterances: when anything was heard, fillers included.
        pieces: sentences of the agent's, in order; without a recogniser their texts are None.
        recognised: a recogniser listened.
        ended_by_far_end: the far end sent BYE.
        cut_off: the caller hung up because the longest duration was reached.
        fillers: in the order of time.
    """

    deeds: Sequence[Deed]
    utterances: Sequence[HeardUtterance]
    pieces: Sequence[HeardPiece]
    recognised: bool
    duration_ms: int
    ended_by_far_end: bool
    cut_off: bool = False
    fillers: Sequence[HeardFiller] = ()


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """A stretch that one side spoke.

    Attributes:
        text: None where the agent was heard without a recogniser.
        latency_ms: the agent's: from the end of the caller's words or keys before it to its first
            sound; None if it spoke unasked, or before the caller had finished.
    """

    speaker: Literal["caller", "agent"]
    text: str | None
    start_ms: int
    end_ms: int
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class HeardInterruption:
    """The caller talked over the agent.

    Attributes:
        at_ms: first sound of the caller's words.
        stop_ms: from there to the agent's last sound; None if the agent was not speaking then, or
            spoke to the call's end.
    """

    text: str
    at_ms: int
    stop_ms: int | None


def voices(log: CallLog) -> list[HeardUtterance]:
    """Return when the agent's voice was heard: the utterances without the fillers in them."""
    found = list(log.utterances)
    for filler in log.fillers:
        found = [part for each in found for part in _without(each, filler)]
    return found


def _without(each: HeardUtterance, filler: HeardFiller) -> list[HeardUtterance]:
    """Return what is left of an utterance before and after a filler."""
    if filler.start_ms >= (each.end_ms or filler.end_ms) or filler.end_ms <= each.start_ms:
        return [each]
    left = []
    if filler.start_ms - each.start_ms > _TOO_SHORT_MS:
        left.append(HeardUtterance(each.start_ms, filler.start_ms))
    if each.end_ms is None or each.end_ms - filler.end_ms > _TOO_SHORT_MS:
        left.append(HeardUtterance(filler.end_ms, each.end_ms, each.cut))
    return left


def make_turns(log: CallLog) -> tuple[SpokenTurn, ...]:
    """Lay both sides' speech out in the order of time."""
    acts = [deed for deed in log.deeds if deed.doing in _ANSWERABLE]
    turns = [
        SpokenTurn("caller", deed.text, deed.start_ms, deed.end_ms)
        for deed in log.deeds
        if deed.doing in _HEARD
    ]
    answered: set[int] = set()
    for place, group in _stretches(acts, log.pieces):
        start_ms = group[0].start_ms
        latency_ms = None
        begins_ms = next((each.start_ms for each in group if not _bids_wait(each, log)), None)
        if place and place not in answered and begins_ms is not None:
            since_end_ms = begins_ms - acts[place - 1].end_ms
            latency_ms = since_end_ms if since_end_ms >= 0 else None
        if begins_ms is not None:
            answered.add(place)
        text = text_of(group) if log.recognised else None
        turns.append(SpokenTurn("agent", text, start_ms, group[-1].end_ms, latency_ms))
    return tuple(sorted(turns, key=lambda turn: turn.start_ms))


def _bids_wait(piece: HeardPiece, log: CallLog) -> bool:
    return any(each.start_ms <= piece.start_ms < each.end_ms for each in log.fillers)


def make_interruptions(log: CallLog) -> tuple[HeardInterruption, ...]:
    """Return each interruption, with the time in which the agent fell silent."""
    return tuple(
        HeardInterruption(deed.text, deed.start_ms, _stop_ms(deed, log.utterances))
        for deed in log.deeds
        if deed.doing is Doing.INTERRUPT
    )


def agent_heard_ms(utterances: Sequence[HeardUtterance]) -> int:
    """Sum up how long the agent was heard."""
    return sum((each.end_ms or each.start_ms) - each.start_ms for each in utterances)


def text_of(pieces: Sequence[HeardPiece]) -> str:
    """Join sentences; what was not understood is marked, not left out."""
    return " ".join(piece.text or NOT_UNDERSTOOD for piece in pieces)


def _stretches(
    acts: Sequence[Deed], pieces: Sequence[HeardPiece]
) -> list[tuple[int, list[HeardPiece]]]:
    """Group the agent's sentences: (number of caller's acts before it, its sentences)."""
    groups: list[tuple[int, list[HeardPiece]]] = []
    for piece in pieces:
        place = sum(act.closes_ms <= piece.start_ms for act in acts)
        if groups and groups[-1][0] == place:
            pause_ms = piece.start_ms - groups[-1][1][-1].end_ms
            if pause_ms <= _SAME_TURN_MS:
                groups[-1][1].append(piece)
                continue
        groups.append((place, [piece]))
    return groups


def _stop_ms(deed: Deed, utterances: Sequence[HeardUtterance]) -> int | None:
    stop_ms = None
    for each in utterances:
        if each.start_ms >= deed.end_ms or not each.goes_beyond(deed.start_ms - _BREATH_MS):
            continue
        if stop_ms is None and each.start_ms >= deed.start_ms:
            continue  # it had been silent, and speaks over the caller
        if each.cut or each.end_ms is None:
            return None
        stop_ms = max(0, each.end_ms - deed.start_ms)
    return stop_ms
