"""Handing a call to a person: the agent's wish, the person's decision, the talk, the way back."""

import json
from dataclasses import replace

import pytest

from bridge.audio.ledger import PlayoutDrained
from bridge.engine.call.state import CallEnd
from bridge.engine.effects import (
    AnnounceToPerson,
    BridgePerson,
    CloseSession,
    DialPerson,
    Effect,
    HangUp,
    LetPersonGo,
    OpenSession,
    PassDigits,
    PauseUplink,
    PlayFiller,
    PlayPhrase,
    ResumeUplink,
    Send,
    StopFiller,
    TransferCall,
    UplinkHold,
)
from bridge.engine.handoff.asking import ask_for_human
from bridge.engine.handoff.steps import ENDS, STEPS, HandoffSignal, HandoffStep, diagram
from bridge.engine.handoff.transfer import start_handoff
from bridge.engine.inputs import (
    AnnouncementHeard,
    CallAnswered,
    CallEnded,
    DigitReceived,
    HoldChanged,
    Input,
    PersonAnswered,
    PersonHeld,
    PersonLeft,
    PersonPressed,
    PersonSpoke,
    SessionFailed,
    SessionReady,
    TimerFired,
    TransferCompleted,
    TransferFailed,
    TransferProgressed,
)
from bridge.engine.news import (
    CallClosed,
    HandedBack,
    HandoffAccepted,
    HandoffCompleted,
    HandoffFailed,
    HandoffStarted,
    TransitionRefused,
    Way,
)
from bridge.engine.policy import CallPolicy
from bridge.engine.state import CallState, Effects, HandingOver
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Fault, Outcome, UpstreamError
from bridge.realtime.commands import CancelResponse, ClearInput, CreateItem, CreateResponse
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import OutputItemDone, ResponseCreated
from bridge.realtime.items import FunctionCall, FunctionCallOutput, Message, Role
from bridge.routing.handoff import HandoffTarget
from tests.engine.calls import (
    A1,
    R1,
    R2,
    T1,
    Call,
    answered,
    audio,
    done,
    flushed,
    of,
    speaking,
    started,
    thinking,
)
from tests.support.policies import call_policy, fallback_policy, handoff_target, tool_policy

PERSON = "sip:ann@127.0.0.1:5070"
SUMMARY = "Wants to move order 4711."
BLIND = handoff_target("sales", PERSON)
WARM = replace(BLIND, warm=True, announce="A caller.", ask="Press 1.")
TALKED = 90_000


def policy(target: HandoffTarget) -> CallPolicy:
    return call_policy(
        greet=False,
        max_call_ms=60_000,
        handoff={target.name: target},
        tools={"transfer_to_human": tool_policy({"type": "object"})},
    )


def wish(**arguments: str) -> OutputItemDone:
    given = json.dumps({"summary": SUMMARY, **arguments})
    return OutputItemDone(R1, 0, FunctionCall(T1, "transfer_to_human", given))


def wanted(target: HandoffTarget) -> tuple[Call, list[Effect]]:
    """The agent has asked for a person, and its response is over."""
    call = thinking(policy(target))
    return call, call.feed(wish(), done(R1))


def asking(target: HandoffTarget = WARM) -> Call:
    """The person has heard the announcement."""
    call, _ = wanted(target)
    call.feed(PersonAnswered(), AnnouncementHeard())
    return call


def bridged(target: HandoffTarget = WARM) -> Call:
    call = asking(target)
    call.feed(PersonPressed("1"))
    return call


def outputs(effects: list[Effect]) -> list[dict[str, object]]:
    """What the model was told about its tool call."""
    items = [
        each.command.item for each in of(Send, effects) if isinstance(each.command, CreateItem)
    ]
    return [json.loads(item.output) for item in items if isinstance(item, FunctionCallOutput)]


def asked_to_go_on(effects: list[Effect]) -> bool:
    return any(isinstance(each.command, CreateResponse) for each in of(Send, effects))


# The wish


