"""What the list of live calls learns of one call."""

from collections.abc import Mapping

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundStarted, SoundStopped
from bridge.live.filler import FILLER_ITEM
from bridge.live.records.vitals import Vitals
from bridge.realtime.ids import ItemId
from bridge.store.buffer import FieldValue
from bridge.store.keys import CALL_FIELDS
from bridge.telemetry.health import WARN_BELOW


class Call:
    """A call whose hash is a dict, on a clock that the test moves."""

    def __init__(self, *, greets: bool = False) -> None:
        self.now_ms = 1_000
        self.writes = 0
        self.vitals = Vitals(self._write, lambda: self.now_ms, greets=greets)
        self.fields: dict[str, FieldValue] = self.vitals.begin()

    def _write(self, fields: Mapping[str, FieldValue]) -> None:
        self.fields.update(fields)
        self.writes += 1

    def phase(self, new: str, cause: str = "x") -> None:
        self.vitals.take("phase", {"old": "?", "new": new, "cause": cause})


@pytest.fixture
def call() -> Call:
    return Call()


def started(item: str = "item_1") -> PlayoutStarted:
    return PlayoutStarted(ItemId(item), 0)


def test_fields_are_those_of_a_call(call: Call) -> None:
    assert set(call.fields) <= CALL_FIELDS


def test_state_follows_the_phase_and_says_since_when(call: Call) -> None:
    assert call.fields["state"] == "ringing"
    call.now_ms = 2_000
    call.phase("listening", "answered")
    call.now_ms = 3_000
    call.phase("listening", "speech_started")
    assert (call.fields["state"], call.fields["state_since_at"]) == ("listening", 2_000)
    call.phase("thinking")
    assert (call.fields["state"], call.fields["state_since_at"]) == ("thinking", 3_000)


def test_greeting_lasts_until_it_was_heard() -> None:
    call = Call(greets=True)
    call.phase("listening", "answered")
    call.phase("speaking", "playout_started")
    assert call.fields["state"] == "greeting"
    call.phase("listening", "playout_drained")
    assert call.fields["state"] == "listening"
    call.phase("speaking", "playout_started")
    assert call.fields["state"] == "speaking"


def test_running_tool_is_a_state_and_a_failed_one_costs_health(call: Call) -> None:
    call.phase("thinking")
    call.vitals.take("tool_called", {"tool": "pay"})
    assert call.fields["state"] == "tool"
    call.vitals.take(
        "tool_ended", {"tool": "pay", "result": "timeout", "fault": "tool", "took_ms": 9}
    )
    assert call.fields["state"] == "thinking"
    assert call.fields["tool_failures"] == 1
    assert call.fields["health"] == 88
    assert call.fields["health_reasons"] == "a tool failed"


def test_tool_that_nobody_waits_for_any_more_costs_nothing(call: Call) -> None:
    call.vitals.take("tool_called", {"tool": "pay"})
    call.vitals.take(
        "tool_ended", {"tool": "pay", "result": "cancelled", "fault": "none", "took_ms": 9}
    )
    assert (call.fields["tool_failures"], call.fields["health"]) == (0, 100)


def test_caller_who_waited_84_s_in_silence_needs_a_look(call: Call) -> None:
    call.vitals.take("dead_air", {"cause": "upstream", "silence_ms": 84_000})
    assert int(call.fields["health"]) < WARN_BELOW
    assert str(call.fields["health_reasons"]).startswith("the caller waited 84 s in silence")


def test_person_who_is_called_and_talks_is_shown_until_they_give_back(call: Call) -> None:
    call.vitals.take("handoff_started", {"target": "billing"})
    assert call.fields["state"] == "transferring"
    call.vitals.take("handoff_accepted", {"way": "warm"})
    call.phase("handoff")
    assert call.fields["state"] == "human"
    call.vitals.take("handed_back", {"talked_ms": 5})
    call.phase("listening")
    assert call.fields["state"] == "listening"


