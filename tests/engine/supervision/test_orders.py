"""A supervisor steps in: what is done about each action, and when it is refused."""

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.engine.effects import (
    CloseVoice,
    DialPerson,
    Effect,
    FlushPlayout,
    HangUp,
    MuteVoice,
    OpenVoice,
    PauseRecording,
    PauseUplink,
    PlayFiller,
    PlayPhrase,
    RecordingHold,
    ResumeRecording,
    ResumeUplink,
    Send,
    StartTimer,
    StopFiller,
    UplinkHold,
)
from bridge.engine.inputs import (
    CallOffered,
    DigitReceived,
    PersonLeft,
    SessionFailed,
    SessionReady,
    SupervisorActed,
    SupervisorHeard,
    SupervisorLost,
    TimerFired,
)
from bridge.engine.news import (
    ActionAnswered,
    AgentResumed,
    CallClosed,
    HandoffFailed,
    Interrupted,
    PictureShown,
    SilenceMeasured,
    StateChanged,
    SupervisorJoined,
    SupervisorLeft,
    TurnMeasured,
    TurnSpoken,
)
from bridge.engine.policy import CallPolicy
from bridge.engine.supervision.hold import VOICE_GRACE_MS
from bridge.engine.supervision.rules import Refusal
from bridge.engine.supervision.steps import HOLDS, CallerHolder, HoldSignal
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Outcome, UpstreamError
from bridge.realtime.commands import (
    CancelResponse,
    ClearInput,
    CreateItem,
    CreateResponse,
    TruncateItem,
)
from bridge.realtime.events import ResponseCreated
from bridge.realtime.ids import ItemId
from bridge.realtime.items import Message, Role
from bridge.realtime.pictures import read_picture
from bridge.routing.supervisor_verbs import (
    EndOrder,
    HandBackOrder,
    HoldOrder,
    JoinOrder,
    MuteOrder,
    Order,
    PauseOrder,
    PauseRecordingOrder,
    ResumeOrder,
    SayOrder,
    SensitiveOrder,
    ShowOrder,
    TakeOverOrder,
    TransferOrder,
    WhisperOrder,
)
from tests.engine.calls import (
    A1,
    A2,
    R1,
    R2,
    SILENT,
    Call,
    answered,
    audio,
    done,
    flushed,
    of,
    said_all,
    speaking,
    started,
    stopped,
    thinking,
)
from tests.support.pictures import WITH_PICTURES, png
from tests.support.policies import (
    barge_in_policy,
    call_policy,
    caller_silence_policy,
    fallback_policy,
    handoff_target,
)

ANN = handoff_target("ann", "sip:ann@pbx.example", refer=False)
END_NOW = EndOrder(reason="Abuse.", how="now")
TO_ANN = TransferOrder(target="ann")


def act(call: Call, order: Order, by: str = "eve", after_ms: float = 0) -> list[Effect]:
    return call.feed(SupervisorActed("a1", by, order, ANN), after_ms=after_ms)


def answer(effects: list[Effect]) -> str:
    """Return why an order was refused; empty where it was carried out."""
    (told,) = of(ActionAnswered, effects)
    return told.refused


def notes(effects: list[Effect]) -> list[str]:
    """Return what the agent is told."""
    items = [
        each.command.item for each in of(Send, effects) if isinstance(each.command, CreateItem)
    ]
    messages = [item for item in items if isinstance(item, Message)]
    assert all(message.role is Role.SYSTEM for message in messages)
    return [part.text or "" for message in messages for part in message.parts]


def sent(effects: list[Effect], kind: type[object]) -> list[object]:
    return [each.command for each in of(Send, effects) if isinstance(each.command, kind)]


def taken(by: str = "eve", policy: CallPolicy = SILENT) -> Call:
    """The agent was speaking; the supervisor is heard."""
    call = speaking(policy)
    call.feed(SupervisorHeard(by))
    act(call, TakeOverOrder(), by)
    call.feed(flushed((A1, 300, 2_000)))
    return call


# Whisper


