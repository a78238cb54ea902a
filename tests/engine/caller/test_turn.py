"""What the caller says and presses, and both sides' transcript."""

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.engine.effects import Send, StartTimer
from bridge.engine.inputs import CallEnded, DigitReceived
from bridge.engine.news import PhaseChanged, Speaker, StateChanged, TurnSpoken
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.realtime.commands import CreateItem, CreateResponse
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import InputCleared, InputTranscriptCompleted, ResponseCreated
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from tests.engine.calls import (
    A1,
    A2,
    R1,
    R2,
    U1,
    U2,
    answered,
    audio,
    done,
    flushed,
    of,
    said,
    said_all,
    speaking,
    started,
    thinking,
)

ASK = Send(CreateResponse())


def pressed(digit: str) -> Send:
    text = f"The caller pressed {digit} on the keypad."
    return Send(CreateItem(Message(Role.USER, (ContentPart(PartKind.INPUT_TEXT, text),))))


def test_transcript_of_the_caller_is_a_turn() -> None:
    event = InputTranscriptCompleted(U1, 0, " my order is late \n")
    assert answered().feed(event) == [TurnSpoken(Speaker.CALLER, U1, "my order is late")]


def test_transcript_without_words_is_no_turn() -> None:
    assert answered().feed(InputTranscriptCompleted(U1, 0, " ")) == []


def test_transcript_may_come_while_the_agent_speaks() -> None:
    turns = of(TurnSpoken, speaking().feed(InputTranscriptCompleted(U1, 0, "hi")))
    assert turns == [TurnSpoken(Speaker.CALLER, U1, "hi")]


def test_agent_turn_is_reported_when_its_text_is_done() -> None:
    call = thinking()
    assert call.feed(said(A1, R1, "hel"), said(A1, R1, "lo")) == []
    assert call.feed(said_all(A1, R1, "hello")) == [TurnSpoken(Speaker.AGENT, A1, "hello")]


def test_agent_turn_is_reported_again_with_latency_and_with_heard_time() -> None:
    call = thinking()
    call.feed(audio(A1, R1, 500), said_all(A1, R1, "hello"))
    effects = call.feed(PlayoutStarted(A1, 0), after_ms=400)
    assert of(TurnSpoken, effects) == [TurnSpoken(Speaker.AGENT, A1, "hello", latency_ms=400)]
    effects = call.feed(done(R1), PlayoutDrained())
    assert of(TurnSpoken, effects) == [TurnSpoken(Speaker.AGENT, A1, "hello", 400, heard_ms=500)]


def test_text_cut_off_by_the_end_of_the_call_is_not_lost() -> None:
    call = speaking()
    call.feed(said(A1, R1, "our hours are"))
    effects = call.feed(CallEnded(by_caller=True, sip_code=200))
    assert of(TurnSpoken, effects) == [TurnSpoken(Speaker.AGENT, A1, "our hours are", 0)]


def test_answer_that_was_heard_without_its_text_is_a_turn_as_the_call_ends() -> None:
    effects = speaking().feed(CallEnded(by_caller=True, sip_code=200))
    assert of(TurnSpoken, effects) == [TurnSpoken(Speaker.AGENT, A1, "", 0)]


def test_answer_of_which_nothing_was_heard_or_told_is_none_as_the_call_ends() -> None:
    call = thinking()
    call.feed(audio(A1, R1, 500))
    assert of(TurnSpoken, call.feed(CallEnded(by_caller=True, sip_code=200))) == []


def test_only_the_first_item_of_a_turn_has_a_latency() -> None:
    call = speaking()
    call.feed(audio(A2, R1), PlayoutStarted(A2, 0), said_all(A2, R1, "also"))
    turns = of(TurnSpoken, call.feed(done(R1), PlayoutDrained()))
    assert [(turn.item_id, turn.latency_ms) for turn in turns] == [(A1, 0), (A2, None)]


def test_digit_goes_to_the_model_and_asks_for_an_answer() -> None:
    assert answered().feed(DigitReceived("5")) == [
        pressed("5"),
        ASK,
        StartTimer(Timer.RESPONSE, 10_000),
        PhaseChanged(State.LISTENING, State.THINKING, "response_requested"),
        StateChanged({"phase": "thinking"}),
    ]


def test_digits_in_a_row_ask_once_and_once_more_after_the_answer() -> None:
    call = answered()
    call.feed(DigitReceived("1"))
    assert call.feed(DigitReceived("2"), DigitReceived("#")) == [pressed("2"), pressed("#")]
    call.feed(ResponseCreated(R1))
    assert ASK in call.feed(done(R1))
    assert of(Send, call.feed(ResponseCreated(R2), done(R2))) == []


def test_digit_during_an_answer_asks_after_it() -> None:
    call = speaking()
    assert call.feed(DigitReceived("1")) == [pressed("1")]
    assert ASK in call.feed(done(R1))
    assert call.core.state is State.SPEAKING


def test_digit_owed_while_the_caller_began_to_speak_in_vain_is_asked_for() -> None:
    call = speaking()
    call.feed(DigitReceived("1"), started(U2), flushed())
    assert of(Send, call.feed(done(R1, ResponseStatus.CANCELLED))) == []
    assert ASK in call.feed(InputCleared())
