"""From the wire up: what may come twice, late or in another order changes nothing of a call.

Whole conversations, written as frames of text in both dialects, go through the adapter into the
core, with a playout that takes audio as PJSIP does. The same frames with duplicates, overtaking
streams, late deltas and noise between them must make the same call.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.audio.ledger import PlayoutLedger
from bridge.engine.core import CallCore
from bridge.engine.effects import Effect, FlushPlayout, PlayAudio, RunTool, Send
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    Input,
    SessionReady,
    ToolFinished,
)
from bridge.engine.media import PlayoutFlushed
from bridge.engine.news import CallClosed, Interrupted, PhaseChanged, TurnSpoken
from bridge.errors import ProtocolError
from bridge.realtime.commands import CancelResponse, CreateItem, CreateResponse, TruncateItem
from tests.engine.wire_script import TOOL, Ending, Frame, Script, Stream, Turn
from tests.realtime.broken import broken_line
from tests.realtime.golden import DIALECTS
from tests.realtime.official import DialectName
from tests.support.policies import call_policy, tool_policy

_SAMPLES_PER_MS = 8

NS_PER_MS = 1_000_000
TICK_MS = 20
LAST_MS = 5_000
"""From the last frame to the caller's BYE: all answers have been heard."""
BOTH: tuple[DialectName, ...] = ("beta", "ga")


@dataclass
class Told:
    """What a call came to, whatever its dialect.

    Attributes:
        turns: item -> speaker, text, heard milliseconds, whether interrupted.
    """

    turns: dict[str, tuple[str, str, int | None, bool]] = field(default_factory=dict)
    phases: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    outputs: int = 0
    requests: int = 0
    cancelled: list[str | None] = field(default_factory=list)
    truncated: list[tuple[str, int, int]] = field(default_factory=list)
    interruptions: list[int] = field(default_factory=list)
    heard_ms: int = 0
    closed: int = 0


class Line:
    """A call on its way: a core, and a playout that reads on by the clock."""

    def __init__(self, dialect: DialectName) -> None:
        self.told = Told()
        self.effects: list[Effect] = []
        self._dialect = DIALECTS[dialect]
        self._core = CallCore(call_policy(greet=False, tools={TOOL: tool_policy()}))
        self._ledger = PlayoutLedger()
        self._laid: list[tuple[int, int]] = []
        self._written = 0
        self._now_ms = 0
        for given_input in (CallOffered(), SessionReady("sess_1"), CallAnswered()):
            self.feed(given_input)

    def take(self, frame: Frame) -> None:
        """Take a frame at its time, as a session does."""
        self.wait_until(frame.at_ms)
        try:
            event = self._dialect.decode(frame.text)
        except ProtocolError:
            return
        self.feed(event)

    def wait_until(self, at_ms: int) -> None:
        while self._now_ms < at_ms:
            self._now_ms = min(self._now_ms + TICK_MS, at_ms)
            for event in self._ledger.advance(self._now_ms * _SAMPLES_PER_MS):
                self.feed(event)
        read = self._now_ms * _SAMPLES_PER_MS
        taken = sum(min(end, read) - start for start, end in self._laid if start < read)
        self.told.heard_ms = taken // _SAMPLES_PER_MS

    def feed(self, given_input: Input) -> None:
        pending = [given_input]
        while pending:
            for effect in self._core.feed(pending.pop(0), self._now_ms * NS_PER_MS):
                self.effects.append(effect)
                pending += self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> list[Input]:
        told, read = self.told, self._now_ms * _SAMPLES_PER_MS
        match effect:
            case PlayAudio(item_id=item_id, content_index=index, audio=audio):
                samples = len(audio) // 6
                start = max(self._written, read)
                self._ledger.queue(item_id, index, samples)
                self._ledger.append(item_id, index, start, samples)
                self._written = start + samples
                self._laid.append((start, self._written))
            case FlushPlayout():
                self._written = read
                self._laid = [(start, min(end, read)) for start, end in self._laid if start < read]
                return [PlayoutFlushed(self._ledger.flush(read))]
            case RunTool(call_id=call_id, name=name):
                told.tools.append(name)
                return [ToolFinished(call_id, "{}")]
            case TurnSpoken():
                line = (effect.speaker.value, effect.text, effect.heard_ms, effect.interrupted)
                told.turns[effect.item_id] = line
            case PhaseChanged(new=new):
                told.phases.append(new)
            case Interrupted(played_ms=played_ms):
                told.interruptions.append(played_ms)
            case CallClosed():
                told.closed += 1
            case Send(command=command):
                self._sent(command)
            case _:
                pass
        return []

    def _sent(self, command: object) -> None:
        match command:
            case CreateResponse():
                self.told.requests += 1
            case CreateItem():
                self.told.outputs += 1
            case CancelResponse(response_id=response_id):
                self.told.cancelled.append(response_id)
            case TruncateItem(item_id=item_id, content_index=index, audio_end_ms=end_ms):
                self.told.truncated.append((item_id, index, end_ms))
            case _:
                pass