def test_agent_hands_over_once_its_response_is_over() -> None:
    call = thinking(policy(BLIND))
    assert of(HandoffStarted, call.feed(wish())) == []
    effects = call.feed(done(R1))
    assert of(HandoffStarted, effects) == [HandoffStarted("sales", PERSON, Way.BLIND, SUMMARY)]
    assert of(TransferCall, effects) == [TransferCall(PERSON, SUMMARY, refer_to_headers=True)]
    assert of(PauseUplink, effects) == [PauseUplink(UplinkHold.HANDOFF)]
    assert Send(ClearInput()) in effects
    assert (outputs(effects), asked_to_go_on(effects)) == ([], False)
    assert call.core.state is State.HANDOFF


def test_what_the_agent_says_about_it_is_heard_first() -> None:
    call = speaking(policy(BLIND))
    assert of(TransferCall, call.feed(wish(), done(R1))) == []
    assert of(TransferCall, call.feed(PlayoutDrained())) != []


def test_caller_who_speaks_over_that_is_put_through_all_the_same() -> None:
    call = speaking(policy(BLIND))
    call.feed(wish(), started())
    effects = call.feed(flushed((A1, 500, 2_000)), done(R1, ResponseStatus.CANCELLED))
    assert of(TransferCall, effects) != []


def test_agent_that_is_never_heard_to_the_end_hands_over_all_the_same() -> None:
    call = speaking(policy(BLIND))
    call.feed(wish(), done(R1))
    assert of(TransferCall, call.feed(TimerFired(Timer.TRANSFER))) != []


def test_dialplans_words_come_before_the_refer() -> None:
    target = replace(BLIND, before="One moment.")
    call, effects = wanted(target)
    assert [each.text for each in of(PlayPhrase, effects)] == ["One moment."]
    assert of(TransferCall, effects) == []
    assert of(TransferCall, call.feed(PlayoutDrained())) != []


def test_dialplans_words_that_never_end_do_not_keep_the_caller() -> None:
    call, _ = wanted(replace(BLIND, before="One moment."))
    assert of(TransferCall, call.feed(TimerFired(Timer.TRANSFER))) != []


@pytest.mark.parametrize("arguments", [{"target": "nobody"}])
def test_unknown_target_is_an_output(arguments: dict[str, str]) -> None:
    call = thinking(policy(BLIND))
    effects = call.feed(wish(**arguments), done(R1))
    [output] = outputs(effects)
    assert "sales" in str(output["error"])
    assert asked_to_go_on(effects)
    assert of(TransferCall, effects) == []


def test_second_wish_is_an_output() -> None:
    call, second = thinking(policy(BLIND)), FunctionCall
    call.feed(wish())
    item = second(T1.__class__("call_2"), "transfer_to_human", json.dumps({"summary": "x"}))
    effects = call.feed(OutputItemDone(R1, 1, item))
    assert outputs(effects) == [{"error": "under way already"}]


def test_bridge_itself_can_ask_for_the_first_person() -> None:
    call = answered(policy(WARM))
    state, now_ns = call.core._call, call.clock.now_ns()
    list(ask_for_human(state, now_ns, by="key"))
    list(ask_for_human(state, now_ns, by="key"))  # once is enough
    assert len(of(DialPerson, call.feed(HoldChanged(False)))) == 1
    effects = call.feed(PersonLeft(486))
    assert "sip_486" in str(effects)
    assert asked_to_go_on(effects)
    call.feed(ResponseCreated(R2), done(R2))
    list(ask_for_human(state, now_ns, by="key"))
    call.feed(HoldChanged(False), PersonAnswered(), PersonPressed("1"))
    assert call.feed(PersonLeft(200))[-1] == CallClosed(
        Outcome.TRANSFERRED, Fault.NONE, "asked_by_key"
    )


# Nobody listens meanwhile


def test_response_that_comes_after_the_handoff_began_is_cancelled() -> None:
    call, _ = wanted(WARM)
    effects = call.feed(ResponseCreated(R2))
    assert Send(CancelResponse(R2)) in effects
    assert call.feed(audio(A1, R2)) == []


