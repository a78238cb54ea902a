"""A persona in a call, on a virtual audio clock: what it says, when, and why it stops."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.replay.call.preparation import PersonaHearing, PreparedPersona, PreparedScript
from bridge.replay.call.timeline import Doing
from bridge.replay.chat.client import ChatAnswer, ChatError, ChatMessage, ChatModel
from bridge.replay.evidence.transcribing import Transcribe
from bridge.replay.persona.caller import PersonaCaller
from bridge.replay.persona.mind import Mind, scripted_answers
from bridge.replay.persona.outcome import Stop, check_persona
from bridge.replay.script import CallScript
from tests.replay.call.test_caller import WORDS_MS, Agent
from tests.softphone.far_end import tone
from tests.softphone.virtual import VirtualCall

Document = dict[str, object]
R = TypeVar("R")


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The virtual clock goes on while a thread works: nothing would take no time."""

    async def inline(function: Callable[..., R], *arguments: object) -> R:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", inline)


class Model:
    """Answers what a function says; counts 50 tokens a time."""

    name = "fake"

    def __init__(self, answer: Callable[[Sequence[ChatMessage]], str]) -> None:
        self.asked: list[Sequence[ChatMessage]] = []
        self._answer = answer

    async def ask(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
        self.asked.append(list(messages))
        return ChatAnswer(self._answer(messages), 30, 20)


def script_of(*replies: Document, **persona: object) -> CallScript:
    return CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "test",
            "caller": "persona",
            "persona": {"goal": "Know the day.", "script": list(replies), **persona},
        }
    )


async def played(
    agent: Callable[[VirtualCall], bool],
    script: CallScript,
    model: Model | None = None,
    heard: Sequence[str] = (),
    hear: Transcribe | None = None,
) -> tuple[VirtualCall, PersonaCaller, Model]:
    assert script.persona is not None
    model = model or Model(scripted_answers(script.persona.script))
    words = iter(heard)
    hearing = PersonaHearing("fake", hear or (lambda samples, rate: next(words, "anything")))
    ready = PreparedPersona(lambda text: tone(500, WORDS_MS), hearing)
    virtual = VirtualCall(agent)
    mind = Mind(script.persona, cast(ChatModel, model))  # what a mind uses of it
    prepared = PreparedScript(script, {}, None, persona=ready)
    caller = PersonaCaller(virtual.call, prepared, script.persona, ready, mind, "fake")
    await virtual.run(caller.play())
    return virtual, caller, model


async def test_it_hears_the_agent_out_answers_and_says_why_it_stops() -> None:
    script = script_of(
        {"say": "Where is my order?"},
        {"hears": ["Thursday"], "say": "Bye.", "done": True, "why": "it knows the day"},
    )
    virtual, caller, model = await played(Agent(), script, heard=["Hello.", "It comes Thursday."])

    outcome = caller.outcome
    assert [text for text, _ in virtual.said] == ["Where is my order?", "Bye."]
    assert (outcome.stopped, outcome.why) == (Stop.REACHED, "it knows the day")
    assert [turn.heard for turn in outcome.turns] == ["Hello.", "It comes Thursday."]
    assert outcome.tokens == 100
    assert model.asked[0][0].role == "system"
    assert "Know the day." in model.asked[0][0].content
    assert model.asked[1][-1].content == "The agent said: It comes Thursday."
    first, second = caller.deeds
    assert first.start_ms >= 1300 + 900, "a patient caller lets the greeting end"
    assert second.start_ms >= first.end_ms + 700 + 800 + 900


