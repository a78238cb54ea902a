"""A full-duplex service in the engine: utterances by ear, turns by words, tools by delegation."""

import json
from typing import Any

import numpy as np

from bridge.audio.ledger import PlayedItem, PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.engine.effects import (
    Effect,
    FlushPlayout,
    OpenSession,
    PlayAudio,
    RunTool,
    Send,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    Input,
    SessionFailed,
    SessionReady,
    TimerFired,
    ToolFinished,
)
from bridge.engine.media import PlayoutFlushed
from bridge.engine.news import Interrupted, SessionLost, TurnSpoken
from bridge.engine.policy import CallPolicy
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import UpstreamError
from bridge.realtime.commands import (
    CancelResponse,
    ContinueDelegated,
    CreateItem,
    CreateResponse,
    DeclineDelegated,
    TruncateItem,
)
from bridge.realtime.duplex_events import (
    CallerTranscriptDelta,
    DelegatedCreated,
    DelegatedDone,
    DelegatedItemDone,
    DelegatedProgressed,
    SessionClosed,
    VoiceDelta,
    VoiceTranscriptDelta,
    WorkDelegated,
)
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import UnknownEvent
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import FunctionCall, FunctionCallOutput, ItemStatus, Message
from bridge.realtime.live import LiveDialect
from tests.engine.calls import MS, Call
from tests.support.policies import barge_in_policy, call_policy, tool_policy

LIVE = LiveDialect().capabilities
PIECE_MS = 100
TONE = (8_000 * np.sin(np.arange(2_400) / 5)).astype("<i2").tobytes()
QUIET = bytes(4_800)
U1, U2 = ItemId("utterance_1"), ItemId("utterance_2")
OURS = call_policy(greet=False, barge_in=barge_in_policy())
SERVICES = call_policy(greet=False)


class Talk(Call):
    """A call with a full-duplex service."""

    def __init__(self, policy: CallPolicy = OURS) -> None:
        super().__init__(policy)
        self.at_ms = 0
        self.feed(CallOffered(), SessionReady("live_1", service=LIVE), CallAnswered())

    def stream(self, *pieces: bytes) -> list[Effect]:
        found: list[Effect] = []
        for piece in pieces:
            self.at_ms += PIECE_MS
            found += self.feed(VoiceDelta(piece), after_ms=PIECE_MS)
        return found

    def word(self, text: str) -> list[Effect]:
        return self.feed(VoiceTranscriptDelta(text, self.at_ms, self.at_ms + PIECE_MS))

    def hear(self, text: str) -> list[Effect]:
        return self.feed(CallerTranscriptDelta(text, self.at_ms, self.at_ms + PIECE_MS))

    def rest(self) -> list[Effect]:
        """The agent falls silent; what it said is heard to its end."""
        found = self.stream(QUIET, QUIET, QUIET)
        found += self.feed(PlayoutDrained())
        return found + self.stream(*[QUIET] * 6)

    def sound(self, *, lasts_ms: int = 0) -> list[Effect]:
        now_ns = self.clock.now_ns()
        found = self.feed(SoundStarted(now_ns))
        if lasts_ms:
            found += self.feed(SoundLasted(now_ns, lasts_ms), after_ms=lasts_ms)
        return found

    def silence(self) -> list[Effect]:
        return self.feed(SoundStopped(self.clock.now_ns() - 300 * MS))


def of(kind: type[Any], effects: list[Effect]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: list[Effect]) -> list[object]:
    return [effect.command for effect in of(Send, effects)]


def speaking(policy: CallPolicy = OURS) -> Talk:
    """The agent is heard."""
    call = Talk(policy)
    call.stream(QUIET, TONE, TONE)
    call.word("One two three four.")
    call.feed(PlayoutStarted(U1, 0))
    assert call.core.state is State.SPEAKING
    return call


def test_silence_is_no_answer_and_is_not_played() -> None:
    call = Talk()
    assert call.stream(*[QUIET] * 50) == []
    assert call.core.state is State.LISTENING


def test_utterance_begins_with_its_sound_and_ends_with_a_pause() -> None:
    call = Talk()
    first = of(PlayAudio, call.stream(QUIET, QUIET, TONE))
    assert [each.item_id for each in first] == [U1]
    assert first[0].audio == QUIET + TONE  # the cushion, of what was quiet before
    call.feed(PlayoutStarted(U1, 0))
    played = of(PlayAudio, call.stream(TONE, QUIET, QUIET, QUIET, TONE))
    assert [len(each.audio) for each in played] == [4_800, 4_800, 4_800, 9_600]
    call.word("Hello.")
    ended = call.rest()
    assert [(t.text, t.interrupted) for t in of(TurnSpoken, ended)] == [("Hello.", False)]
    assert call.core.state is State.LISTENING
    assert of(PlayAudio, call.stream(TONE))[0].item_id == U2