def test_whisper_for_the_next_turn_is_an_item_and_nothing_else() -> None:
    call = speaking()
    effects = act(call, WhisperOrder(text="Offer 10 percent."))
    assert "Offer 10 percent." in notes(effects)[0]
    assert not sent(effects, CreateResponse)
    assert not of(FlushPlayout, effects)
    (turn,) = of(TurnSpoken, effects)
    assert (turn.speaker, turn.text) == ("supervisor", "Offer 10 percent.")


def test_whisper_now_cuts_the_agent_and_asks_for_another_answer() -> None:
    call = speaking()
    effects = act(call, WhisperOrder(text="Stop that.", when="now"))
    assert of(FlushPlayout, effects)
    assert sent(effects, CancelResponse) == [CancelResponse(R1)]
    after = call.feed(flushed((A1, 300, 2_000)), done(R1))
    assert sent(after, CreateResponse)


def test_whisper_now_to_a_silent_agent_asks_at_once() -> None:
    effects = act(answered(), WhisperOrder(text="Greet them.", when="now"))
    assert sent(effects, CreateResponse)
    assert not of(FlushPlayout, effects)


# Say


def test_said_exactly_in_the_bridges_voice_over_an_agent_that_is_cut() -> None:
    effects = act(speaking(), SayOrder(text="This call is free."))
    assert of(FlushPlayout, effects)
    assert [each.text for each in of(PlayPhrase, effects)] == ["This call is free."]
    assert '"This call is free."' in notes(effects)[0]


# Take over


def test_taken_over_agent_is_silent_and_hears_nothing() -> None:
    call = speaking()
    call.feed(SupervisorHeard("eve"))
    effects = act(call, TakeOverOrder())
    assert answer(effects) == ""
    assert of(FlushPlayout, effects)
    assert sent(effects, CancelResponse) == [CancelResponse(R1)]
    assert sent(effects, ClearInput)
    assert of(PauseUplink, effects) == [PauseUplink(UplinkHold.SUPERVISOR)]
    assert of(OpenVoice, effects) == [OpenVoice("eve")]
    assert of(SupervisorJoined, effects) == [SupervisorJoined("eve")]
    assert call.core.state is State.HANDOFF
    cut = call.feed(flushed((A1, 300, 2_000)))
    assert sent(cut, TruncateItem) == [TruncateItem(A1, 0, 300)]
    assert not of(PlayFiller, call.feed(PlayoutDrained()))


@pytest.mark.parametrize(
    "order",
    [
        TakeOverOrder(),
        PauseOrder(auto_resume_s=60),
        WhisperOrder(text="Stop.", when="now"),
        SayOrder(text="X"),
    ],
)
def test_cut_by_a_supervisor_is_no_interruption_by_the_caller(order: Order) -> None:
    call = speaking()
    call.feed(said_all(A1, R1, "One two three four."))
    act(call, order)
    effects = call.feed(flushed((A1, 1_000, 2_000)))
    assert [cut.by for cut in of(Interrupted, effects)] == ["supervisor"]
    turn = of(TurnSpoken, effects)[-1]
    assert (turn.text, turn.heard_ms, turn.interrupted) == ("One two", 1_000, False)


def test_take_over_cancels_the_response_at_the_service() -> None:
    effects = act(speaking(call_policy(greet=False)), TakeOverOrder())
    assert sent(effects, CancelResponse) == [CancelResponse(R1)]


def test_answer_that_turn_detection_begins_later_is_cancelled_unheard() -> None:
    call = answered()
    call.feed(started(), stopped())
    act(call, TakeOverOrder())
    effects = call.feed(ResponseCreated(R2), audio(A1, R2))
    assert sent(effects, CancelResponse) == [CancelResponse(R2)]
    effects = call.feed(audio(A1, R2))
    assert not [each for each in effects if type(each).__name__ == "PlayAudio"]


def test_turn_that_was_being_ended_here_does_not_cost_the_session() -> None:
    call = answered(call_policy(greet=False, turn_overdue_ms=3_000))
    call.feed(SoundStarted(0), started(), SoundStopped(0), TimerFired(Timer.OPEN_TURN))
    act(call, TakeOverOrder())
    effects = call.feed(TimerFired(Timer.OPEN_TURN))
    assert effects == []
    assert call.core.state is State.HANDOFF


