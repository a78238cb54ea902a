"""Checks a script's expectations of each step. Pure.

A step's time is its window: from its begin to the begin of the caller's next turn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bridge.replay.call.timeline import CallLog, Deed, make_interruptions, text_of, voices
from bridge.replay.checks.check import CheckStatus
from bridge.replay.checks.side_effects import is_call_of, leads_to, tool_calls, transfers
from bridge.replay.checks.sounds import longest_dead_air, resumes_at_ms, stopped_for, talk_over_ms
from bridge.replay.checks.words import (
    AgentSaid,
    Finds,
    beside,
    contains_words,
    judge_said,
    transcripts,
    wanted,
)
from bridge.replay.evidence.evidence import Evidence
from bridge.replay.script import Expectation, ExpectedTool, ExpectedTransfer, Step
from bridge.speech.recognition import HeardPiece
from bridge.speech.words import sentences_of, words_of

PASS, FAIL, INCONCLUSIVE = CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.INCONCLUSIVE

Finding = tuple[CheckStatus, str, int | None]
"""The status, what was found, and where in the call."""

Decide = Callable[[], Finding]
Expected = tuple[str, str, Decide]
"""The expectation's kind, what is expected in words, and what decides about it."""

WORDS = frozenset({"text_contains", "contains_any", "contains_all", "matches", "numbers"})
TIMING = frozenset(
    {"greeting_within_ms", "within_ms", "agent_silent_within_ms", "agent_keeps_talking"}
    | {"talk_over_under_ms", "reprompt_within_ms", "no_dead_air_over_ms"}
)
"""What can be judged in a call that went another way."""


@dataclass(frozen=True, slots=True)
class AnswerWindow:
    """The time of a step that was done.

    Attributes:
        ends_ms: the begin of the caller's next turn, or the call's end.
    """

    deed: Deed
    ends_ms: int
    evidence: Evidence
    log: CallLog

    @property
    def answers_from_ms(self) -> int:
        """From when on the agent's speech is an answer."""
        return self.deed.answers_count_from_ms

    @property
    def pieces(self) -> Sequence[HeardPiece]:
        """The sentences that were heard in answer."""
        return [
            piece
            for piece in self.log.pieces
            if self.deed.start_ms <= piece.start_ms < self.ends_ms
            and piece.end_ms > self.answers_from_ms
        ]

    @property
    def said(self) -> AgentSaid:
        """What the agent said in answer."""
        transcribed = transcripts(self.evidence, self.deed.start_ms, self.ends_ms)
        return AgentSaid(text_of(self.pieces), transcribed, beside(self.evidence, self.pieces))

    @property
    def first_sound_ms(self) -> int | None:
        """The begin of the answer; of one that comes too early only if there is no other."""
        starts = [
            each.start_ms
            for each in voices(self.log)
            if self.deed.start_ms <= each.start_ms < self.ends_ms
        ]
        in_time = [start_ms for start_ms in starts if start_ms >= self.answers_from_ms]
        return next(iter(in_time or starts), None)

    def holds(self, at_ms: float) -> bool:
        """Return whether something happened in this step."""
        return self.deed.start_ms <= at_ms < self.ends_ms


def expectations(step: Step, window: AnswerWindow | None) -> Iterator[Expected]:
    """Yield what a step expects.

    Args:
        step: the step.
        window: its time; None of a step that was not done: then nothing can be decided.
    """
    expect = step.expect
    if expect is not None:
        yield from _of_words(expect, window)
        yield from _of_sounds(expect, window)
        yield from _of_tools(expect, window)
        if expect.transfer is not None:
            yield (
                "transfer",
                _describe_transfer(expect.transfer),
                _bind(_transferred, window, expect.transfer),
            )


def _bind(decide: Callable[..., Finding], window: AnswerWindow | None, *rest: object) -> Decide:
    """Bind what decides to a step's window, if it has one."""
    if window is None:
        return lambda: (INCONCLUSIVE, "the step was not done", None)
    return partial(decide, window, *rest)


def _of_words(expect: Expectation, window: AnswerWindow | None) -> Iterator[Expected]:
    for kind, expected, finds in wanted(expect):
        yield kind, expected, _bind(_is_said, window, finds)


def _is_said(window: AnswerWindow, finds: Finds) -> Finding:
    status, found = judge_said(window.said, finds)
    at_ms = window.pieces[0].start_ms if window.pieces else None
    return status, found, at_ms