def test_caller_is_answered_by_the_services_own_decision() -> None:
    call = Talk()
    call.sound(lasts_ms=500)
    call.hear("Where is")
    call.hear(" my order?")
    over = call.silence()
    assert call.core.state is State.THINKING
    assert sent(over) == []  # it is not asked: it has heard it
    spoken = of(TurnSpoken, call.stream(TONE))
    assert [(t.speaker.value, t.text) for t in spoken] == [("caller", "Where is my order?")]


def test_sound_without_a_word_is_no_turn() -> None:
    call = Talk()
    call.sound(lasts_ms=600)
    call.silence()
    assert call.core.state is State.LISTENING
    assert call.feed(TimerFired(Timer.WORDS)) == []


def test_words_that_come_late_are_a_turn_and_those_that_are_answered_await_nothing() -> None:
    call = Talk()
    call.sound(lasts_ms=600)
    call.silence()
    call.hear("Hello?")
    assert call.core.state is State.THINKING
    other = Talk()
    other.sound(lasts_ms=600)
    other.silence()
    other.stream(TONE)
    other.feed(PlayoutStarted(U1, 0))
    other.rest()
    other.hear("Hello?")
    assert other.core.state is State.LISTENING
    spoken = other.feed(TimerFired(Timer.WORDS))
    assert [t.text for t in of(TurnSpoken, spoken)] == ["Hello?"]


def test_caller_cuts_what_is_played_and_nothing_is_cancelled_or_truncated() -> None:
    call = speaking()
    cut = call.sound(lasts_ms=500)
    assert of(FlushPlayout, cut)
    cut += call.feed(PlayoutFlushed((PlayedItem(U1, 0, 150, 300),)))
    assert not [each for each in sent(cut) if isinstance(each, CancelResponse | TruncateItem)]
    turn = of(TurnSpoken, cut)[-1]
    assert (turn.text, turn.interrupted) == ("One two", True)
    assert of(Interrupted, cut)


def test_agent_that_speaks_on_is_heard_again_once_the_caller_is_silent() -> None:
    call = speaking()
    call.sound(lasts_ms=500)
    call.feed(PlayoutFlushed((PlayedItem(U1, 0, 150, 300),)))
    assert of(PlayAudio, call.stream(*[TONE] * 12)) == []  # it is dropped under the caller
    notes = [each for each in sent(call.silence()) if isinstance(each, CreateItem)]
    assert len(notes) == 1
    assert isinstance(notes[0].item, Message)
    assert "did not hear your last 1 s" in (notes[0].item.parts[0].text or "")
    assert of(PlayAudio, call.stream(TONE))[0].item_id == U2


def test_agent_that_falls_silent_under_the_caller_was_interrupted() -> None:
    call = speaking(SERVICES)
    call.sound(lasts_ms=300)
    ended = call.rest()
    assert not of(FlushPlayout, ended)
    assert len(of(Interrupted, ended)) == 1
    assert [t.interrupted for t in of(TurnSpoken, ended)] == [True]


def test_transcript_that_is_missing_early_or_late() -> None:
    missing = Talk()
    missing.stream(TONE)
    missing.feed(PlayoutStarted(U1, 0))
    ended = of(TurnSpoken, missing.rest())
    assert [t.text for t in ended] == [""]
    late = missing.word("Too late.")
    assert [t.text for t in of(TurnSpoken, late)] == ["Too late."]
    early = Talk()
    early.word("Early")
    early.stream(TONE)
    early.word(" bird.")
    early.feed(PlayoutStarted(U1, 0))
    assert [t.text for t in of(TurnSpoken, early.rest())] == ["Early bird."]


def test_words_that_are_left_at_the_end_of_the_call_are_recorded() -> None:
    call = Talk()
    call.sound(lasts_ms=300)
    call.hear("By the way")
    ended = call.feed(CallEnded(by_caller=True, sip_code=200))
    assert [t.text for t in of(TurnSpoken, ended)] == ["By the way"]


# Tools

FIND = {"find": tool_policy()}
D1, D2 = "item_d1", "item_d2"


def called(delegation: str | None, call_id: str, name: str = "find") -> Input:
    call = FunctionCall(ToolCallId(call_id), name, "{}", status=ItemStatus.COMPLETED)
    return DelegatedItemDone(call, delegation)


def created(delegation: str, response: str) -> Input:
    return DelegatedCreated(ResponseId(response), delegation)


def done(
    delegation: str, response: str, status: ResponseStatus = ResponseStatus.COMPLETED
) -> Input:
    return DelegatedDone(ResponseId(response), status, delegation)


def outputs(effects: list[Effect]) -> list[str]:
    return [
        each.item.call_id
        for each in sent(effects)
        if isinstance(each, CreateItem) and isinstance(each.item, FunctionCallOutput)
    ]


def goes_on(effects: list[Effect]) -> int:
    return sum(isinstance(each, ContinueDelegated) for each in sent(effects))


