"""The core as a whole: every input has its place, and no sequence of inputs breaks its promises."""

import typing
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.engine import core as deciding
from bridge.engine.agent.responses import ALREADY_ACTIVE
from bridge.engine.core import IGNORED, LIFECYCLE, TALK, CallCore, CallPolicy, Handler
from bridge.engine.effects import (
    AnswerCall,
    Effect,
    FlushPlayout,
    PlayAudio,
    RejectCall,
    ResumeUplink,
    RunTool,
    Send,
    StartTimer,
    StopTimer,
    TakeSpare,
    UplinkHold,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    DigitReceived,
    HoldChanged,
    Input,
    SessionFailed,
    SessionReady,
    ShutdownRequested,
    SpareFailed,
    SpareReady,
    SupervisorActed,
    SupervisorHeard,
    SupervisorLost,
    TimerFired,
    ToolFinished,
)
from bridge.engine.media import AudioAppended, PlayoutFlushed
from bridge.engine.news import (
    CallClosed,
    ConsentSettled,
    DisclosureSpoken,
    SessionLost,
    StateChanged,
)
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import UpstreamError
from bridge.realtime.commands import CancelResponse, CreateResponse, TruncateItem
from bridge.realtime.event_values import ApiError, ResponseStatus
from bridge.realtime.events import (
    AudioDelta,
    AudioDone,
    ErrorReported,
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptFailed,
    ResponseCreated,
    UnknownEvent,
)
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.routing.supervisor_verbs import (
    HandBackOrder,
    PauseOrder,
    PauseRecordingOrder,
    ResumeOrder,
    SayOrder,
    SensitiveOrder,
    TakeOverOrder,
    TransferOrder,
    WhisperOrder,
)
from bridge.routing.wording import WordList
from tests.engine.calls import (
    A1,
    A2,
    R1,
    R2,
    T1,
    T2,
    U1,
    audio,
    done,
    flushed,
    of,
    said,
    said_all,
    started,
    stopped,
    wants_tool,
)
from tests.support.policies import (
    barge_in_policy,
    call_policy,
    caller_silence_policy,
    consent_policy,
    dead_air_policy,
    emergency_policy,
    handoff_target,
    tool_policy,
)

HANDLERS = {**LIFECYCLE, **TALK}


def test_every_input_has_exactly_one_place() -> None:
    inputs = set(typing.get_args(Input))
    assert HANDLERS.keys() | IGNORED == inputs
    assert len(LIFECYCLE) + len(TALK) + len(IGNORED) == len(inputs)


@pytest.mark.parametrize(("kind", "handler"), HANDLERS.items())
def test_handler_takes_the_input_it_is_keyed_by(kind: type[Input], handler: Handler) -> None:
    assert typing.get_type_hints(handler)["event"] is kind


def test_ignored_input_gives_nothing() -> None:
    assert CallCore(call_policy()).feed(UnknownEvent("response.new_thing", 17), 0) == []


responses = st.sampled_from([R1, R2, ResponseId("resp_3")])
items = st.sampled_from([A1, A2])
tools = st.sampled_from([T1, T2])
ms = st.integers(0, 3_000)
SETUP = [CallOffered(), SessionReady("sess_1"), CallAnswered()]

ANN = handoff_target("ann", "sip:ann@x")
supervisors = st.sampled_from(["ann", "bob"])
orders = st.sampled_from(
    [
        WhisperOrder(text="Be kind."),
        WhisperOrder(text="Be kind.", when="now"),
        SayOrder(text="Hold on."),
        TakeOverOrder(),
        HandBackOrder(summary="Settled."),
        PauseOrder(auto_resume_s=5),
        ResumeOrder(),
        SensitiveOrder(on=True),
        SensitiveOrder(on=False),
        PauseRecordingOrder(on=True),
        PauseRecordingOrder(on=False),
        TransferOrder(target="ann"),
    ]
)