def _greeted(window: AnswerWindow, limit_ms: int) -> Finding:
    first = next(iter(voices(window.log)), None)
    if first is None:
        return FAIL, "it was not heard" + _beside(window, 0, window.ends_ms), None
    status = PASS if first.start_ms <= limit_ms else FAIL
    found = f"it took {first.start_ms} ms" + _beside(window, 0, first.start_ms)
    return status, found, first.start_ms


def _beside(window: AnswerWindow, from_ms: int, to_ms: int) -> str:
    """Mention the fillers that were heard while the agent was awaited."""
    heard = [each for each in window.log.fillers if from_ms <= each.start_ms < to_ms]
    if not heard:
        return ""
    times = f", {len(heard)} times" if len(heard) > 1 else ""
    return f" (a waiting {heard[0].kind} was heard after {heard[0].start_ms - from_ms} ms{times})"


def _in_time(window: AnswerWindow, limit_ms: int) -> Finding:
    at_ms = window.first_sound_ms
    from_ms = window.answers_from_ms
    if at_ms is None:
        return FAIL, "it was not heard" + _beside(window, from_ms, window.ends_ms), from_ms
    latency_ms = at_ms - from_ms
    if latency_ms < 0:
        return FAIL, "it spoke before the caller had finished", at_ms
    found = f"it took {latency_ms} ms" + _beside(window, from_ms, at_ms)
    return PASS if latency_ms <= limit_ms else FAIL, found, at_ms


def _reprompted(window: AnswerWindow, limit_ms: int) -> Finding:
    deed = window.deed
    starts = [
        each.start_ms for each in voices(window.log) if deed.start_ms <= each.start_ms < deed.end_ms
    ]
    if not starts:
        return FAIL, f"it said nothing for {deed.end_ms - deed.start_ms} ms", deed.end_ms
    waited_ms = starts[0] - deed.start_ms
    return PASS if waited_ms <= limit_ms else FAIL, f"it took {waited_ms} ms", starts[0]


def _no_dead_air(window: AnswerWindow, limit_ms: int) -> Finding:
    gap = longest_dead_air(window.log, window.deed.start_ms, window.ends_ms)
    if gap is None:
        return PASS, "there was none", None
    status = PASS if gap[1] - gap[0] <= limit_ms else FAIL
    return status, f"nobody was heard for {gap[1] - gap[0]} ms", gap[0]


def _yielded(window: AnswerWindow, limit_ms: int) -> Finding:
    stops = {each.at_ms: each.stop_ms for each in make_interruptions(window.log)}
    at_ms = window.deed.start_ms
    stop_ms = stops.get(at_ms)
    if stop_ms is None:
        found = "it was not speaking then, or did not stop before the call's end"
        return FAIL, found, at_ms
    return PASS if stop_ms <= limit_ms else FAIL, f"it took {stop_ms} ms", at_ms + stop_ms


def _not_resumed(window: AnswerWindow) -> Finding:
    deed = window.deed
    at_ms = resumes_at_ms(window.log, deed)
    if at_ms is not None:
        return FAIL, "it fell silent and spoke again while the caller was speaking", at_ms
    heard = [piece for piece in window.pieces if piece.start_ms >= deed.end_ms]
    if not heard:
        return PASS, "it said nothing more", None
    before = transcripts(window.evidence, 0, deed.start_ms)
    if before is None:
        why = window.evidence.why_missing("wire")
        return INCONCLUSIVE, f"what it was saying is not known: {why}", None
    after = transcripts(window.evidence, deed.start_ms, window.ends_ms) or ()
    old = {words_of(sentence) for sentence in sentences_of(before[-1] if before else "")}
    new = {words_of(sentence) for text in after for sentence in sentences_of(text)}
    for piece in heard:
        if piece.text is not None and words_of(piece.text) in old - new:
            return FAIL, f'it went on with "{piece.text}"', piece.start_ms
    return PASS, "it did not", None


def _kept_talking(window: AnswerWindow) -> Finding:
    stop = stopped_for(window.log, window.deed)
    if stop is None:
        return PASS, "it went on", None
    return FAIL, f"it fell silent for {stop[1] - stop[0]} ms", stop[0]