def test_phrase_that_the_caller_cannot_cut_is_cut_by_a_take_over() -> None:
    call = answered()
    act(call, SayOrder(text="You must hear this."))
    assert of(FlushPlayout, act(call, TakeOverOrder()))


def test_taken_over_in_every_talking_state() -> None:
    lost = answered()
    lost.feed(SessionFailed(UpstreamError("gone", code="session_expired")))
    cancelling = speaking()
    cancelling.feed(started())
    for call in (answered(), thinking(), speaking(), cancelling, lost):
        assert answer(act(call, TakeOverOrder())) == ""
        assert call.core.state is State.HANDOFF


def test_caller_waits_with_a_tone_for_a_microphone_that_has_not_come() -> None:
    call = answered()
    effects = act(call, TakeOverOrder())
    assert not of(OpenVoice, effects)
    assert StartTimer(Timer.SUPERVISOR, VOICE_GRACE_MS) in effects
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER)))
    effects = call.feed(SupervisorHeard("eve"))
    assert of(OpenVoice, effects) == [OpenVoice("eve")]
    assert not call.feed(TimerFired(Timer.SUPERVISOR))


def test_nobody_comes_and_the_agent_goes_on() -> None:
    call = answered()
    act(call, TakeOverOrder())
    effects = call.feed(TimerFired(Timer.SUPERVISOR), after_ms=VOICE_GRACE_MS)
    assert of(AgentResumed, effects) == [AgentResumed("eve", VOICE_GRACE_MS, "voice_lost")]
    assert sent(effects, CreateResponse)
    assert call.core.state is State.THINKING


def test_lost_microphone_is_awaited_then_the_agent_has_the_caller_again() -> None:
    call = taken()
    effects = call.feed(SupervisorLost("eve"))
    assert of(CloseVoice, effects)
    assert of(SupervisorLeft, effects) == [SupervisorLeft("eve", lost=True)]
    back = call.feed(SupervisorHeard("eve"), after_ms=2_000)
    assert of(OpenVoice, back)
    call.feed(SupervisorLost("eve"))
    effects = call.feed(TimerFired(Timer.SUPERVISOR), after_ms=VOICE_GRACE_MS)
    assert "was cut off" in notes(effects)[0]
    assert of(ResumeUplink, effects) == [ResumeUplink(UplinkHold.SUPERVISOR)]


def test_microphone_of_somebody_else_changes_nothing() -> None:
    call = taken()
    assert call.feed(SupervisorHeard("bob"), SupervisorLost("bob")) == []


def test_supervisors_voice_is_none_of_the_agents() -> None:
    call = taken()
    item = ItemId("bridge_supervisor_1")
    assert call.feed(PlayoutStarted(item, 0)) == []
    call.feed(done(R1))
    act(call, HandBackOrder())
    effects = call.feed(ResponseCreated(R2), audio(A2, R2), PlayoutStarted(A2, 0), after_ms=3_000)
    assert [each.silence_ms for each in of(SilenceMeasured, effects)] == [3_000]


def test_barge_in_does_not_misfire_while_a_supervisor_talks() -> None:
    call = taken(policy=call_policy(greet=False, barge_in=barge_in_policy()))
    effects = call.feed(SoundStarted(0), SoundLasted(0, 120), SoundLasted(0, 460))
    assert effects == []


# Hand back


def test_handed_back_with_a_summary_the_agent_goes_on() -> None:
    call = taken()
    effects = act(call, HandBackOrder(summary="They get a refund {4711}."), after_ms=8_000)
    (note,) = notes(effects)
    assert "They get a refund {4711}." in note
    assert "8 seconds" in note
    assert of(CloseVoice, effects)
    assert of(SupervisorLeft, effects) == [SupervisorLeft("eve", lost=False)]
    assert of(ResumeUplink, effects) == [ResumeUplink(UplinkHold.SUPERVISOR)]
    after = call.feed(done(R1))
    assert sent([*effects, *after], CreateResponse)
    assert call.core.state is State.THINKING
    assert call.feed(ResponseCreated(R2), audio(A1, R2))  # its answer is played