def test_late_news_of_the_callers_voice_do_not_stop_the_tones() -> None:
    call, _ = wanted(WARM)
    call.feed(TimerFired(Timer.FILLER))
    assert of(StopFiller, call.feed(started())) == []
    assert of(PlayFiller, call.feed(PlayoutDrained())) == [PlayFiller()]


def test_caller_hears_tones_before_two_seconds_of_silence() -> None:
    call, _ = wanted(WARM)
    assert call.core._call.timers >= {Timer.FILLER, Timer.TRANSFER}
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER))) == [PlayFiller()]


# Blind


def test_refer_that_is_taken_and_done_ends_the_call() -> None:
    call, _ = wanted(BLIND)
    call.feed(TransferProgressed(100))
    effects = call.feed(TransferCompleted(200), after_ms=700)
    assert of(HandoffCompleted, effects) == [HandoffCompleted(Way.BLIND, 700)]
    assert of(HangUp, effects) == [HangUp(Outcome.TRANSFERRED)]
    assert effects[-1] == CallClosed(Outcome.TRANSFERRED, Fault.NONE, "transfer_to_human")


@pytest.mark.parametrize(
    "refused", [TransferFailed(603), TransferFailed(405), TimerFired(Timer.TRANSFER)]
)
def test_refer_that_is_refused_or_ignored_is_dialled_by_the_bridge(refused: Input) -> None:
    call, _ = wanted(BLIND)
    effects = call.feed(refused)
    assert of(DialPerson, effects) == [DialPerson(PERSON, SUMMARY)]
    assert of(HandoffFailed, effects) == []
    effects = call.feed(PersonAnswered(), after_ms=300)
    assert of(BridgePerson, effects) == [BridgePerson()]
    assert of(HandoffAccepted, effects) == [HandoffAccepted(Way.BRIDGED)]
    assert of(HandoffCompleted, effects) == [HandoffCompleted(Way.BRIDGED, 300)]


@pytest.mark.parametrize("sip_code", [486, 600])
def test_target_that_is_busy_is_not_dialled_again(sip_code: int) -> None:
    call, _ = wanted(BLIND)
    call.feed(TransferProgressed(100))
    effects = call.feed(TransferFailed(sip_code))
    assert of(DialPerson, effects) == []
    assert outputs(effects) == [{"transferred": False, "reason": f"sip_{sip_code}"}]


def test_far_end_that_took_the_refer_and_says_no_more_has_failed() -> None:
    call, _ = wanted(BLIND)
    call.feed(TransferProgressed(100), TransferProgressed(180))
    effects = call.feed(TimerFired(Timer.TRANSFER))
    assert of(HandoffFailed, effects)[0].reason == "timeout"


def test_target_without_refer_is_dialled_at_once() -> None:
    _, effects = wanted(replace(BLIND, refer=False))
    assert of(TransferCall, effects) == []
    assert of(DialPerson, effects) == [DialPerson(PERSON, SUMMARY)]
    assert of(HandoffStarted, effects)[0].way is Way.BRIDGED


# Warm


def test_person_is_told_the_summary_and_asked() -> None:
    call, effects = wanted(WARM)
    assert of(TransferCall, effects) == []
    assert of(DialPerson, effects) == [DialPerson(PERSON, SUMMARY)]
    effects = call.feed(PersonAnswered())
    assert of(AnnounceToPerson, effects) == [AnnounceToPerson(("A caller.", SUMMARY, "Press 1."))]
    assert of(BridgePerson, effects) == []


@pytest.mark.parametrize(
    "told", [(), (AnnouncementHeard(),)], ids=["in_the_announcement", "after_it"]
)
def test_key_takes_the_call(told: tuple[Input, ...]) -> None:
    call, _ = wanted(WARM)
    call.feed(PersonAnswered(), *told)
    effects = call.feed(PersonPressed("1"))
    assert of(BridgePerson, effects) == [BridgePerson()]
    assert of(CloseSession, effects) == [CloseSession()]
    assert outputs(effects) == [{"transferred": True}]
    assert not asked_to_go_on(effects)
    assert call.core.state is State.HANDOFF