async def test_it_hears_the_whole_answer_before_it_replies() -> None:
    script = script_of({"say": "one"}, {"done": True})
    heard_ms: list[int] = []

    def hear(samples: NDArray[np.int16], rate_hz: int) -> str:
        heard_ms.append(int(np.count_nonzero(np.abs(samples) > 100)) * 1000 // rate_hz)
        return "anything"

    _, _, _ = await played(Agent(answer_ms=2000), script, hear=hear)
    greeting_ms, answer_ms = heard_ms
    assert greeting_ms > 900
    assert answer_ms > 1800, "it replied to what it had not heard yet"


async def test_a_hasty_caller_waits_for_less_silence() -> None:
    script = script_of({"say": "Bye.", "done": True}, temperament="hasty")
    _, hasty, _ = await played(Agent(), script)
    script = script_of({"say": "Bye.", "done": True}, temperament="patient")
    _, patient, _ = await played(Agent(), script)
    assert hasty.outcome.turns[0].after_ms < 900 <= patient.outcome.turns[0].after_ms


async def test_one_that_interrupts_talks_into_a_long_answer() -> None:
    script = script_of(
        {"say": "one", "interrupt": "Wait"}, {"done": True}, temperament=["interrupts"]
    )
    _, caller, _ = await played(Agent(answer_ms=9000), script)

    said, cut_in = caller.deeds
    assert cut_in.doing is Doing.INTERRUPT
    assert cut_in.start_ms - (said.end_ms + 700) == pytest.approx(1500, abs=100)
    assert [(t.does, t.text) for t in caller.outcome.turns] == [
        ("say", "one"),
        ("interrupt", "Wait"),
    ]


async def test_an_answer_that_is_over_by_then_is_not_interrupted() -> None:
    script = script_of(
        {"say": "one", "interrupt": "Wait"}, {"done": True}, temperament=["interrupts"]
    )
    _, caller, _ = await played(Agent(answer_ms=600), script)
    assert [turn.text for turn in caller.outcome.turns] == ["one"]
    assert caller.outcome.stopped is Stop.REACHED


async def test_it_presses_keys() -> None:
    virtual, caller, _ = await played(Agent(), script_of({"press": "12#"}, {"done": True}))
    assert virtual.leg.sent_digits == ["12#"]
    assert caller.outcome.turns[0].does == "dtmf"


@pytest.mark.parametrize(
    ("limits", "stop", "turns"),
    [({"turns": 2}, Stop.TURNS, 2), ({"tokens": 120}, Stop.TOKENS, 3)],
)
async def test_its_limits_stop_it_and_that_is_no_verdict(
    limits: Document, stop: Stop, turns: int
) -> None:
    script = script_of({"say": "x"}, limits=limits)
    endless = Model(lambda messages: json.dumps({"say": "And then?"}))
    _, caller, _ = await played(Agent(), script, endless)

    outcome = caller.outcome
    assert (outcome.stopped, len(outcome.turns)) == (stop, turns)
    check = check_persona(outcome)
    assert (check.status.value, check.kind) == ("inconclusive", "persona")
    assert f"limits.{stop.value}" in check.found


async def test_seconds_stop_it_even_while_its_model_thinks() -> None:
    script = script_of({"say": "x"}, limits={"seconds": 0.2})

    class Slow(Model):
        async def ask(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
            await asyncio.Event().wait()
            raise AssertionError

    virtual, caller, _ = await played(Agent(greeting=None), script, Slow(lambda m: ""))
    assert caller.outcome.stopped is Stop.SECONDS
    assert virtual.call.over


async def test_a_model_that_writes_nonsense_is_asked_again_and_then_given_up() -> None:
    nonsense = Model(lambda messages: '{"say": 17}')
    _, caller, model = await played(Agent(), script_of({"say": "x"}), nonsense)

    assert len(model.asked) == 2
    assert "'say' is no text" in model.asked[1][-1].content
    outcome = caller.outcome
    assert outcome.stopped is Stop.MODEL_FAILED
    assert outcome.tokens == 100, "what is no reply costs, too"
    assert check_persona(outcome).status.value == "inconclusive"


async def test_a_model_that_can_not_be_had_ends_the_call_with_its_reason() -> None:
    class Dead(Model):
        async def ask(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
            raise ChatError("the text model small at h answered 503", remedy="check its url")

    _, caller, _ = await played(Agent(), script_of({"say": "x"}), Dead(lambda m: ""))
    assert (caller.outcome.stopped, caller.outcome.why) == (
        Stop.MODEL_FAILED,
        "the text model small at h answered 503; check its url",
    )


async def test_an_agent_that_hangs_up_ends_it() -> None:
    endless = Model(lambda messages: json.dumps({"say": "And then?"}))
    virtual, caller, _ = await played(Agent(hangs_up_after=2), script_of({"say": "x"}), endless)
    assert caller.outcome.stopped is Stop.AGENT_HUNG_UP
    assert virtual.leg.ended_by_far_end


async def test_what_no_reply_of_the_stand_in_fits_is_told() -> None:
    script = script_of({"hears": ["Thursday"], "say": "Bye", "done": True})
    _, caller, _ = await played(Agent(), script, heard=["We are closed."])
    assert caller.outcome.stopped is Stop.GAVE_UP
    assert "none of the stand-in's replies fits" in caller.outcome.why
