"""Where the time of an agent turn goes."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.engine.agent.latency import InputClock, TurnClock
from bridge.engine.core import CallPolicy
from bridge.engine.inputs import ToolFinished
from bridge.engine.media import AudioAppended, LastSoundSent
from bridge.engine.news import TurnMeasured, TurnSpoken
from bridge.realtime.events import InputCommitted, ResponseCreated
from bridge.telemetry.labels import TurnStage
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
from tests.support.policies import call_policy, tool_policy


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
        "playback": 30 * MS,
    }
    assert of(TurnMeasured, effects) == [TurnMeasured(stages_ns, total_ns=950 * MS)]
    assert sum(stages_ns.values()) == 950 * MS
    assert of(TurnSpoken, effects)[0].latency_ms == 950


SPENT_MS = {
    "capture": 31,
    "uplink": 3,
    "endpoint": 500,
    "model": 120,
    "tool": 700,
    "first_delta": 90,
    "downlink": 7,
    "playback": 40,
}
"""What a turn takes in the tests below: no two stages alike."""


def whole_turn(spent_ms: Mapping[str, int], *, told_late: bool = False) -> TurnMeasured:
    """Live through a turn with a tool; each mark is fed where it is made.

    Args:
        spent_ms: by stage.
        told_late: the sound's end is told after speech_stopped, as by a hasty turn detection.
    """
    call = answered(call_policy(greet=False, tools={"lookup": tool_policy()}))
    call.feed(AudioAppended(1_000, call.clock.now_ns()), started())
    sound_ns = call.clock.now_ns() + 800 * MS
    handed_ns = sound_ns + spent_ms["capture"] * MS
    written_ns = handed_ns + spent_ms["uplink"] * MS
    sent = LastSoundSent(sound_ns, handed_ns, written_ns)
    before_ms = 800 + sum(spent_ms[stage] for stage in ("capture", "uplink", "endpoint"))
    if told_late:
        call.feed(stopped(1_500), after_ms=before_ms)
        call.feed(sent)
    else:
        call.feed(sent, after_ms=before_ms - 10)
        call.feed(stopped(1_500), after_ms=10)
    call.feed(ResponseCreated(R1), after_ms=spent_ms["model"])
    call.feed(wants_tool(), done(R1), ToolFinished(T1, "42"))
    call.feed(ResponseCreated(R2), after_ms=spent_ms["tool"])
    call.feed(audio(A1, R2), after_ms=spent_ms["first_delta"])
    laid_ns = call.clock.now_ns() + spent_ms["downlink"] * MS
    taken_ns = laid_ns + spent_ms["playback"] * MS
    late = PlayoutStarted(A1, 0, laid_ns, taken_ns)  # as the tick comes 60 ms after PJSIP did
    told = call.feed(late, after_ms=spent_ms["downlink"] + spent_ms["playback"] + 60)
    return of(TurnMeasured, told)[0]


@pytest.mark.parametrize("told_late", [False, True])
def test_each_stage_gets_its_own_time_and_all_add_up(told_late: bool) -> None:
    measured = whole_turn(SPENT_MS, told_late=told_late)
    assert {stage: ns // MS for stage, ns in measured.stages_ns.items()} == SPENT_MS
    assert list(measured.stages_ns) == [stage.value for stage in TurnStage]
    assert measured.total_ns == sum(measured.stages_ns.values()) == sum(SPENT_MS.values()) * MS


@pytest.mark.parametrize("slow", SPENT_MS)
def test_delay_lands_in_its_stage_and_in_no_other(slow: str) -> None:
    before = whole_turn(SPENT_MS).stages_ns
    after = whole_turn({**SPENT_MS, slow: SPENT_MS[slow] + 1_000}).stages_ns
    grown = {stage: (after[stage] - before[stage]) // MS for stage in SPENT_MS}
    assert grown == {**dict.fromkeys(SPENT_MS, 0), slow: 1_000}


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 10_000)), min_size=7, max_size=7),
    st.integers(0, 10_000),
)
def test_stages_add_up_whatever_the_marks(marks: list[int | None], taken_ns: int) -> None:
    handed, written, stopped_ns, created, resumed, delta, laid = marks
    sent = None if handed is None or written is None else LastSoundSent(500, handed, written)
    clock = TurnClock(0, 500, sent, stopped_ns, None, created, resumed, delta)
    measured = clock.measure(PlayoutStarted(A1, 0, laid, taken_ns), 20_000)
    assert measured is not None
    assert min(measured.stages_ns.values()) >= 0
    assert sum(measured.stages_ns.values()) == measured.total_ns == max(taken_ns - 500, 0)


@pytest.mark.parametrize("ago_ms", [3_100, -1])
def test_sound_before_the_turn_or_after_its_end_is_not_the_turns_last(ago_ms: int) -> None:
    call = heard_turn()  # it began 3020 ms ago, and its end was told just now
    at_ns = call.clock.now_ns() - ago_ms * MS
    call.feed(LastSoundSent(at_ns, at_ns, at_ns))
    call.feed(ResponseCreated(R1), audio(A1, R1))
    measured = of(TurnMeasured, call.feed(PlayoutStarted(A1, 0)))[0]
    assert "capture" not in measured.stages_ns
    assert measured.total_ns == 620 * MS


def test_silence_that_the_server_counts_in_is_taken_off() -> None:
    call = heard_turn(call_policy(greet=False, vad_trailing_silence_ms=500))
    call.feed(ResponseCreated(R1), audio(A1, R1))
    effects = call.feed(PlayoutStarted(A1, 0))
    assert of(TurnMeasured, effects)[0].total_ns == 1_120 * MS


def test_turn_is_measured_once() -> None:
    call = heard_turn()
    call.feed(ResponseCreated(R1), audio(A1, R1), PlayoutStarted(A1, 0), PlayoutDrained())
    effects = call.feed(audio(A1, R1), PlayoutStarted(A1, 0), audio(A2, R1), PlayoutStarted(A2, 0))
    assert of(TurnMeasured, effects) == []


def test_time_in_a_tool_is_a_stage_of_its_own() -> None:
    call = heard_turn(call_policy(greet=False, tools={"lookup": tool_policy()}))
    call.feed(ResponseCreated(R1), after_ms=100)
    call.feed(wants_tool(), done(R1), ToolFinished(T1, "42"))
    call.feed(ResponseCreated(R2), after_ms=700)
    call.feed(audio(A1, R2), after_ms=200)
    measured = of(TurnMeasured, call.feed(PlayoutStarted(A1, 0), after_ms=30))[0]
    assert measured.stages_ns["tool"] == 700 * MS
    assert sum(measured.stages_ns.values()) == measured.total_ns == 1_650 * MS


def test_greeting_is_measured_from_the_answer() -> None:
    call = answered(call_policy())
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
    stages_ns = {"model": 100 * MS, "first_delta": 0, "playback": 0}
    assert of(TurnMeasured, effects) == [TurnMeasured(stages_ns)]


def test_turn_that_the_caller_took_back_is_not_measured() -> None:
    call = heard_turn()
    call.feed(started(), ResponseCreated(R1), audio(A1, R1))
    assert of(TurnMeasured, call.feed(PlayoutStarted(A1, 0))) == []
