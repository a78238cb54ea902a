"""Where the time of an agent turn goes."""

from bridge.engine.core import CallPolicy
from bridge.engine.effects import TurnMeasured, TurnSpoken
from bridge.engine.inputs import AudioAppended, PlayoutDrained, PlayoutStarted, ToolFinished
from bridge.engine.latency import InputClock
from bridge.engine.policy import ToolPolicy
from bridge.realtime.events import InputCommitted, ResponseCreated
from tests.engine.calls import (
    A1,
    A2,
    MS,
    R1,
    R2,
    SILENT,
    T1,
    U1,
    Call,
    answered,
    audio,
    done,
    of,
    said_all,
    started,
    stopped,
    wants_tool,
)


def heard_turn(policy: CallPolicy = SILENT) -> Call:
    """3000 ms of input were sent, captured just now; the caller's speech ended at 2400 ms."""
    call = answered(policy)
    call.feed(started(), AudioAppended(3_000, call.clock.now_ns()))
    call.feed(stopped(2_400), after_ms=20)
    return call


def test_input_clock_puts_a_sample_in_time() -> None:
    clock = InputClock(total_ms=3_000, captured_ns=9_000 * MS)
    assert clock.at(2_400) == 8_400 * MS
    assert clock.at(3_000) == 9_000 * MS


def test_turn_is_measured_from_the_last_sound_to_the_first_audible_sample() -> None:
    call = heard_turn()
    call.feed(ResponseCreated(R1), after_ms=100)
    call.feed(audio(A1, R1), after_ms=200)
    call.feed(audio(A1, R1), said_all(A1, R1, "hi"), after_ms=10)
    effects = call.feed(PlayoutStarted(A1, 0), after_ms=20)
    stages_ns = {
        "endpoint": 620 * MS,
        "model": 100 * MS,
        "first_delta": 200 * MS,
        "pacing": 30 * MS,
    }
    assert of(TurnMeasured, effects) == [TurnMeasured(stages_ns, total_ns=950 * MS)]
    assert sum(stages_ns.values()) == 950 * MS
    assert of(TurnSpoken, effects)[0].latency_ms == 950


def test_silence_that_the_server_counts_in_is_taken_off() -> None:
    call = heard_turn(CallPolicy(greet=False, vad_trailing_silence_ms=500))
    call.feed(ResponseCreated(R1), audio(A1, R1))
    effects = call.feed(PlayoutStarted(A1, 0))
    assert of(TurnMeasured, effects)[0].total_ns == 1_120 * MS


def test_turn_is_measured_once() -> None:
    call = heard_turn()
    call.feed(ResponseCreated(R1), audio(A1, R1), PlayoutStarted(A1, 0), PlayoutDrained())
    effects = call.feed(audio(A1, R1), PlayoutStarted(A1, 0), audio(A2, R1), PlayoutStarted(A2, 0))
    assert of(TurnMeasured, effects) == []


def test_time_in_a_tool_is_a_stage_of_its_own() -> None:
    call = heard_turn(CallPolicy(greet=False, tools={"lookup": ToolPolicy()}))
    call.feed(ResponseCreated(R1), after_ms=100)
    call.feed(wants_tool(), done(R1), ToolFinished(T1, "42"))
    call.feed(ResponseCreated(R2), after_ms=700)
    call.feed(audio(A1, R2), after_ms=200)
    measured = of(TurnMeasured, call.feed(PlayoutStarted(A1, 0), after_ms=30))[0]
    assert measured.stages_ns["tool"] == 700 * MS
    assert sum(measured.stages_ns.values()) == measured.total_ns == 1_650 * MS


def test_greeting_is_measured_from_the_answer() -> None:
    call = answered(CallPolicy())
    call.feed(ResponseCreated(R1), audio(A1, R1), said_all(A1, R1, "welcome"), after_ms=300)
    effects = call.feed(PlayoutStarted(A1, 0), after_ms=40)
    assert of(TurnMeasured, effects) == [TurnMeasured(greeting_ns=340 * MS)]
    assert [turn.latency_ms for turn in of(TurnSpoken, call.feed(done(R1), PlayoutDrained()))] == [
        None
    ]


def test_turn_without_a_known_last_sound_has_stages_but_no_total() -> None:
    call = answered()
    call.feed(InputCommitted(U1))
    call.feed(ResponseCreated(R1), after_ms=100)
    call.feed(audio(A1, R1))
    effects = call.feed(PlayoutStarted(A1, 0))
    stages_ns = {"model": 100 * MS, "first_delta": 0, "pacing": 0}
    assert of(TurnMeasured, effects) == [TurnMeasured(stages_ns)]


def test_turn_that_the_caller_took_back_is_not_measured() -> None:
    call = heard_turn()
    call.feed(started(), ResponseCreated(R1), audio(A1, R1))
    assert of(TurnMeasured, call.feed(PlayoutStarted(A1, 0))) == []