def test_handed_back_while_the_session_is_lost_it_is_owed_by_the_next_one() -> None:
    call = taken()
    call.feed(SessionFailed(UpstreamError("gone", code="session_expired")))
    effects = act(call, HandBackOrder(summary="Settled."))
    assert call.core.state is State.RECOVERING
    assert not sent(effects, CreateResponse)
    restored = call.feed(SessionReady("sess_2"))
    assert any("Settled." in note for note in notes(restored))
    assert sent(restored, CreateResponse)


def test_session_that_is_given_up_meanwhile_ends_by_the_fallback_after_it() -> None:
    call = taken(policy=call_policy(greet=False, fallback=fallback_policy("Sorry.")))
    gone = SessionFailed(UpstreamError("gone", code="beta_api_shape_disabled"))
    assert not of(PlayPhrase, call.feed(gone))
    effects = act(call, HandBackOrder())
    assert [each.text for each in of(PlayPhrase, effects)] == ["Sorry."]


def test_a_long_talk_is_not_bounded_and_the_agents_bound_begins_anew() -> None:
    call = taken(policy=call_policy(greet=False, max_call_ms=60_000))
    assert not of(CallClosed, call.feed(TimerFired(Timer.MAX_DURATION)))
    assert StartTimer(Timer.MAX_DURATION, 60_000) in act(call, HandBackOrder())


# Pause


def test_paused_agent_goes_on_by_itself() -> None:
    call = speaking()
    effects = act(call, PauseOrder(auto_resume_s=30))
    assert of(FlushPlayout, effects)
    assert of(PauseUplink, effects)
    assert StartTimer(Timer.SUPERVISOR, 30_000) in effects
    assert of(StateChanged, effects)[-1].fields["phase"] == "paused"
    call.feed(flushed(), done(R1))
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER)))
    effects = call.feed(TimerFired(Timer.SUPERVISOR), after_ms=30_000)
    assert of(AgentResumed, effects) == [AgentResumed("eve", 30_000, "timeout")]
    assert sent(effects, CreateResponse)


def test_paused_agent_may_be_taken_over_and_handed_back() -> None:
    call = answered()
    call.feed(SupervisorHeard("eve"))
    act(call, PauseOrder(auto_resume_s=30))
    effects = act(call, TakeOverOrder())
    assert of(OpenVoice, effects)
    assert not of(PauseUplink, effects)  # it is held once
    assert not call.feed(TimerFired(Timer.SUPERVISOR))
    assert of(ResumeUplink, act(call, HandBackOrder()))


def test_silent_caller_is_not_asked_while_the_agent_is_kept_out() -> None:
    policy = call_policy(greet=False, caller_silence=caller_silence_policy("Hello?"))
    call = taken(policy=policy)
    assert not of(PlayPhrase, call.feed(TimerFired(Timer.CALLER_SILENT)))
    assert not of(PlayPhrase, call.feed(TimerFired(Timer.CALLER_CAP)))


# Transfer


def test_transferred_from_a_take_over() -> None:
    call = taken()
    effects = act(call, TransferOrder(target="ann", summary="Refund agreed."))
    assert of(DialPerson, effects) == [DialPerson(ANN.to, "Refund agreed.")]
    holds = [each for each in effects if isinstance(each, PauseUplink | ResumeUplink)]
    assert holds[-1] == PauseUplink(UplinkHold.HANDOFF)


def test_transferred_while_the_agent_speaks() -> None:
    call = speaking()
    effects = act(call, TO_ANN)
    assert of(FlushPlayout, effects)
    effects = call.feed(flushed((A1, 300, 2_000)))
    assert of(DialPerson, effects)


def test_failed_transfer_is_the_agents_to_tell() -> None:
    call = answered()
    act(call, TO_ANN)
    effects = call.feed(PersonLeft(486))
    assert of(HandoffFailed, effects)
    assert "sip_486" in notes(effects)[0]
    assert sent(effects, CreateResponse)


# End


def test_ended_now() -> None:
    effects = act(speaking(), END_NOW)
    assert of(HangUp, effects)
    (closed,) = of(CallClosed, effects)
    assert (closed.outcome, closed.reason) == (Outcome.COMPLETED, "ended_by_supervisor")


