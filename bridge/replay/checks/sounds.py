"""Measures silences, overlaps and stops from the sounds of both sides of a call. Pure.

Times are ms since the answer on the caller's clock. The agent's sounds are those that the caller
heard; the caller's are the deeds that make one.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from bridge.replay.call.timeline import CallLog, Deed, Doing

Span = tuple[int, int]
"""Begin and end, ms."""

PAUSE_MS = 600
"""A speaker who says nothing for longer has ended: synthetic sentences pause for 360 ms."""

_SPEAKS = frozenset({Doing.SAY, Doing.INTERRUPT, Doing.BACKCHANNEL})
_SOUNDS = _SPEAKS | {Doing.DTMF, Doing.HOLD}
"""On hold nobody is expected to be heard."""
_TURNS = frozenset({Doing.SAY, Doing.INTERRUPT, Doing.DTMF, Doing.HOLD, Doing.HANGUP})


def agent_spans(log: CallLog) -> list[Span]:
    """Return when the agent was heard."""
    return [
        (each.start_ms, log.duration_ms if each.end_ms is None else each.end_ms)
        for each in log.utterances
    ]


def overlap_ms(one: Sequence[Span], other: Sequence[Span]) -> int:
    """Sum up for how long both of two sides were heard."""
    return sum(
        max(0, min(a_end, b_end) - max(a_start, b_start))
        for a_start, a_end in one
        for b_start, b_end in other
    )


def talk_over_ms(log: CallLog, deeds: Sequence[Deed]) -> int:
    """Sum up for how long the agent was heard during the words of some deeds."""
    words = [(deed.start_ms, deed.end_ms) for deed in deeds if deed.doing in _SPEAKS]
    return overlap_ms(words, agent_spans(log))


def longest_dead_air(log: CallLog, begins_ms: int, ends_ms: int) -> Span | None:
    """Find the longest time in which nobody was heard, and the agent could have spoken.

    A pause that the caller makes before the next words, after the agent has spoken, is theirs.

    Returns:
        None where there is none.
    """
    gaps = list(_gaps(log, begins_ms, ends_ms))
    return max(gaps, key=lambda gap: gap[1] - gap[0], default=None)


def _gaps(log: CallLog, begins_ms: int, ends_ms: int) -> Iterator[Span]:
    agents = {start_ms for start_ms, _ in agent_spans(log)}
    sounds = [(deed.start_ms, deed.end_ms) for deed in log.deeds if deed.doing in _SOUNDS]
    turns = {deed.start_ms for deed in log.deeds if deed.doing in _TURNS}
    if not log.ended_by_far_end:
        turns.add(log.duration_ms)
    inside = [
        (max(start_ms, begins_ms), min(end_ms, ends_ms))
        for start_ms, end_ms in sorted([*agent_spans(log), *sounds])
        if end_ms > begins_ms and start_ms < ends_ms
    ]
    heard_to_ms, agent_was_last = begins_ms, False
    for start_ms, end_ms in [*inside, (ends_ms, ends_ms)]:
        callers_own = agent_was_last and start_ms in turns
        if start_ms > heard_to_ms and not callers_own:
            yield heard_to_ms, start_ms
        if end_ms >= heard_to_ms:
            agent_was_last = start_ms in agents
        heard_to_ms = max(heard_to_ms, end_ms)


def resumes_at_ms(log: CallLog, deed: Deed) -> int | None:
    """Return when an interrupted agent began to speak again during the caller's words."""
    spans = agent_spans(log)
    for (_, end_ms), (start_ms, _) in pairwise(spans):
        if end_ms >= deed.start_ms and end_ms < start_ms < deed.end_ms:
            return start_ms
    return None


def stopped_for(log: CallLog, deed: Deed) -> Span | None:
    """Return when the agent fell silent during or just after a backchannel, and until when.

    Returns:
        From its last sound to the next one (or the call's end); None where it went on.
    """
    turns = _without_pauses(agent_spans(log))
    ends = [end_ms for start_ms, end_ms in turns if start_ms <= deed.start_ms]
    if not ends:
        return deed.start_ms, deed.start_ms
    stopped_ms = ends[-1]
    if stopped_ms >= deed.end_ms + PAUSE_MS:
        return None
    begins = [start_ms for start_ms, _ in turns if start_ms > stopped_ms]
    return stopped_ms, begins[0] if begins else log.duration_ms


def _without_pauses(spans: Sequence[Span]) -> list[Span]:
    """Join what no more than a pause is between."""
    joined: list[Span] = []
    for start_ms, end_ms in spans:
        if joined and start_ms - joined[-1][1] <= PAUSE_MS:
            start_ms, _ = joined.pop()
        joined.append((start_ms, end_ms))
    return joined
