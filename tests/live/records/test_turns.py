"""What is put down of the turns of a call, with a real summary, metrics and redactor."""

from typing import Any

import pytest

from bridge.clock import ManualClock
from bridge.engine.news import AgentInterrupted, Interrupted, Speaker, TurnSpoken
from bridge.live.recording import CallRecording, Fields
from bridge.live.records.summary import CallSummary
from bridge.live.records.turns import CUT_OFF_MS, TurnRecord
from bridge.realtime.conversation import NOT_TRANSCRIBED
from bridge.realtime.ids import ItemId
from bridge.redaction.turns import Redactor
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape
from bridge.telephony.pump import Pump
from tests.telephony.fake_ports import FakePorts

ITEM = ItemId("item_1")


def unheard(item_id: ItemId) -> int:
    return 0


class Turns:
    """The turns of a call that is not recorded."""

    def __init__(self, *, transcribed: bool = True) -> None:
        clock, metrics = ManualClock(), Metrics("1")
        self.metrics = metrics
        pump = Pump(FakePorts(clock), clock, append_ms=20, ahead_ms=200)
        recording = CallRecording(None, {}, pump, clock, metrics.media, lambda kind, fields: None)
        self.summary = CallSummary("c_1", "support", "a", "ga", "100")
        self.told: list[tuple[str, Fields]] = []
        self.cut_offs: list[None] = []
        self.record = TurnRecord(
            lambda kind, fields: self.told.append((kind, fields)),
            self.summary,
            metrics.turns,
            recording,
            Redactor(),
            lambda: self.cut_offs.append(None),
            judged=False,
            transcribed=transcribed,
        )

    def spoken(self, speaker: Speaker, text: str) -> None:
        self.record.effects[TurnSpoken](TurnSpoken(speaker, ITEM, text))

    @property
    def texts(self) -> list[str]:
        return [turn.text for turn in self.summary.turns]


@pytest.fixture
def turns() -> Turns:
    return Turns()


def test_turn_without_words_is_put_down_where_it_was_said(turns: Turns) -> None:
    turns.spoken(Speaker.BRIDGE, "Hello.")
    turns.record.committed(ITEM)
    turns.spoken(Speaker.AGENT, "It is on its way.")
    turns.record.not_transcribed(ITEM)
    assert turns.texts == ["Hello.", NOT_TRANSCRIBED, "It is on its way."]
    kind, fields = turns.told[-1]
    assert (kind, fields["speaker"], fields["text"]) == ("turn", "caller", NOT_TRANSCRIBED)


def test_turns_whose_words_never_come_are_put_down_at_the_end(turns: Turns) -> None:
    for name, text in (("first", "One."), ("second", "Two.")):
        turns.record.committed(ItemId(name))
        turns.record.effects[TurnSpoken](TurnSpoken(Speaker.AGENT, ItemId(f"{name}_a"), text))
    turns.record.ended(unheard)
    assert turns.texts == [NOT_TRANSCRIBED, "One.", NOT_TRANSCRIBED, "Two."]


def test_end_of_the_call_puts_down_what_was_heard_of_the_turn_that_it_cut(turns: Turns) -> None:
    cut = ItemId("item_cut")
    turns.record.effects[TurnSpoken](TurnSpoken(Speaker.AGENT, ITEM, "Hello.", heard_ms=600))
    turns.record.effects[TurnSpoken](TurnSpoken(Speaker.AGENT, cut, "It is on its way."))
    turns.record.ended({ITEM: 700, cut: 340}.__getitem__)
    assert [turn.heard_ms for turn in turns.summary.turns] == [600, 340]
    kind, fields = turns.told[-1]
    assert (kind, fields["item_id"], fields["heard_ms"]) == ("turn", cut, 340)


def test_words_that_come_after_all_replace_the_note(turns: Turns) -> None:
    turns.record.committed(ITEM)
    turns.record.not_transcribed(ITEM)
    turns.spoken(Speaker.CALLER, "where is my order")
    turns.record.ended(unheard)
    assert turns.texts == ["where is my order"]