def test_speech_takes_the_call_where_the_dialplan_says_so() -> None:
    call = asking()
    assert of(BridgePerson, call.feed(PersonSpoke())) == []
    call, _ = wanted(replace(WARM, accept_speech=True))
    assert of(BridgePerson, call.feed(PersonAnswered(), PersonSpoke())) == []
    assert of(BridgePerson, call.feed(AnnouncementHeard(), PersonSpoke())) == [BridgePerson()]


@pytest.mark.parametrize(
    ("no", "reason", "gone"),
    [
        (PersonPressed("2"), "declined", False),
        (PersonLeft(200), "declined", True),
        (TimerFired(Timer.TRANSFER), "not_accepted", False),
    ],
)
def test_person_who_does_not_take_the_call_leaves_it_to_the_agent(
    no: Input, reason: str, gone: bool
) -> None:
    call = asking()
    effects = call.feed(no)
    assert of(HandoffFailed, effects)[0].reason == reason
    assert of(LetPersonGo, effects) == [LetPersonGo()]
    assert outputs(effects) == [{"transferred": False, "reason": reason}]
    assert asked_to_go_on(effects)
    assert of(ResumeUplink, effects) == [ResumeUplink(UplinkHold.HANDOFF)]
    assert call.core.state is State.THINKING
    assert effects.index(ResumeUplink(UplinkHold.HANDOFF)) < len(effects)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (PersonLeft(486), "sip_486"),
        (PersonLeft(500), "sip_500"),
        (TimerFired(Timer.TRANSFER), "no_answer"),
    ],
)
def test_person_who_does_not_answer_leaves_it_to_the_agent(failure: Input, reason: str) -> None:
    call, _ = wanted(WARM)
    effects = call.feed(failure)
    assert outputs(effects) == [{"transferred": False, "reason": reason}]
    assert asked_to_go_on(effects)


def test_failure_can_be_told_by_the_bridge_and_the_model_knows() -> None:
    call, _ = wanted(replace(WARM, on_failure="Nobody is free."))
    effects = call.feed(PersonLeft(486))
    assert [each.text for each in of(PlayPhrase, effects)] == ["Nobody is free."]
    assert outputs(effects)[0]["told_the_caller"] == "Nobody is free."


def test_other_keys_change_nothing() -> None:
    call = asking()
    assert call.feed(PersonPressed("7")) == []
    assert call.core.state is State.HANDOFF


def test_caller_can_try_again_after_a_failure() -> None:
    call = asking()
    call.feed(PersonPressed("2"), ResponseCreated(R2), done(R2))
    item = FunctionCall(T1.__class__("call_2"), "transfer_to_human", '{"summary": "again"}')
    call.feed(ResponseCreated(R1.__class__("resp_3")))
    call.feed(OutputItemDone(R1.__class__("resp_3"), 0, item))
    effects = call.feed(done(R1.__class__("resp_3")))
    assert of(DialPerson, effects) == [DialPerson(PERSON, "again")]


# Two people


def test_nothing_of_the_agents_bounds_their_talk() -> None:
    call = bridged()
    assert call.core._call.timers == set()
    assert call.feed(TimerFired(Timer.MAX_DURATION), after_ms=3_600_000) == []


def test_keys_of_the_caller_reach_the_person_and_not_the_model() -> None:
    assert bridged().feed(DigitReceived("5")) == [PassDigits("5", to_person=True)]


def test_keys_of_the_person_reach_the_caller() -> None:
    assert bridged().feed(PersonPressed("5")) == [PassDigits("5", to_person=False)]


def test_keys_that_might_have_become_the_code_follow() -> None:
    call = bridged(replace(WARM, hand_back_key="*9"))
    assert call.feed(PersonPressed("*")) == []
    assert call.feed(PersonPressed("5")) == [PassDigits("*5", to_person=False)]


