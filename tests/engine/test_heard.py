"""Core and ledger together: a pump that writes ahead and a caller who hears only what was read.

2000 ms of the agent arrive at once; PJSIP's read position says how much of it was heard.
"""

import pytest

from bridge.audio.ledger import PlayoutLedger
from bridge.engine.effects import Effect, FlushPlayout, PlayAudio, Send
from bridge.engine.inputs import Input, SessionFailed, SessionReady
from bridge.engine.media import PlayoutFlushed
from bridge.engine.news import Interrupted, TurnSpoken
from bridge.engine.turns import State
from bridge.errors import UpstreamError
from bridge.realtime.commands import TruncateItem
from bridge.realtime.events import ResponseCreated
from tests.engine.calls import (
    A1,
    A2,
    R1,
    U1,
    U2,
    Call,
    audio,
    done,
    of,
    said_all,
    started,
    stopped,
    thinking,
)

FRAME_SAMPLES = 160
AHEAD_SAMPLES = 2_400


class Playout:
    """The smallest pump: the ring is written up to 300 ms ahead, in 20 ms frames."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.ledger = PlayoutLedger()
        self.queued: list[tuple[PlayAudio, int]] = []
        self.write_position = self.read_position = 0

    def feed(self, *inputs: Input, after_ms: float = 0) -> list[Effect]:
        effects = self.call.feed(*inputs, after_ms=after_ms)
        for effect in list(effects):
            if isinstance(effect, PlayAudio):
                samples = len(effect.audio) // 6
                self.ledger.queue(effect.item_id, effect.content_index, samples)
                self.queued.append((effect, samples))
            elif isinstance(effect, FlushPlayout):
                self.queued.clear()
                effects += self.feed(PlayoutFlushed(self.ledger.flush(self.read_position)))
        return effects

    def run_ms(self, duration_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        for _ in range(duration_ms // 20):
            self._write()
            self.read_position += FRAME_SAMPLES
            for event in self.ledger.advance(self.read_position):
                effects += self.feed(event)
        return effects

    def _write(self) -> None:
        self.write_position = max(self.write_position, self.read_position)
        while self.queued and self.write_position < self.read_position + AHEAD_SAMPLES:
            effect, samples = self.queued.pop(0)
            count = min(samples, FRAME_SAMPLES)
            if samples > count:
                self.queued.insert(0, (effect, samples - count))
            self.ledger.append(effect.item_id, effect.content_index, self.write_position, count)
            self.write_position += count


@pytest.mark.parametrize("heard_ms", [20, 640, 1_980])
def test_interruption_truncates_to_what_was_heard_not_to_what_was_received(heard_ms: int) -> None:
    playout = Playout(thinking())
    playout.feed(audio(A1, R1, 2_000), said_all(A1, R1, "hello there"), done(R1))
    playout.run_ms(heard_ms)
    effects = playout.feed(started(U2))
    assert [send.command for send in of(Send, effects)] == [TruncateItem(A1, 0, heard_ms)]
    assert of(TurnSpoken, effects)[0].heard_ms == heard_ms
    assert of(Interrupted, effects)[0].played_ms == heard_ms
    assert playout.ledger.heard_ms(A1) == heard_ms


def test_interruption_in_the_second_item_leaves_the_first_alone() -> None:
    playout = Playout(thinking())
    playout.feed(audio(A1, R1, 500), audio(A2, R1, 500), done(R1))
    playout.run_ms(560)
    effects = playout.feed(started(U2))
    assert [send.command for send in of(Send, effects)] == [TruncateItem(A2, 0, 60)]
    assert [
        (turn.item_id, turn.heard_ms, turn.interrupted) for turn in of(TurnSpoken, effects)
    ] == [
        (A1, 500, False),
        (A2, 60, True),
    ]


def test_slow_model_makes_a_gap_that_nobody_heard() -> None:
    playout = Playout(thinking())
    playout.feed(audio(A1, R1, 200))
    playout.run_ms(1_000)
    playout.feed(audio(A1, R1, 200))
    playout.run_ms(100)
    assert TruncateItem(A1, 0, 300) in [s.command for s in of(Send, playout.feed(started(U2)))]


def test_answer_heard_to_its_end_is_counted_in_full() -> None:
    playout = Playout(thinking())
    playout.feed(audio(A1, R1, 2_000), said_all(A1, R1, "hello there"), done(R1))
    assert of(TurnSpoken, playout.run_ms(2_000))[-1].heard_ms == 2_000
    assert playout.call.core.state is State.LISTENING
    assert playout.feed(started(U2)) == []


def test_item_of_the_next_session_with_the_same_id_is_heard_by_itself() -> None:
    playout = Playout(thinking())
    playout.feed(audio(A1, R1, 600), said_all(A1, R1, "The first."), done(R1))
    playout.run_ms(700)
    dropped = SessionFailed(UpstreamError("gone", code="closed", close_code=1006))
    playout.feed(dropped, SessionReady("sess_2"), started(U1), stopped(item_id=U1))
    playout.feed(ResponseCreated(R1), audio(A1, R1, 2_000), said_all(A1, R1, "The second."))
    playout.run_ms(400)
    effects = playout.feed(started(U2))
    commands = [send.command for send in of(Send, effects)]
    assert TruncateItem(A1, 0, 400) in commands
    (turn,) = of(TurnSpoken, effects)
    assert turn.heard_ms == 400
