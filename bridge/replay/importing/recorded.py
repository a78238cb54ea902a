"""A recorded call, from either kind of recording: speech, keys, holds, tools.

All times are ms into the recording. Pure data; what nobody knows is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from bridge.audio.levels import find_speech

Sound = npt.NDArray[np.int16]

OVER_AGENT_MS = 100
"""Who begins so shortly before the agent's end does not interrupt."""
_SAME_WORDS_MS = 1_000
"""A caller who goes on after a shorter pause says one thing; people think for longer."""


@dataclass(frozen=True, slots=True)
class RecordedSpeech:
    """A stretch that the caller spoke.

    Attributes:
        text: redacted; None where the words are unknown.
        backchannel: the gateway took it for a sound of listening; None where it did not judge.
    """

    start_ms: int
    end_ms: int
    text: str | None = None
    backchannel: bool | None = None


@dataclass(frozen=True, slots=True)
class RecordedKeys:
    """Keys that the caller pressed together.

    Attributes:
        digits: None where they were not kept.
        count: how many.
    """

    start_ms: int
    end_ms: int
    digits: str | None
    count: int


@dataclass(frozen=True, slots=True)
class RecordedHold:
    """The caller had the call on hold."""

    start_ms: int
    end_ms: int


CallerAct = RecordedSpeech | RecordedKeys | RecordedHold


@dataclass(frozen=True, slots=True)
class AgentWords:
    """The words of an item of the agent's.

    Attributes:
        at_ms: where it began to be heard, or was known.
        text: whole, also where it was interrupted; redacted. None where it is unknown.
        heard: what the caller heard of it.
        by_bridge: a phrase of the bridge's own.
    """

    at_ms: int
    text: str | None
    heard: str | None
    by_bridge: bool = False


@dataclass(frozen=True, slots=True)
class RecordedToolUse:
    """A call of a tool, as it was recorded.

    Attributes:
        arguments: as the model wrote them, redacted; None where they were not kept.
        output: what the webhook answered, redacted; None for a built-in tool, or where not kept.
        code: ``ok`` or why it failed; None for a built-in tool.
        took_ms: None for a built-in tool.
    """

    at_ms: int
    name: str
    arguments: Mapping[str, JsonValue] | None
    output: JsonValue = None
    code: str | None = None
    took_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A recorded call: both sides' sounds, words, keys, holds and tools.

    Attributes:
        name: the call's id, or the recording's name.
        consent: why it may be used, in words.
        keep_until: when the caller's voice has to be gone (ISO date); None where nothing says.
        caller, agent: (n,) int16 each, the recording's two sides, at ``rate_hz``.
        answered_ms, ended_ms: of the call.
        acts: of the caller, in order.
        words: of the agent, in order; empty where they are unknown.
        agent_spans: where the agent is heard, as a phone would notice it.
        prompted_ms: where the bridge asked a silent caller.
        route, called, codec, state: of the gateway's record; None where there is none.
        ended_by: who hung up; None where nothing says.
    """

    name: str
    consent: str
    caller: Sound
    agent: Sound
    rate_hz: int
    answered_ms: int
    ended_ms: int
    acts: tuple[CallerAct, ...]
    words: tuple[AgentWords, ...] = ()
    tools: tuple[RecordedToolUse, ...] = ()
    agent_spans: tuple[tuple[int, int], ...] = ()
    prompted_ms: tuple[int, ...] = ()
    keep_until: str | None = None
    route: str | None = None
    called: str | None = None
    codec: str | None = None
    state: str | None = None
    ended_by: Literal["caller", "bridge"] | None = None

    def agent_span_at(self, at_ms: int) -> tuple[int, int] | None:
        """Return the stretch of the agent's in which the caller speaks up, if that cuts in."""
        return next(
            (
                span
                for span in self.agent_spans
                if span[0] <= at_ms and at_ms + OVER_AGENT_MS < span[1]
            ),
            None,
        )


def spans_of(sound: Sound, rate_hz: int) -> tuple[tuple[int, int], ...]:
    """Return where somebody is heard, (start, end) in ms, as :class:`bridge.softphone.ear.Ear`."""
    return tuple(
        (start * 1000 // rate_hz, end * 1000 // rate_hz)
        for start, end in find_speech(sound, rate_hz)
    )


def utterances_of(
    sound: Sound, rate_hz: int, agent_spans: tuple[tuple[int, int], ...]
) -> list[tuple[int, int]]:
    """Return what the caller said at a stretch each, (start, end) in ms.

    A pause in which the agent begins to speak parts two of them, however short it is.
    """
    joined: list[tuple[int, int]] = []
    for start_ms, end_ms in spans_of(sound, rate_hz):
        if joined:
            before_ms = joined[-1][1]
            answered = any(before_ms <= begun_ms < start_ms for begun_ms, _ in agent_spans)
            if start_ms - before_ms < _SAME_WORDS_MS and not answered:
                joined[-1] = (joined[-1][0], end_ms)
                continue
        joined.append((start_ms, end_ms))
    return joined


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a call from an act of the caller's up to the next."""

    act: CallerAct | None
    until_ms: int
    words: tuple[AgentWords, ...]
    tools: tuple[RecordedToolUse, ...]


def stretches_of(call: RecordedCall) -> list[Stretch]:
    """Part a call into what the caller did, and what came of each; the first is the greeting."""
    starts = [0, *(act.start_ms for act in call.acts), call.ended_ms + 1]
    acts = (None, *call.acts)
    return [
        Stretch(
            act,
            until_ms,
            tuple(each for each in call.words if from_ms <= each.at_ms < until_ms),
            tuple(each for each in call.tools if from_ms <= each.at_ms < until_ms),
        )
        for act, (from_ms, until_ms) in zip(acts, pairwise(starts), strict=True)
    ]