def call_of(dialect: DialectName, frames: Sequence[Frame]) -> Told:
    """Run a call of these frames to its end, and on."""
    line = Line(dialect)
    for frame in frames:
        line.take(frame)
    line.wait_until(frames[-1].at_ms + LAST_MS)
    line.feed(CallEnded(by_caller=True, sip_code=200))
    assert isinstance(line.effects[-1], CallClosed)
    whole = len(line.effects)
    for frame in frames:
        line.take(replace(frame, at_ms=0))
    line.feed(CallEnded(by_caller=True, sip_code=200))
    assert len(line.effects) == whole, "something came after CallClosed"
    return line.told


def frames_of(dialect: DialectName, turns: Sequence[Turn]) -> tuple[list[Frame], Script]:
    script = Script(dialect)
    script.play(turns)
    return script.frames, script


turns_of = st.builds(Turn, st.integers(1, 6), st.sampled_from(Ending), st.booleans())
conversations = st.lists(turns_of, max_size=3).flatmap(
    lambda before: st.builds(Turn, st.integers(1, 4), tool=st.booleans()).map(
        lambda last: [*before, last]
    )
)
noise = st.sampled_from(
    [
        "{",
        "[]",
        '{"type": null}',
        json.dumps({"type": "response.audio.delta", "event_id": "event_n", "delta": 7}),
        json.dumps({"type": "session.surprise", "event_id": "event_n", "x": [{}]}),
        json.dumps({"type": "rate_limits.updated", "event_id": "event_n", "rate_limits": []}),
    ]
)


def disturbed(data: st.DataObject, script: Script) -> list[Frame]:
    """Return the frames with all that may happen to them, at the times of their new places."""
    frames = overtaken(data, with_late_deltas(script))
    for _ in range(data.draw(st.integers(0, 8), "duplicates")):
        place = data.draw(st.integers(0, len(frames) - 1))
        later = data.draw(st.integers(place + 1, len(frames)))
        frames.insert(later, frames[place])
    for text in data.draw(st.lists(noise, max_size=4)):
        frames.insert(data.draw(st.integers(0, len(frames))), Frame(0, text, Stream.NOISE))
    return in_time(frames)


def with_late_deltas(script: Script) -> list[Frame]:
    """Put deltas of each cancelled answer after its ``response.done``."""
    frames = list(script.frames)
    for number, late in script.late.items():
        last = max(place for place, frame in enumerate(frames) if frame.response == number)
        frames[last + 1 : last + 1] = late
    return frames


def overtaken(data: st.DataObject, frames: list[Frame]) -> list[Frame]:
    """Let the caller's transcripts come later, and the agent's words behind its audio."""
    for stream in (Stream.HEARD, Stream.WORDS):
        # From the last one on, so that each finds those after it already moved, and stays before.
        for frame in reversed([each for each in frames if each.stream is stream]):
            place = frames.index(frame)
            limit = _limit(frames, place)
            frames.insert(data.draw(st.integers(place, limit - 1)), frames.pop(place))
    return frames


def _limit(frames: list[Frame], place: int) -> int:
    """Return before which place a frame must stay."""
    frame = frames[place]
    for later in range(place + 1, len(frames)):
        other = frames[later]
        same_stream = other.stream is frame.stream
        if same_stream and (frame.stream is Stream.HEARD or other.response == frame.response):
            return later
        if frame.stream is Stream.WORDS and other.stream is Stream.TURN:
            return later  # the end of its part, or the caller's first sound
    return len(frames)


def in_time(frames: list[Frame]) -> list[Frame]:
    now_ms, timed = 0, []
    for frame in frames:
        now_ms = max(now_ms, frame.at_ms)
        timed.append(replace(frame, at_ms=now_ms))
    return timed


@settings(max_examples=60, deadline=None)
@given(conversations)
def test_both_dialects_make_the_same_call(turns: list[Turn]) -> None:
    beta, ga = (call_of(dialect, frames_of(dialect, turns)[0]) for dialect in BOTH)
    assert beta == ga
    cut = [turn for turn in turns if turn.ending is not Ending.HEARD]
    assert ga.closed == 1
    assert ga.tools == [TOOL for turn in turns if turn.tool]
    assert ga.requests == ga.outputs == len(ga.tools)
    assert len(ga.interruptions) == len(ga.truncated) == len(cut)
    assert len({(item, index) for item, index, _ in ga.truncated}) == len(cut)
    assert ga.phases[-2:] == ["listening", "ended"]
    assert sum(heard or 0 for _, _, heard, _ in ga.turns.values()) == ga.heard_ms


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(BOTH), conversations)
def test_a_disturbed_wire_makes_the_same_call(
    data: st.DataObject, dialect: DialectName, turns: list[Turn]
) -> None:
    frames, script = frames_of(dialect, turns)
    assert call_of(dialect, disturbed(data, script)) == call_of(dialect, frames)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(BOTH), conversations)
def test_broken_events_between_the_good_ones_end_in_one_closed_call(
    data: st.DataObject, dialect: DialectName, turns: list[Turn]
) -> None:
    frames, _ = frames_of(dialect, turns)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(frames)))
        frames.insert(place, Frame(0, broken_line(data, dialect), Stream.NOISE))
    line = Line(dialect)
    for frame in in_time(frames):
        line.take(frame)
    line.wait_until(frames[-1].at_ms + LAST_MS)
    line.feed(CallEnded(by_caller=True, sip_code=200))
    assert line.told.closed == 1
    assert isinstance(line.effects[-1], CallClosed)
    truncated = [(item, index) for item, index, _ in line.told.truncated]
    assert len({*truncated}) == len(truncated)