def test_ended_politely_after_a_goodbye_that_the_caller_does_not_cut() -> None:
    call = speaking(call_policy(greet=False, goodbye="Goodbye."))
    effects = act(call, EndOrder(reason="Abuse."))
    assert of(FlushPlayout, effects)
    (phrase,) = of(PlayPhrase, effects)
    call.feed(flushed((A1, 300, 2_000)), PlayoutStarted(phrase.item_id, 0), started())
    assert not call.core.closed
    (closed,) = of(CallClosed, call.feed(PlayoutDrained()))
    assert closed.reason == "ended_by_supervisor"


def test_ended_politely_where_no_goodbye_is_known_is_ended_now() -> None:
    assert of(CallClosed, act(answered(), EndOrder(reason="Abuse.")))


def test_call_that_ends_under_a_supervisor_says_so() -> None:
    effects = act(taken(), END_NOW)
    assert of(SupervisorLeft, effects) == [SupervisorLeft("eve", lost=False)]
    assert of(CloseVoice, effects)


# What is confidential


def test_secret_keeps_the_caller_from_model_and_recording() -> None:
    call = answered()
    effects = act(call, SensitiveOrder(on=True))
    assert of(PauseUplink, effects) == [PauseUplink(UplinkHold.SECRET)]
    assert of(PauseRecording, effects) == [PauseRecording(RecordingHold.SUPERVISOR)]
    assert sent(effects, ClearInput)
    assert call.feed(DigitReceived("4")) == []
    effects = act(call, SensitiveOrder(on=False))
    assert of(ResumeUplink, effects) == [ResumeUplink(UplinkHold.SECRET)]
    assert of(ResumeRecording, effects)


def test_recording_goes_on_when_neither_wish_holds_it() -> None:
    call = answered()
    act(call, PauseRecordingOrder(on=True))
    act(call, SensitiveOrder(on=True))
    assert not of(ResumeRecording, act(call, SensitiveOrder(on=False)))
    assert of(ResumeRecording, act(call, PauseRecordingOrder(on=False)))


def test_secret_outlasts_a_take_over() -> None:
    call = taken()
    act(call, SensitiveOrder(on=True))
    assert of(ResumeUplink, act(call, HandBackOrder())) == [ResumeUplink(UplinkHold.SUPERVISOR)]


# What is refused


EXCLUSIVE = [
    SayOrder(text="x"),
    TakeOverOrder(),
    HandBackOrder(),
    PauseOrder(auto_resume_s=1),
    ResumeOrder(),
    TO_ANN,
    END_NOW,
]


@pytest.mark.parametrize("order", EXCLUSIVE)
def test_second_supervisor_is_told_who_holds_the_call(order: Order) -> None:
    call = taken("ann")
    (told,) = of(ActionAnswered, act(call, order, "bob"))
    assert (told.refused, told.held_by) == (Refusal.HELD, "ann")
    assert call.core.state is State.HANDOFF


@pytest.mark.parametrize("order", [WhisperOrder(text="x", when="now"), SensitiveOrder(on=True)])
def test_second_supervisor_may_still_help(order: Order) -> None:
    call = taken("ann")
    effects = act(call, order, "bob")
    assert answer(effects) == ""
    assert not sent(effects, CreateResponse)


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        (HandBackOrder(), Refusal.NOT_HELD),
        (ResumeOrder(), Refusal.NOT_HELD),
    ],
)
def test_nothing_to_give_back(order: Order, refused: Refusal) -> None:
    assert answer(act(answered(), order)) == refused


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        (TakeOverOrder(), Refusal.ALREADY),
        (PauseOrder(auto_resume_s=1), Refusal.ALREADY),
        (SayOrder(text="x"), Refusal.AGENT_AWAY),
        (ResumeOrder(), Refusal.NOT_HELD),
    ],
)
def test_what_the_holder_may_not_do(order: Order, refused: Refusal) -> None:
    assert answer(act(taken(), order)) == refused