def test_caller_hears_tones_while_the_person_holds() -> None:
    call = bridged()
    call.feed(PersonHeld(True))
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER))) == [PlayFiller()]
    assert of(StopFiller, call.feed(PersonHeld(False))) == [StopFiller()]


def test_caller_who_hangs_up_ends_the_persons_call() -> None:
    effects = bridged().feed(CallEnded(by_caller=True, sip_code=200))
    assert of(LetPersonGo, effects) == [LetPersonGo()]
    assert of(HangUp, effects) == []
    assert effects[-1] == CallClosed(Outcome.TRANSFERRED, Fault.NONE, "transfer_to_human")


def test_caller_who_vanishes_ends_the_persons_call_and_counts_as_lost() -> None:
    effects = bridged().feed(CallEnded(by_caller=False, sip_code=408, lost="no_media"))
    assert of(LetPersonGo, effects) == [LetPersonGo()]
    assert effects[-1] == CallClosed(Outcome.CALLER_LOST, Fault.CARRIER, "no_media")


def test_caller_who_says_nothing_once_they_were_moved_counts_as_transferred() -> None:
    call, _ = wanted(BLIND)
    call.feed(TransferProgressed(100))
    effects = call.feed(CallEnded(by_caller=False, sip_code=408, lost="no_media"))
    assert effects[-1] == CallClosed(Outcome.TRANSFERRED, Fault.NONE, "transfer_to_human")


def test_person_who_hangs_up_ends_the_call() -> None:
    effects = bridged().feed(PersonLeft(200))
    assert of(HangUp, effects) == [HangUp(Outcome.TRANSFERRED)]
    assert of(HandoffCompleted, effects) == []  # told when they were joined
    assert effects[-1] == CallClosed(Outcome.TRANSFERRED, Fault.NONE, "transfer_to_human")


@pytest.mark.parametrize("call", [wanted(WARM)[0], asking()], ids=["dialling", "asking"])
def test_caller_who_hangs_up_before_ends_the_persons_call(call: Call) -> None:
    effects = call.feed(CallEnded(by_caller=True, sip_code=200))
    assert of(LetPersonGo, effects) == [LetPersonGo()]
    assert of(HandoffFailed, effects)[0].reason == "caller_left"
    assert effects[-1] == CallClosed(Outcome.COMPLETED, Fault.NONE, "caller_hung_up")


def test_redis_says_that_a_person_talks() -> None:
    call = asking()
    effects = call.feed(PersonPressed("1"))
    assert any(getattr(each, "fields", {}).get("phase") == "human" for each in effects)


# The way back


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        (replace(WARM, hand_back_key="*9"), (PersonPressed("*"), PersonPressed("9"))),
        (replace(WARM, hand_back=True), (PersonLeft(200),)),
        (replace(BLIND, refer=False, hand_back=True), (PersonLeft(200),)),
    ],
    ids=["key", "hang_up", "bridged"],
)
def test_caller_comes_back_to_an_agent_who_knows(
    target: HandoffTarget, cause: tuple[Input, ...]
) -> None:
    call = bridged(replace(target, on_hand_back="You are back."))
    effects = call.feed(*cause, after_ms=TALKED)
    assert of(HandedBack, effects) == [HandedBack(TALKED)]
    assert of(LetPersonGo, effects) == [LetPersonGo()]
    assert [each.text for each in of(PlayPhrase, effects)] == ["You are back."]
    assert len(of(OpenSession, effects)) == 1
    assert of(HangUp, effects) == []
    assert any(getattr(each, "new", None) is State.RECOVERING for each in effects)
    effects = call.feed(SessionReady("sess_2"), after_ms=400)
    items = [
        each.command.item for each in of(Send, effects) if isinstance(each.command, CreateItem)
    ]
    notes = [each for each in items if isinstance(each, Message) and each.role is Role.SYSTEM]
    [note] = [each for each in notes if "90 seconds" in str(each.parts[0].text)]
    assert SUMMARY in str(note.parts[0].text)
    assert asked_to_go_on(effects)
    assert call.core.state is State.THINKING
    assert Timer.MAX_DURATION in call.core._call.timers