def test_call_that_a_supervisor_holds_says_who_until_the_agent_goes_on(call: Call) -> None:
    call.vitals.take("supervisor_acted", {"by": "sam", "action": "pause"})
    assert (call.fields["state"], call.fields["held_by"]) == ("paused", "sam")
    call.vitals.take("supervisor_acted", {"by": "ada", "action": "whisper"})
    assert call.fields["held_by"] == "sam"
    call.vitals.take("supervisor_acted", {"by": "sam", "action": "take_over"})
    call.vitals.take("supervisor_joined", {"by": "sam"})
    assert call.fields["state"] == "human"
    call.vitals.take("agent_resumed", {"by": "sam", "away_ms": 9, "cause": "handed_back"})
    call.phase("listening")
    assert (call.fields["state"], call.fields["held_by"]) == ("listening", "")


def test_wait_for_a_person_is_measured_to_their_taking_the_call(call: Call) -> None:
    call.vitals.take("handoff_started", {"target": "billing", "text": "wants a refund"})
    assert call.fields["handoff_result"] == "waiting"
    assert call.fields["waiting_since_at"] == 1_000
    assert call.fields["handoff_summary"] == "wants a refund"
    call.now_ms = 13_000
    call.vitals.take("handoff_accepted", {"way": "warm"})
    call.now_ms = 99_000
    call.vitals.take("handoff_completed", {"way": "warm", "took_ms": 98_000})
    assert (call.fields["handoff_result"], call.fields["handoff_wait_ms"]) == ("accepted", 12_000)


def test_caller_who_leaves_a_transfer_is_no_failed_transfer(call: Call) -> None:
    call.vitals.take("handoff_failed", {"way": "warm", "reason": "caller_left", "took_ms": 1})
    assert call.fields["health"] == 100
    call.vitals.take("handoff_started", {"target": "billing", "text": None})
    call.vitals.take("handoff_failed", {"way": "warm", "reason": "no_answer", "took_ms": 1})
    assert call.fields["handoff_result"] == "no_answer"
    assert call.fields["health"] == 75


def test_last_turn_is_the_measured_one(call: Call) -> None:
    call.vitals.take("measured", {"capture_ms": "30.0", "response_ms": "675.4"})
    assert call.fields["last_turn_ms"] == 675
    call.vitals.take("measured", {"capture_ms": "30.0"})
    assert call.fields["last_turn_ms"] == 675


def test_silence_begins_when_the_last_of_both_ends(call: Call) -> None:
    call.vitals.on_sound(SoundStarted(0))
    call.vitals.on_playout(started())
    call.now_ms = 5_000
    call.vitals.on_sound(SoundStopped(0))
    assert call.fields["silent_since_at"] == 0
    call.now_ms = 6_000
    call.vitals.on_playout(PlayoutDrained())
    assert call.fields["silent_since_at"] == 6_000
    call.vitals.on_sound(SoundStarted(0))
    assert call.fields["silent_since_at"] == 0


def test_filler_is_no_speech_of_the_agent(call: Call) -> None:
    call.vitals.on_sound(SoundStarted(0))
    call.vitals.on_sound(SoundStopped(0))
    call.vitals.on_playout(started(FILLER_ITEM))
    assert call.fields["silent_since_at"] == 1_000


def test_agent_that_begins_over_the_caller_has_interrupted(call: Call) -> None:
    call.vitals.on_sound(SoundStarted(0))
    call.vitals.on_playout(started("item_1"))
    call.vitals.on_playout(started("item_2"))
    call.phase("speaking")
    assert call.fields["interruptions_agent"] == 1


def test_what_changes_nothing_writes_nothing(call: Call) -> None:
    call.phase("listening")
    before = call.writes
    call.vitals.take("turn", {"speaker": "caller", "text": "hello"})
    call.phase("listening")
    assert call.writes == before