@pytest.mark.parametrize(
    "order",
    [
        TakeOverOrder(),
        SayOrder(text="x"),
        WhisperOrder(text="x"),
        PauseOrder(auto_resume_s=1),
        TO_ANN,
    ],
)
def test_refused_while_the_caller_is_on_the_way_to_somebody(order: Order) -> None:
    call = answered()
    act(call, TO_ANN)
    effects = act(call, order)
    assert answer(effects) == Refusal.HANDED_OVER
    assert len(effects) == 1


@pytest.mark.parametrize(
    "order",
    [
        TakeOverOrder(),
        SayOrder(text="x"),
        WhisperOrder(text="x"),
        PauseOrder(auto_resume_s=1),
        TO_ANN,
    ],
)
def test_refused_once_the_session_is_given_up(order: Order) -> None:
    call = answered(call_policy(greet=False, fallback=fallback_policy("Sorry.")))
    call.feed(SessionFailed(UpstreamError("gone", code="beta_api_shape_disabled")))
    assert answer(act(call, order)) == Refusal.NO_AGENT


def test_refused_before_the_call_is_answered() -> None:
    call = Call()
    call.feed(CallOffered())
    assert answer(act(call, TakeOverOrder())) == Refusal.NOT_TALKING


def test_every_hold_leads_back_to_the_agent() -> None:
    for hold in CallerHolder:
        if hold is not CallerHolder.AGENT:
            assert HOLDS[hold, HoldSignal.RELEASE] is CallerHolder.AGENT


# Mute, hold


def test_muted_supervisor_is_not_heard_and_stays() -> None:
    call = taken()
    assert of(MuteVoice, act(call, MuteOrder(on=True))) == [MuteVoice(True)]
    assert call.core.state is State.HANDOFF
    assert answer(act(call, MuteOrder(on=True))) == Refusal.ALREADY
    assert answer(act(call, MuteOrder(on=True), by="ann")) == Refusal.HELD
    assert of(MuteVoice, act(call, MuteOrder(on=False))) == [MuteVoice(False)]


def test_nobody_is_muted_who_is_not_in_the_talk() -> None:
    assert answer(act(speaking(), MuteOrder(on=True))) == Refusal.NOT_HELD


def test_muting_lasts_over_a_hold_and_ends_with_the_talk() -> None:
    call = taken()
    act(call, MuteOrder(on=True))
    act(call, HoldOrder(on=True))
    assert of(OpenVoice, act(call, HoldOrder(on=False))) == [OpenVoice("eve", muted=True)]
    act(call, HandBackOrder())
    assert of(OpenVoice, act(call, TakeOverOrder())) == [OpenVoice("eve")]


@pytest.mark.parametrize(
    ("takes", "gives"),
    [(TakeOverOrder(), HandBackOrder()), (PauseOrder(auto_resume_s=90), ResumeOrder())],
)
def test_time_with_a_supervisor_is_in_no_silence_and_in_no_answer(
    takes: Order, gives: Order
) -> None:
    """The agent owed an answer when they stepped in."""
    call = thinking()
    act(call, takes, after_ms=500)
    call.feed(SupervisorHeard("eve"), done(R1), after_ms=60_000)
    assert answer(act(call, gives)) == ""
    call.feed(ResponseCreated(R2), after_ms=100)
    effects = call.feed(audio(A2, R2), PlayoutStarted(A2, 0), after_ms=300)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(400, "model")]
    assert of(TurnMeasured, effects) == []


def test_caller_on_hold_hears_tones_until_they_are_taken_back() -> None:
    call = taken()
    effects = act(call, HoldOrder(on=True))
    assert of(CloseVoice, effects)
    (timer,) = of(StartTimer, effects)
    assert timer.timer is Timer.FILLER
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER), after_ms=400))
    assert answer(act(call, HoldOrder(on=True))) == Refusal.ALREADY
    back = act(call, HoldOrder(on=False))
    assert of(StopFiller, back)
    assert of(OpenVoice, back) == [OpenVoice("eve")]
    assert answer(act(call, HoldOrder(on=False))) == Refusal.ALREADY


def test_caller_on_hold_is_the_agents_again_if_the_supervisor_vanishes() -> None:
    call = taken()
    act(call, HoldOrder(on=True))
    call.feed(SupervisorLost("eve"))
    effects = call.feed(TimerFired(Timer.SUPERVISOR), after_ms=VOICE_GRACE_MS)
    assert [each.cause for each in of(AgentResumed, effects)] == ["voice_lost"]