def test_sound_without_words_is_no_turn(turns: Turns) -> None:
    turns.record.committed(ITEM)
    turns.record.transcribed(ITEM)
    turns.record.committed(ITEM)  # it comes again
    turns.record.ended(unheard)
    assert turns.texts == []


def test_turn_that_a_lost_session_heard_is_left_to_the_next(turns: Turns) -> None:
    turns.record.committed(ITEM)
    turns.record.session_restored()
    turns.record.ended(unheard)
    assert turns.texts == []


def test_call_without_transcription_has_no_turns_of_the_callers() -> None:
    turns = Turns(transcribed=False)
    turns.record.committed(ITEM)
    turns.record.ended(unheard)
    assert turns.texts == []


def test_text_of_the_same_item_replaces_what_was_put_down(turns: Turns) -> None:
    turns.spoken(Speaker.CALLER, "where is")
    turns.spoken(Speaker.CALLER, "where is my order")
    assert turns.texts == ["where is my order"]
    assert len(turns.told) == 2


@pytest.mark.parametrize(
    ("speaker", "texts"),
    [(Speaker.CALLER, ["before", "after"]), (Speaker.AGENT, ["after"])],
)
def test_new_session_may_name_a_turn_of_the_callers_as_the_old_one_did(
    turns: Turns, speaker: Speaker, texts: list[str]
) -> None:
    turns.spoken(speaker, "before")
    turns.record.session_restored()
    turns.spoken(speaker, "after")
    assert turns.texts == texts


@pytest.mark.parametrize(
    ("by", "kind", "counted"),
    [(Speaker.CALLER, "interrupted", 1), (Speaker.SUPERVISOR, "agent_cut", 0)],
)
def test_agent_that_a_supervisor_cuts_is_not_interrupted_by_the_caller(
    turns: Turns, by: Speaker, kind: str, counted: int
) -> None:
    turns.record.effects[Interrupted](Interrupted(ITEM, 1_200, 40_000_000, by))
    assert turns.summary.interruptions == counted
    assert [told for told, _ in turns.told] == [kind]
    scrape = Scrape.parse(turns.metrics.render()[0].decode())
    assert scrape.value("bridge_interruptions_total", by="caller") == counted


def cut_offs(turns: Turns, played_ms: int, **more: Any) -> int:  # Any: fields of the news
    """Have the agent be cut off; return how often it has cut the caller off by now."""
    news = {"by": Speaker.CALLER, "spoken": True, **more}
    turns.record.effects[Interrupted](Interrupted(ITEM, played_ms, 1, **news))
    return len(turns.cut_offs)


def test_caller_who_goes_on_as_the_agent_begins_was_cut_off_once_a_turn(turns: Turns) -> None:
    turns.record.committed(ITEM)
    assert cut_offs(turns, CUT_OFF_MS) == 0
    assert cut_offs(turns, CUT_OFF_MS - 1) == 1
    assert cut_offs(turns, 100) == 1
    turns.record.committed(ItemId("item_2"))
    turns.record.effects[AgentInterrupted](AgentInterrupted())
    assert len(turns.cut_offs) == 2
    assert cut_offs(turns, 100) == 2


def test_nobody_is_cut_off_by_a_greeting_a_key_or_a_supervisor(turns: Turns) -> None:
    assert cut_offs(turns, 100) == 0
    turns.record.effects[AgentInterrupted](AgentInterrupted())
    assert turns.cut_offs == []
    turns.record.committed(ITEM)
    assert cut_offs(turns, 100, spoken=False) == 0
    assert cut_offs(turns, 100, by=Speaker.SUPERVISOR, spoken=False) == 0


def test_answer_that_nobody_heard_cuts_nobody_off(turns: Turns) -> None:
    turns.record.committed(ITEM)
    turns.record.effects[Interrupted](Interrupted(None, 0, 1, spoken=True))
    assert turns.cut_offs == []
