"""What is put down of the turns of a call, with a real summary, metrics and redactor."""

import pytest

from bridge.clock import ManualClock
from bridge.engine.news import Interrupted, Speaker, TurnSpoken
from bridge.live.recording import CallRecording, Fields
from bridge.live.summary import CallSummary
from bridge.live.turn_record import TurnRecord
from bridge.realtime.ids import ItemId
from bridge.redaction.turns import Redactor
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape
from bridge.telephony.pump import Pump
from tests.telephony.fake_ports import FakePorts

ITEM = ItemId("item_1")


class Turns:
    """The turns of a call that is not recorded."""

    def __init__(self) -> None:
        clock, metrics = ManualClock(), Metrics("1")
        self.metrics = metrics
        pump = Pump(FakePorts(clock), clock, append_ms=20, ahead_ms=200)
        recording = CallRecording(None, {}, pump, clock, metrics.media, lambda kind, fields: None)
        self.summary = CallSummary("c_1", "support", "a", "ga", "100")
        self.told: list[tuple[str, Fields]] = []
        self.record = TurnRecord(
            lambda kind, fields: self.told.append((kind, fields)),
            self.summary,
            metrics.turns,
            recording,
            Redactor(),
            judged=False,
        )

    def spoken(self, speaker: Speaker, text: str) -> None:
        self.record.effects[TurnSpoken](TurnSpoken(speaker, ITEM, text))

    @property
    def texts(self) -> list[str]:
        return [turn.text for turn in self.summary.turns]


@pytest.fixture
def turns() -> Turns:
    return Turns()


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