conversation = st.one_of(
    st.builds(SupervisorActed, st.just("1"), supervisors, orders, st.just(ANN)),
    st.builds(SupervisorHeard, supervisors),
    st.builds(SupervisorLost, supervisors),
    st.just(started(U1)),
    st.builds(stopped, ms),
    st.just(InputCommitted(U1)),
    st.just(InputCleared()),
    st.builds(InputTranscriptCompleted, st.just(U1), st.just(0), st.sampled_from(["hello", "mhm"])),
    st.just(InputTranscriptFailed(U1, 0, ApiError("transcription_error", ""))),
    st.builds(SoundStarted, ms),
    st.builds(SoundLasted, ms, st.sampled_from([120, 360, 460])),
    st.builds(SoundStopped, ms),
    st.builds(ResponseCreated, responses),
    st.builds(done, responses, st.sampled_from(list(ResponseStatus))),
    st.builds(audio, items, responses, st.integers(0, 60)),
    st.builds(AudioDone, response_id=responses, item_id=items),
    st.builds(said, items, responses, st.just("a")),
    st.builds(said_all, items, responses, st.just("abc")),
    st.builds(wants_tool, tools, st.sampled_from(["lookup", "other", "end_call"]), responses),
    st.builds(ToolFinished, tools, st.just("42")),
    st.builds(PlayoutStarted, items, st.just(0)),
    st.just(PlayoutDrained()),
    st.builds(lambda item, played, queued: flushed((item, played, queued)), items, ms, ms),
    st.just(flushed()),
    st.builds(AudioAppended, st.floats(0, 3_000), ms),
    st.builds(DigitReceived, st.sampled_from("0123456789*#")),
    st.builds(HoldChanged, st.booleans()),
    st.builds(
        PlayoutStarted, st.sampled_from([ItemId(f"bridge_say_{n}") for n in (1, 2)]), st.just(0)
    ),
    st.builds(TimerFired, st.sampled_from(list(Timer))),
    st.builds(
        lambda code: ErrorReported(ApiError("invalid_request_error", "", code=code)),
        st.sampled_from(
            ["response_cancel_not_active", "conversation_already_has_active_response", None]
        ),
    ),
)
rare = st.one_of(
    st.sampled_from(SETUP),
    st.builds(TimerFired, st.sampled_from(list(Timer))),
    st.builds(CallEnded, st.booleans(), st.sampled_from([200, 408, 487])),
    st.builds(
        lambda code: SessionFailed(UpstreamError("gone", code=code)),
        st.sampled_from(["timeout", "session_expired", "beta_api_shape_disabled", "given_up"]),
    ),
    st.builds(SessionReady, st.just("sess_2"), st.sampled_from([None, 10]), st.booleans()),
    st.just(SpareReady("sess_3")),
    st.just(SpareFailed(UpstreamError("gone", code="timeout"))),
    st.just(ShutdownRequested()),
)
policies = st.builds(
    call_policy,
    max_call_ms=st.sampled_from([None, 60_000]),
    greet=st.booleans(),
    tools=st.just({"lookup": tool_policy()}),
    filler_after_ms=st.sampled_from([None, 1_400]),
    max_call_warning=st.sampled_from([None, "The call ends soon."]),
    barge_in=st.sampled_from(
        [
            None,
            barge_in_policy(backchannel_words=frozenset({"mhm"}), transcribed=True),
            barge_in_policy(protects_greeting=True),
        ]
    ),
    dead_air=st.sampled_from([None, dead_air_policy("Sorry.", offer="Press 0.")]),
    caller_silence=st.sampled_from(
        [None, caller_silence_policy(), caller_silence_policy("Hello?", goodbye="Goodbye.")]
    ),
    stalled_after_ms=st.sampled_from([None, 10_000]),
    consent=st.none()
    | st.sampled_from(
        [
            consent_policy("An AI listens.", notice=True),
            consent_policy("An AI listens.", question="Press 1.", refused="All right."),
            consent_policy(None),
        ]
    ),
    emergency=st.sampled_from([None, emergency_policy(WordList(["hello"]), "Hang up.")]),
)
SHAPES = ("agreed", "heard", "cut", "tool")


def exchange(number: int, shape: str) -> list[Input]:
    """What is heard of one turn: few walks of single events get as far as a sound of the agent."""
    response, item = ResponseId(f"resp_of_{number}"), ItemId(f"item_of_{number}")
    call_id = ToolCallId(f"call_of_{number}")
    asked: list[Input] = [started(), stopped(300), InputCommitted(U1), ResponseCreated(response)]
    spoken: list[Input] = [*asked, audio(item, response, 400), PlayoutStarted(item, 0)]
    cut: list[Input] = [started(), flushed((item, 100, 400)), audio(item, response, 20)]
    called: list[Input] = [wants_tool(call_id, "lookup", response), done(response)]
    disclosed: list[Input] = [PlayoutStarted(ItemId("bridge_say_1"), 0), PlayoutDrained()]
    exchanges: dict[str, list[Input]] = {
        "agreed": [*disclosed, DigitReceived("1")],
        "heard": [*spoken, done(response), PlayoutDrained()],
        "cut": [*spoken, *cut, done(response, ResponseStatus.CANCELLED)],
        "tool": [*asked, *called, *called, ToolFinished(call_id, "42")],
    }
    return exchanges[shape]