@pytest.mark.parametrize("order", [HandBackOrder(), TO_ANN, END_NOW])
def test_caller_on_hold_can_be_given_on(order: Order) -> None:
    call = taken()
    act(call, HoldOrder(on=True))
    effects = act(call, order)
    assert answer(effects) == ""
    assert of(SupervisorLeft, effects) == [SupervisorLeft("eve", lost=False)]


# Three-way


def joined() -> Call:
    """The agent speaks; eve talks beside it."""
    call = speaking()
    call.feed(SupervisorHeard("eve"))
    act(call, JoinOrder())
    return call


def test_supervisor_who_joins_is_heard_beside_an_agent_that_goes_on() -> None:
    call = speaking()
    call.feed(SupervisorHeard("eve"))
    effects = act(call, JoinOrder())
    assert of(OpenVoice, effects) == [OpenVoice("eve", beside_agent=True)]
    assert "You hear both" in notes(effects)[0]
    for kind in (FlushPlayout, PauseUplink, StartTimer):
        assert not of(kind, effects)
    assert not sent(effects, CancelResponse)
    assert call.core.state is State.SPEAKING


def test_one_supervisor_joins_at_a_time_and_has_the_call_meanwhile() -> None:
    call = joined()
    assert answer(act(call, JoinOrder())) == Refusal.ALREADY
    call.feed(SupervisorHeard("ann"))
    for order in (
        JoinOrder(),
        TakeOverOrder(),
        PauseOrder(auto_resume_s=60),
        END_NOW,
    ):
        assert answer(act(call, order, by="ann")) == Refusal.HELD


def test_supervisor_who_leaves_leaves_the_agent_alone_with_the_caller() -> None:
    call = joined()
    effects = act(call, HandBackOrder(summary="They get 10 %."))
    assert of(CloseVoice, effects)
    assert of(SupervisorLeft, effects) == [SupervisorLeft("eve", lost=False)]
    assert "They get 10 %." in notes(effects)[0]
    assert not of(FlushPlayout, effects)
    assert not of(AgentResumed, effects)
    assert answer(act(call, HandBackOrder())) == Refusal.NOT_HELD


def test_supervisor_who_has_the_caller_joins_and_the_agent_goes_on() -> None:
    call = taken()
    effects = act(call, JoinOrder())
    assert of(ResumeUplink, effects) == [ResumeUplink(UplinkHold.SUPERVISOR)]
    assert of(OpenVoice, effects) == [OpenVoice("eve", beside_agent=True)]
    assert "You hear both" in notes(effects)[0]


def test_supervisor_who_has_joined_takes_over() -> None:
    call = joined()
    effects = act(call, TakeOverOrder())
    assert of(CloseVoice, effects)
    assert of(OpenVoice, effects) == [OpenVoice("eve")]
    assert of(PauseUplink, effects) == [PauseUplink(UplinkHold.SUPERVISOR)]


def test_supervisor_who_joined_and_vanished_has_left_after_a_while() -> None:
    call = joined()
    effects = call.feed(SupervisorLost("eve"))
    assert of(CloseVoice, effects)
    assert of(SupervisorLeft, effects) == [SupervisorLeft("eve", lost=True)]
    back = call.feed(SupervisorHeard("eve"))
    assert of(OpenVoice, back) == [OpenVoice("eve", beside_agent=True)]
    call.feed(SupervisorLost("eve"))
    over = call.feed(TimerFired(Timer.SUPERVISOR), after_ms=VOICE_GRACE_MS)
    assert "has left" in notes(over)[0]
    assert answer(act(call, JoinOrder(), by="ann")) == ""


def test_supervisor_who_has_joined_leaves_a_caller_who_is_transferred() -> None:
    call = joined()
    effects = act(call, TO_ANN)
    effects += call.feed(flushed((A1, 300, 2_000)), done(R1), TimerFired(Timer.TRANSFER))
    assert of(DialPerson, effects)
    assert of(CloseVoice, effects)


