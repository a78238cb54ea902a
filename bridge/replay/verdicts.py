"""Verdicts: what was expected of a call, against what was heard. Pure.

What can't be shown did not happen: missing evidence is never a pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bridge.replay.script import (
    Backchannel,
    CallScript,
    Ending,
    HangUp,
    Hold,
    Interruption,
    KeyPresses,
    Saying,
    Silence,
    Step,
    Wait,
)
from bridge.replay.timeline import CallLog, Deed, make_interruptions, text_of
from bridge.speech.recognition import HeardPiece
from bridge.speech.words import words_of

_FOR_EVER_MS = 1 << 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was expected.

    Attributes:
        step: number of the script's step, from 1; None for the call as a whole.
        expected: what, in words.
        found: what there was instead, or what it was.
    """

    step: int | None
    expected: str
    ok: bool
    found: str

    def __str__(self) -> str:
        place = "the call" if self.step is None else f"step {self.step}"
        return f"{place}: expected {self.expected}; {self.found}"


@dataclass(frozen=True, slots=True)
class _Answer:
    """The agent's speech after a step, up to the caller's next deed.

    Attributes:
        latency_ms: None if it was not heard; negative if it began before the caller had finished.
        stop_ms: of an interruption.
    """

    latency_ms: int | None
    text: str
    stop_ms: int | None


def check(script: CallScript, log: CallLog | None) -> tuple[Verdict, ...]:
    """Judge a call.

    Args:
        script: what was expected.
        log: what happened; None if the call was not answered.
    """
    if log is None:
        return tuple(_all_missing(script))
    return (*_check_steps(script, log), *_check_end(script.end, log))


def _all_missing(script: CallScript) -> Iterator[Verdict]:
    yield Verdict(None, "an answer", False, "the call was not answered")
    for number, step in enumerate(script.caller, start=1):
        yield from _expectations(number, step, None, "the call was not answered")


def _check_steps(script: CallScript, log: CallLog) -> Iterator[Verdict]:
    deeds = {deed.step: deed for deed in log.deeds}
    last_done = max(deeds, default=-1)
    for index, step in enumerate(script.caller):
        deed = deeds.get(index)
        if deed is not None:
            yield from _expectations(index + 1, step, _answer_to(deed, log), "")
            continue
        why = "the call was over by then" if index > last_done else "the agent was not speaking"
        if script.end.after_s is None or not log.cut_off:
            yield Verdict(index + 1, describe(step), False, why)
        yield from _expectations(index + 1, step, None, why)


def _expectations(
    number: int, step: Step, answer: _Answer | None, missing: str
) -> Iterator[Verdict]:
    expect = step.expect
    if expect is None:
        return
    judges: list[tuple[object, str, Callable[[_Answer], tuple[bool, str]]]] = [
        (
            expect.text_contains,
            f'the agent to say "{expect.text_contains}"',
            lambda found: _judge_text(expect.text_contains or "", found),
        ),
        (
            expect.within_ms,
            f"the agent within {expect.within_ms} ms",
            lambda found: _judge_latency(expect.within_ms or 0, found),
        ),
        (
            expect.agent_silent_within_ms,
            f"the agent to fall silent within {expect.agent_silent_within_ms} ms",
            lambda found: _judge_stop(expect.agent_silent_within_ms or 0, found),
        ),
    ]
    for wanted, expected, judge in judges:
        if wanted is not None:
            ok, found = (False, missing) if answer is None else judge(answer)
            yield Verdict(number, expected, ok, found)


def _judge_text(wanted: str, answer: _Answer) -> tuple[bool, str]:
    if not answer.text:
        return False, "it was not heard"
    return contains_words(answer.text, wanted), f'it said "{answer.text}"'


def _judge_latency(limit_ms: int, answer: _Answer) -> tuple[bool, str]:
    match answer.latency_ms:
        case None:
            return False, "it was not heard"
        case early if early < 0:
            return False, "it spoke before the caller had finished"
        case latency_ms:
            return latency_ms <= limit_ms, f"it took {latency_ms} ms"


def _judge_stop(limit_ms: int, answer: _Answer) -> tuple[bool, str]:
    if answer.stop_ms is None:
        return False, "it was not speaking then, or did not stop before the call's end"
    return answer.stop_ms <= limit_ms, f"it took {answer.stop_ms} ms"


def _check_end(end: Ending, log: CallLog) -> Iterator[Verdict]:
    if log.cut_off and end.after_s is None:
        found = f"it was cut off after {log.duration_ms / 1000:.1f} s"
        yield Verdict(None, f"its end within {end.max_duration_s:g} s", False, found)
    if end.by == "anyone":
        return
    found = f"{'the bridge' if log.ended_by_far_end else 'the caller'} hung up"
    wanted_far_end = end.by == "bridge"
    yield Verdict(None, f"the {end.by} to hang up", log.ended_by_far_end is wanted_far_end, found)


def _answer_to(deed: Deed, log: CallLog) -> _Answer:
    following = {before.step: after.closes_ms for before, after in pairwise(log.deeds)}
    begins_ms, ends_ms = deed.answers_count_from_ms, following.get(deed.step, _FOR_EVER_MS)
    starts = [each.start_ms for each in log.utterances if deed.start_ms <= each.start_ms < ends_ms]
    # An answer that began early is one only if nothing came at the right time.
    in_time = [start_ms for start_ms in starts if start_ms >= begins_ms]
    first_ms = next(iter(in_time or starts), None)
    stops = {each.at_ms: each.stop_ms for each in make_interruptions(log)}
    return _Answer(
        latency_ms=None if first_ms is None else first_ms - begins_ms,
        text=text_of(_within(log.pieces, deed.start_ms, begins_ms, ends_ms)),
        stop_ms=stops.get(deed.start_ms),
    )


def _within(
    pieces: Sequence[HeardPiece], starts_from_ms: int, ends_after_ms: int, starts_before_ms: int
) -> list[HeardPiece]:
    return [
        piece
        for piece in pieces
        if starts_from_ms <= piece.start_ms < starts_before_ms and piece.end_ms > ends_after_ms
    ]


def contains_words(text: str, wanted: str) -> bool:
    """Tell whether ``text`` holds the words of ``wanted`` one after the other."""
    words, sought = words_of(text), words_of(wanted)
    return bool(sought) and any(
        words[at : at + len(sought)] == sought for at in range(len(words) - len(sought) + 1)
    )


def describe(step: Step) -> str:
    """Say in a few words what the caller does at a step."""
    match step.action:
        case Interruption(text=text):
            return f'the caller to interrupt with "{text}"'
        case Saying(text=text):
            return f'the caller to say "{text}"'
        case KeyPresses(digits=digits):
            return f"the caller to press {digits}"
        case Silence(ms=ms):
            return f"the caller to be silent for {ms} ms"
        case Backchannel(text=text):
            return f'the caller to murmur "{text}"'
        case Wait(event=event, delay_ms=delay_ms):
            return f"the caller to wait for {event} and {delay_ms} ms more"
        case Hold(ms=ms):
            return f"the caller to put the call on hold for {ms} ms"
        case HangUp():
            return "the caller to hang up"
        case None:
            return "the caller to listen"