def talk(pieces: list[Input | str]) -> list[Input]:
    walk: list[Input] = []
    for number, piece in enumerate(pieces):
        walk += exchange(number, piece) if isinstance(piece, str) else [piece]
    return walk


# Mapped, as the branches of a one_of within a one_of count one by one.
pieces = st.sampled_from(SHAPES) | conversation.map(lambda event: event)
talks = st.lists(pieces, min_size=3, max_size=20).map(talk)
walks = st.one_of(
    talks.map(lambda tail: [*SETUP, *tail]),
    st.tuples(talks, st.lists(rare | conversation, max_size=10)).map(
        lambda parts: [*SETUP, *parts[0], *parts[1]]
    ),
    st.lists(rare | conversation, max_size=30),
)


def run(policy: CallPolicy, walk: list[Input]) -> tuple[CallCore, list[Effect]]:
    core = CallCore(policy)
    effects = []
    for step, event in enumerate(walk):
        effects += core.feed(event, step * 20_000_000)
    return core, effects


ROUNDS = 30
"""Of other walks; one round in five or more leads to each of what the tests are about."""


def on_walks(
    examples: int = 100,
) -> Callable[[Callable[[CallPolicy, list[Input]], bool]], Callable[[], None]]:
    """Hold a property on many walks; it returns whether a walk got to what it is about.

    Where none did, others are tried: few walks lead to a tool or into an interruption.
    """

    def decorate(holds: Callable[[CallPolicy, list[Input]], bool]) -> Callable[[], None]:
        def test() -> None:
            got_there = 0

            @settings(max_examples=examples)
            @given(policies, walks)
            def hold(policy: CallPolicy, walk: list[Input]) -> None:
                nonlocal got_there
                got_there += holds(policy, walk)

            hold()
            for others in range(ROUNDS):
                if not got_there:
                    seed(others)(hold)()
            assert got_there, "no walk led to what this is about"

        return test

    return decorate


@given(policies, walks)
def test_walk_closes_at_most_once_and_says_nothing_after(
    policy: CallPolicy, walk: list[Input]
) -> None:
    core, effects = run(policy, walk)
    closings = of(CallClosed, effects)
    assert len(closings) == core.closed
    assert (core.state is State.ENDED) == core.closed
    if closings:
        assert effects[-1] is closings[0]


@given(policies, walks)
def test_walk_to_the_callers_goodbye_closes_exactly_once(
    policy: CallPolicy, walk: list[Input]
) -> None:
    _, effects = run(policy, [*walk, CallEnded(by_caller=True, sip_code=200)])
    assert len(of(CallClosed, effects)) == 1


@given(policies, walks)
def test_walk_leaves_no_timer_running_at_the_end(policy: CallPolicy, walk: list[Input]) -> None:
    core, running = CallCore(policy), set[Timer]()
    for event in [*walk, ShutdownRequested()]:
        if isinstance(event, TimerFired):
            running.discard(event.timer)
        for effect in core.feed(event, 0):
            if isinstance(effect, StartTimer):
                running.add(effect.timer)
            elif isinstance(effect, StopTimer):
                assert effect.timer in running or isinstance(event, TimerFired)
                running.discard(effect.timer)
    assert running == set()


@on_walks(examples=300)
def test_walk_never_plays_a_response_after_it_was_flushed(
    policy: CallPolicy, walk: list[Input]
) -> bool:
    core, heard, dead = CallCore(policy), set[ResponseId](), set[ResponseId]()
    for event in walk:
        for effect in core.feed(event, 0):
            if isinstance(effect, PlayAudio):
                response_id = typing.cast(typing.Any, event).response_id  # only AudioDelta plays
                assert response_id not in dead
                heard.add(response_id)
            elif isinstance(effect, FlushPlayout):
                dead |= heard
            elif (
                isinstance(effect, Send)
                and isinstance(effect.command, CancelResponse)
                and effect.command.response_id is not None  # one that was never announced
            ):
                dead.add(effect.command.response_id)
    return bool(heard and dead)