def _talked_over(window: AnswerWindow, limit_ms: int) -> Finding:
    both_ms = talk_over_ms(window.log, [window.deed])
    status = PASS if both_ms < limit_ms else FAIL
    return status, f"both spoke for {both_ms} ms", window.deed.start_ms


_SOUNDS: Mapping[str, tuple[str, Callable[..., Finding]]] = {
    "greeting_within_ms": ("a greeting within {} ms", _greeted),
    "within_ms": ("the agent within {} ms", _in_time),
    "reprompt_within_ms": ("the agent to speak within {} ms of silence", _reprompted),
    "no_dead_air_over_ms": ("no dead air of more than {} ms", _no_dead_air),
    "agent_silent_within_ms": ("the agent to fall silent within {} ms", _yielded),
    "no_resume_of_old_turn": ("the agent not to go on with what it was saying", _not_resumed),
    "agent_keeps_talking": ("the agent to keep talking", _kept_talking),
    "talk_over_under_ms": ("both to speak at once for less than {} ms", _talked_over),
}
"""A step's expectations of when the agent is heard: a limit in ms, or whether it holds at all."""


def _of_sounds(expect: Expectation, window: AnswerWindow | None) -> Iterator[Expected]:
    for kind, (words, decide) in _SOUNDS.items():
        limit = getattr(expect, kind)
        if limit is not None and limit is not False:
            rest = () if limit is True else (limit,)
            yield kind, words.format(limit), _bind(decide, window, *rest)


def _of_tools(expect: Expectation, window: AnswerWindow | None) -> Iterator[Expected]:
    for tool in expect.tool:
        yield "tool", _describe_tool(tool), _bind(_called, window, tool)
    if expect.no_tool:
        which = "no tool" if expect.no_tool is True else f"the tool {expect.no_tool} not"
        yield "no_tool", f"{which} to be called", _bind(_not_called, window, expect.no_tool)


def _called(window: AnswerWindow, tool: ExpectedTool) -> Finding:
    calls = tool_calls(window.evidence)
    if calls is None:
        return INCONCLUSIVE, window.evidence.why_missing("wire"), None
    here = [call for call in calls if window.holds(call.at_ms)]
    found = [call for call in here if is_call_of(call, tool)]
    enough = len(found) == tool.times if tool.times is not None else bool(found)
    what = ", ".join(map(str, here)) or "no tool"
    at_ms = round(here[0].at_ms) if here else None
    return PASS if enough else FAIL, f"{what} was called", at_ms


def _not_called(window: AnswerWindow, which: bool | str) -> Finding:
    calls = tool_calls(window.evidence)
    if calls is None:
        return INCONCLUSIVE, window.evidence.why_missing("wire"), None
    for call in calls:
        if window.holds(call.at_ms) and which in (True, call.name):
            return FAIL, f"{call} was called", round(call.at_ms)
    return PASS, "it was not", None


def _transferred(window: AnswerWindow, expected: ExpectedTransfer) -> Finding:
    seen = transfers(window.evidence)
    if seen is None:
        return INCONCLUSIVE, window.evidence.why_missing("events"), None
    here = [each for each in seen if window.holds(each.at_ms)]
    if not here:
        return FAIL, "none began", None
    first = here[0]
    at_ms = round(first.at_ms)
    took_ms = at_ms - window.answers_from_ms
    to = f"{first.target or first.to} ({first.to})" if first.target else first.to
    if not leads_to(first, expected):
        return FAIL, f"it went to {to}", at_ms
    if expected.within_ms is not None and took_ms > expected.within_ms:
        return FAIL, f"it began after {took_ms} ms", at_ms
    context = expected.context_contains
    if context is not None and not contains_words(first.context, context):
        return FAIL, f'the person was told "{first.context}"', at_ms
    return PASS, f"it went to {to} after {took_ms} ms", at_ms


def _describe_tool(tool: ExpectedTool) -> str:
    times = "" if tool.times is None else f" {tool.times} times"
    given = f" with {tool.args}" if tool.args else ""
    return f"the tool {tool.name} to be called{times}{given}"


def _describe_transfer(transfer: ExpectedTransfer) -> str:
    to = f" to {transfer.to}" if transfer.to else ""
    within = f" within {transfer.within_ms} ms" if transfer.within_ms else ""
    about = f' about "{transfer.context_contains}"' if transfer.context_contains else ""
    return f"a transfer{to}{within}{about}"