def test_supervisor_who_has_joined_is_silent_once_the_call_is_over() -> None:
    effects = act(joined(), END_NOW)
    assert of(CloseVoice, effects)
    assert of(HangUp, effects)


def test_who_has_paused_the_agent_or_was_handed_the_caller_cannot_join() -> None:
    call = speaking()
    act(call, PauseOrder(auto_resume_s=60))
    assert answer(act(call, JoinOrder())) == Refusal.AGENT_AWAY


def test_how_a_call_is_held_stands_in_its_state() -> None:
    """For the page of who has the caller, and of the other supervisors."""
    call = answered()
    noted: list[tuple[object, object]] = []

    def look(effects: list[Effect]) -> None:
        changed: dict[str, object] = {}
        for each in of(StateChanged, effects):
            changed |= each.fields
        before = noted[-1] if noted else ("", 0)
        noted.append((changed.get("hold", before[0]), changed.get("muted", before[1])))

    look(act(call, TakeOverOrder()))
    look(call.feed(SupervisorHeard("eve")))
    look(act(call, MuteOrder(on=True)))
    look(act(call, HoldOrder(on=True)))
    look(act(call, HoldOrder(on=False)))
    look(call.feed(SupervisorLost("eve")))
    look(call.feed(SupervisorHeard("eve")))
    look(act(call, MuteOrder(on=False)))
    look(act(call, JoinOrder()))
    look(act(call, HandBackOrder()))
    look(act(call, PauseOrder(auto_resume_s=1)))
    look(act(call, ResumeOrder()))
    assert noted == [
        ("awaited", 0),
        ("talking", 0),
        ("talking", 1),
        ("on_hold", 1),
        ("talking", 1),
        ("awaited", 1),
        ("talking", 1),
        ("talking", 0),
        ("joined", 0),
        ("", 0),
        ("paused", 0),
        ("", 0),
    ]


def test_call_that_nobody_ever_held_says_nothing_of_it() -> None:
    effects = act(answered(), WhisperOrder(text="x"))
    assert all("hold" not in each.fields for each in of(StateChanged, effects))


PICTURE = read_picture(png(64, 48))
SHOW = ShowOrder.model_validate({**PICTURE.facts, "note": "The roof"})
LATER = SHOW.model_copy(update={"when": "next_turn"})


def shows(call: Call, order: ShowOrder = SHOW, by: str = "eve") -> list[Effect]:
    return call.feed(SupervisorActed("a1", by, order, picture=PICTURE))


def sighted(call: Call) -> Call:
    call.feed(SessionReady("sess_1", service=WITH_PICTURES))
    return call


def pictures(effects: list[Effect]) -> list[Message]:
    created = [each.command for each in of(Send, effects) if isinstance(each.command, CreateItem)]
    items = [each.item for each in created if isinstance(each.item, Message)]
    return [each for each in items if PICTURE.part in each.parts]


def test_picture_is_shown_and_the_agent_speaks_of_it() -> None:
    effects = shows(sighted(answered()))
    assert answer(effects) == ""
    (message,) = pictures(effects)
    assert message.role is Role.USER
    assert "The roof" in str(message.parts[0].text)
    assert of(PictureShown, effects) == [PictureShown(PICTURE.facts, by="eve")]
    assert Send(CreateResponse()) in effects


def test_picture_while_the_agent_speaks_cuts_it_or_waits_for_its_next_turn() -> None:
    effects = shows(sighted(speaking()))
    assert len(pictures(effects)) == 1
    assert Send(CancelResponse(R1)) in effects
    later = shows(sighted(speaking()), LATER)
    assert len(pictures(later)) == 1
    assert not [each for each in of(Send, later) if not isinstance(each.command, CreateItem)]


def test_picture_while_a_supervisor_has_the_caller_is_for_later() -> None:
    call = sighted(answered())
    act(call, TakeOverOrder(), by="ann")
    effects = shows(call)
    assert answer(effects) == ""
    assert len(pictures(effects)) == 1
    assert Send(CreateResponse()) not in effects


def test_where_there_are_no_pictures_the_supervisor_is_told_before_anything_is_sent() -> None:
    effects = shows(answered())
    assert answer(effects) == Refusal.NO_PICTURES
    assert of(Send, effects) == []