def test_session_that_cannot_be_had_on_the_way_back_is_the_fallbacks() -> None:
    base = policy(replace(WARM, hand_back=True))
    call = thinking(replace(base, fallback=fallback_policy(say="Sorry.")))
    call.feed(wish(), done(R1), PersonAnswered(), PersonPressed("1"), PersonLeft(200))
    gone = SessionFailed(UpstreamError("no", code="beta_api_shape_disabled"))
    assert [each.text for each in of(PlayPhrase, call.feed(gone))] == ["Sorry."]


# Without a session


def test_session_that_is_lost_meanwhile_does_not_stop_the_handoff() -> None:
    call, _ = wanted(WARM)
    call.feed(TimerFired(Timer.FILLER))
    dropped = SessionFailed(UpstreamError("gone", code="closed", close_code=1006))
    assert len(of(OpenSession, call.feed(dropped))) == 1
    effects = call.feed(SessionReady("sess_2"))
    assert call.core.state is State.HANDOFF
    assert (of(StopFiller, effects), asked_to_go_on(effects)) == ([], False)
    call.feed(PersonAnswered())
    assert of(BridgePerson, call.feed(PersonPressed("1"))) == [BridgePerson()]


def test_session_that_is_gone_for_good_leaves_a_failed_handoff_to_the_fallback() -> None:
    base = policy(WARM)
    call = thinking(replace(base, fallback=fallback_policy(say="Sorry.")))
    call.feed(wish(), done(R1))
    gone = SessionFailed(UpstreamError("no", code="beta_api_shape_disabled"))
    assert of(PlayPhrase, call.feed(gone)) == []
    effects = call.feed(PersonLeft(486))
    assert [each.text for each in of(PlayPhrase, effects)] == ["Sorry."]


# The table


class Asker:
    """Wants a handoff, and is told if it fails."""

    def __init__(self) -> None:
        self.told = 0

    def on_failed(self, call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
        self.told += 1
        yield from ()

    def begin(self, call: CallState) -> list[Effect]:
        ending = CallEnd(Outcome.TRANSFERRED, Fault.NONE, "asked_for")
        return list(start_handoff(call, HandingOver(0, BLIND, ending, self.on_failed), 0))


def test_handoff_that_the_state_forbids_has_failed() -> None:
    call, asker = CallState(call_policy()), Asker()
    assert of(TransferCall, asker.begin(call)) == []
    assert asker.told == 1
    assert call.handoff is None


def test_second_handoff_does_not_disturb_the_first() -> None:
    call, second = answered().core._call, Asker()
    first = Asker()
    first.begin(call)
    second.begin(call)
    assert (first.told, second.told) == (0, 1)
    assert call.handoff is not None


def test_impossible_events_are_counted_and_change_nothing() -> None:
    call, _ = wanted(WARM)
    assert of(TransitionRefused, call.feed(AnnouncementHeard(), TransferCompleted(200))) == [
        TransitionRefused("handoff_dialling", HandoffSignal.HEARD),
        TransitionRefused("handoff_dialling", HandoffSignal.DONE),
    ]
    assert call.feed(CallAnswered()) != []
    assert call.core._call.handoff is not None
    assert call.core._call.handoff.step is HandoffStep.DIALLING


def test_every_step_is_reachable_and_nothing_leads_out_of_an_end() -> None:
    reached = {HandoffStep.WANTED} | set(STEPS.values())
    assert reached == set(HandoffStep)
    left = {old for old, _ in STEPS}
    assert left == set(HandoffStep) - set(ENDS)


def test_diagram_draws_every_row() -> None:
    drawn = diagram()
    for (old, signal), new in STEPS.items():
        assert f"{old} --> {new}: " in drawn
        assert signal.value in drawn