def with_tools() -> Talk:
    return Talk(call_policy(greet=False, tools=FIND))


def test_two_delegations_at_a_time_go_on_together_once_all_have_their_outputs() -> None:
    call = with_tools()
    began = call.feed(
        WorkDelegated(D1, "responses"),
        created(D1, "resp_1"),
        created(D2, "resp_2"),
        called(D1, "c1"),
        called(D2, "c2"),
        called(D2, "c2"),
        done(D1, "resp_1"),
    )
    assert [each.call_id for each in of(RunTool, began)] == ["c1", "c2"]
    first = call.feed(ToolFinished(ToolCallId("c1"), "{}"))
    assert (outputs(first), goes_on(first)) == (["c1"], 0)
    second = call.feed(ToolFinished(ToolCallId("c2"), "{}"))
    assert (outputs(second), goes_on(second)) == (["c2"], 0)  # D2's response is not over
    assert goes_on(call.feed(done(D2, "resp_2"))) == 1
    assert not [e for e in sent(first + second) if isinstance(e, CreateResponse)]


def test_delegation_whose_begin_was_lost_or_that_failed() -> None:
    call = with_tools()
    call.feed(called(None, "c1"), ToolFinished(ToolCallId("c1"), "{}"))
    assert goes_on(call.feed(done("other", "resp_9"))) == 0
    again = with_tools()
    again.feed(created(D1, "resp_1"), called(D1, "c1"))
    failed = again.feed(done(D1, "resp_1", ResponseStatus.FAILED))
    assert goes_on(failed) == 0
    assert outputs(again.feed(ToolFinished(ToolCallId("c1"), "{}"))) == []


def test_delegation_that_never_ends_holds_nothing_up() -> None:
    call = with_tools()
    call.feed(WorkDelegated(D1, "responses"), created(D1, "resp_1"))
    call.feed(DelegatedProgressed("response.in_progress", D1), UnknownEvent("what.is.this", 9))
    assert of(PlayAudio, call.stream(TONE))
    assert call.feed(WorkDelegated(D2, "nobody")) == []


def test_work_that_is_given_to_us_is_declined() -> None:
    call = Talk()
    assert sent(call.feed(WorkDelegated(D1, "client"))) == [DeclineDelegated(D1)]


def test_call_is_ended_after_the_goodbye_that_the_backend_wanted() -> None:
    call = with_tools()
    asked = call.feed(created(D1, "resp_1"), called(D1, "c1", "end_call"), done(D1, "resp_1"))
    assert outputs(asked) == ["c1"]
    assert goes_on(asked) == 1
    call.stream(TONE)
    call.feed(PlayoutStarted(U1, 0))
    call.rest()
    assert call.core.closed


# The session is lost


def test_talk_is_given_with_the_opening_of_the_next_session() -> None:
    call = Talk()
    call.sound(lasts_ms=400)
    call.hear("Where is my order?")
    call.silence()
    call.stream(TONE)
    call.word("On its way.")
    call.feed(PlayoutStarted(U1, 0))
    call.rest()
    lost = call.feed(SessionClosed("expired"))
    assert [each.failure.code for each in of(SessionLost, lost)] == ["session_closed_expired"]
    (opening,) = of(OpenSession, lost)
    assert [(m.role.value, m.parts[0].text) for m in opening.talk] == [
        ("user", "Where is my order?"),
        ("assistant", "On its way."),
    ]
    restored = call.feed(SessionReady("live_2", service=LIVE))
    assert not [each for each in sent(restored) if isinstance(each, CreateItem)]
    assert of(PlayAudio, call.stream(TONE))


def test_session_that_breaks_off_in_the_middle_of_a_word() -> None:
    call = speaking()
    lost = call.feed(SessionFailed(UpstreamError("gone", code="closed", close_code=1006)))
    (opening,) = of(OpenSession, lost)
    assert json.dumps([m.parts[0].text for m in opening.talk]) == '["One two three four."]'
    restored = call.feed(SessionReady("live_2", service=LIVE))
    assert call.core.state is State.SPEAKING
    assert [each for each in sent(restored) if isinstance(each, CreateResponse)]


def test_output_of_a_call_that_the_next_session_does_not_know_is_told_in_words() -> None:
    call = with_tools()
    call.feed(created(D1, "resp_1"), called(D1, "c1"), done(D1, "resp_1"))
    call.feed(SessionFailed(UpstreamError("gone", code="closed", close_code=1006)))
    call.feed(SessionReady("live_2", service=LIVE))
    told = call.feed(ToolFinished(ToolCallId("c1"), '{"found": 1}'))
    assert outputs(told) == []
    items = [each.item for each in sent(told) if isinstance(each, CreateItem)]
    texts = [item.parts[0].text for item in items if isinstance(item, Message)]
    assert texts == ['A tool that was called before gave: {"found": 1}']