def _streamed(event: Input) -> list[Input]:
    """Have the caller hear a piece of an answer to its end, and then more of the answer."""
    if not isinstance(event, AudioDelta):
        return [event]
    words = said(event.item_id, event.response_id, "a")
    return [words, words, event, event, words, PlayoutDrained(), words, event, event]


@on_walks(examples=300)
def test_walk_with_more_of_each_answer_gives_what_it_gives_where_each_piece_is_watched(
    policy: CallPolicy, walk: list[Input]
) -> bool:
    streamed = [each for event in walk for each in _streamed(event)]
    watched = [0, 0]

    def effects(way: int) -> list[Effect]:
        def count(call: object, event: object, now_ns: int) -> Iterator[Effect]:
            watched[way] += 1
            yield from ()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deciding, "WATCHES", (*deciding.WATCHES, count))
            if way:
                patch.setattr(deciding, "_PIECES", ())
            return run(policy, streamed)[1]

    assert effects(0) == effects(1)
    return watched[0] < watched[1]


@on_walks()
def test_walk_runs_each_tool_call_of_a_response_once(policy: CallPolicy, walk: list[Input]) -> bool:
    core, ran = CallCore(policy), set[tuple[object, object]]()
    for event in walk:
        for effect in core.feed(event, 0):
            if isinstance(effect, RunTool):
                key = (effect.call_id, typing.cast(typing.Any, event).response_id)  # OutputItemDone
                assert key not in ran
                ran.add(key)
    return bool(ran)


@on_walks()
def test_walk_never_asks_while_a_request_is_unanswered(
    policy: CallPolicy, walk: list[Input]
) -> bool:
    core, asked, questions, known = CallCore(policy), False, 0, set[object]()
    for event in walk:
        refused = isinstance(event, ErrorReported) and event.error.code == ALREADY_ACTIVE
        response_id = getattr(event, "response_id", None)
        unannounced = response_id not in {None, *known}  # its response.created is missing
        known.add(response_id)
        if refused or unannounced or isinstance(event, ResponseCreated | TimerFired):
            asked = False
        for effect in core.feed(event, 0):
            if isinstance(effect, SessionLost | TakeSpare):
                asked = False  # the session that was asked is gone
            if isinstance(effect, Send) and isinstance(effect.command, CreateResponse):
                assert not asked
                asked = True
                questions += 1
    return questions > 0


@on_walks()
def test_walk_truncates_reported_parts_to_what_was_heard(
    policy: CallPolicy, walk: list[Input]
) -> bool:
    core, truncated, came = CallCore(policy), False, set[tuple[object, int]]()
    for event in walk:
        if isinstance(event, AudioDelta):
            came.add((event.item_id, event.content_index))
        ends = {
            (send.command.item_id, send.command.content_index): send.command.audio_end_ms
            for send in of(Send, core.feed(event, 0))
            if isinstance(send.command, TruncateItem)
        }
        if ends:
            truncated = True
            assert isinstance(event, PlayoutFlushed)
            for part in event.parts:
                key, heard_ms = (part.item_id, part.content_index), (part.played_ms, part.queued_ms)
                assert key not in came or ends[key] == min(heard_ms)
    return truncated


@on_walks()
def test_walk_answers_or_refuses_once_and_writes_state_last(
    policy: CallPolicy, walk: list[Input]
) -> bool:
    core, verdicts, written = CallCore(policy), 0, 0
    for event in walk:
        effects = core.feed(event, 0)
        verdicts += sum(isinstance(effect, AnswerCall | RejectCall) for effect in effects)
        state_changes = of(StateChanged, effects)
        assert len(state_changes) <= 1
        if state_changes:
            written += 1
            rest = effects[effects.index(state_changes[0]) + 1 :]
            assert all(isinstance(effect, CallClosed) for effect in rest)
    assert verdicts <= 1
    return bool(verdicts and written)


@on_walks(examples=300)
def test_walk_opens_the_uplink_only_after_a_disclosure_that_sounded(
    policy: CallPolicy, walk: list[Input]
) -> bool:
    core, sounded, agreed, opened = CallCore(policy), False, False, False
    for event in walk:
        for effect in core.feed(event, 0):
            sounded |= isinstance(effect, DisclosureSpoken)
            agreed |= isinstance(effect, ConsentSettled) and effect.given
            if effect == ResumeUplink(UplinkHold.CONSENT):
                assert sounded
                assert agreed or not (policy.consent and policy.consent.asks)
                opened = True
    return opened
