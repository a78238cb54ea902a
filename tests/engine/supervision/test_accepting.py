"""A supervisor accepts a caller who waits for a person: when, in whose place, and the way back."""

import json
from dataclasses import replace

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.engine.effects import (
    DialPerson,
    Effect,
    FlushPlayout,
    LetPersonGo,
    OpenVoice,
    PauseUplink,
    PlayFiller,
    PlayPhrase,
    ResumeUplink,
    Send,
    StartTimer,
    StopTimer,
    UplinkHold,
)
from bridge.engine.inputs import (
    AnnouncementHeard,
    CallEnded,
    PersonAnswered,
    PersonPressed,
    SessionFailed,
    SupervisorActed,
    SupervisorHeard,
    TimerFired,
    TransferProgressed,
)
from bridge.engine.news import (
    ActionAnswered,
    AgentResumed,
    CallClosed,
    HandedBack,
    HandoffAccepted,
    HandoffCompleted,
    HandoffFailed,
    TransitionRefused,
    Way,
)
from bridge.engine.supervision.hold import VOICE_GRACE_MS
from bridge.engine.supervision.rules import Refusal
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Outcome, UpstreamError
from bridge.realtime.commands import CreateItem, CreateResponse
from bridge.realtime.events import OutputItemDone
from bridge.realtime.items import FunctionCall, FunctionCallOutput
from bridge.routing.handoff import HandoffTarget
from bridge.routing.supervisor_verbs import (
    AcceptOrder,
    EndOrder,
    HandBackOrder,
    Order,
    TakeOverOrder,
    TransferOrder,
    WhisperOrder,
)
from tests.engine.calls import R1, T1, Call, answered, done, flushed, of, thinking
from tests.support.policies import call_policy, fallback_policy, handoff_target, tool_policy

SUMMARY = "Wants to move order 4711."
DIALLED = handoff_target("sales", "sip:ann@127.0.0.1:5070", refer=False)
WARM = replace(DIALLED, warm=True, announce="A caller.", ask="Press 1.")
TOLD = replace(DIALLED, before="I put you through.")
REFERRED = replace(DIALLED, refer=True)


def waiting(target: HandoffTarget = DIALLED) -> Call:
    """The agent has asked for a person, and its response is over."""
    policy = call_policy(
        greet=False,
        max_call_ms=60_000,
        handoff={target.name: target},
        tools={"transfer_to_human": tool_policy({"type": "object"})},
    )
    call = thinking(policy)
    wish = FunctionCall(T1, "transfer_to_human", json.dumps({"summary": SUMMARY}))
    call.feed(OutputItemDone(R1, 0, wish), done(R1))
    return call


def act(
    call: Call,
    order: Order,
    by: str = "eve",
    after_ms: float = 0,
    target: HandoffTarget | None = None,
    voice_within_ms: int | None = None,
) -> list[Effect]:
    acted = SupervisorActed("a1", by, order, target, voice_within_ms)
    return call.feed(acted, after_ms=after_ms)


def answer(effects: list[Effect]) -> ActionAnswered:
    (told,) = of(ActionAnswered, effects)
    return told


def accepted(target: HandoffTarget = DIALLED) -> tuple[Call, list[Effect]]:
    """Eve has accepted the caller, and is heard."""
    call = waiting(target)
    call.feed(SupervisorHeard("eve"))
    return call, act(call, AcceptOrder(), after_ms=4_000)


def outputs(effects: list[Effect]) -> list[dict[str, object]]:
    items = [
        each.command.item for each in of(Send, effects) if isinstance(each.command, CreateItem)
    ]
    return [json.loads(item.output) for item in items if isinstance(item, FunctionCallOutput)]


def test_whoever_accepts_is_the_person_and_who_was_called_is_let_go() -> None:
    call, effects = accepted()
    assert answer(effects) == ActionAnswered("a1", "eve", "accept", target="sales", summary=SUMMARY)
    assert of(LetPersonGo, effects)
    assert StopTimer(Timer.TRANSFER) in effects
    assert of(OpenVoice, effects) == [OpenVoice("eve")]
    assert of(HandoffAccepted, effects) == [HandoffAccepted(Way.CONSOLE, "eve")]
    assert of(HandoffCompleted, effects) == [HandoffCompleted(Way.CONSOLE, 4_000)]
    assert outputs(effects) == [{"transferred": True}]
    assert not of(TransitionRefused, effects)
    assert call.core.state is State.HANDOFF
    # The agent hears nothing: the supervisor's hold takes the place of the handing over's.
    holds = [each for each in effects if isinstance(each, PauseUplink | ResumeUplink)]
    assert holds == [PauseUplink(UplinkHold.SUPERVISOR), ResumeUplink(UplinkHold.HANDOFF)]


@pytest.mark.parametrize(
    "answers", [(), (PersonAnswered(),), (PersonAnswered(), AnnouncementHeard())]
)
def test_accepted_at_every_step_of_a_warm_handing_over(answers: tuple[object, ...]) -> None:
    call = waiting(WARM)
    call.feed(*answers)  # type: ignore[arg-type]  # members of Input
    call.feed(SupervisorHeard("eve"))
    effects = act(call, AcceptOrder())
    assert of(LetPersonGo, effects)
    assert of(HandoffAccepted, effects)
    assert call.feed(PersonPressed("1")) == []  # too late


def test_what_the_caller_is_told_before_is_cut() -> None:
    call = waiting(TOLD)
    call.feed(SupervisorHeard("eve"))
    effects = act(call, AcceptOrder())
    assert of(FlushPlayout, effects)
    assert not of(LetPersonGo, effects)  # nobody was called yet
    assert not of(TransitionRefused, effects)
    assert not of(DialPerson, call.feed(flushed()))


def test_caller_hears_tones_until_who_accepted_is_heard() -> None:
    call = waiting()
    effects = act(call, AcceptOrder())
    assert StartTimer(Timer.SUPERVISOR, VOICE_GRACE_MS) in effects
    assert not of(HandoffAccepted, effects)
    call.feed(TimerFired(Timer.FILLER))
    effects = call.feed(SupervisorHeard("eve"), after_ms=1_000)
    assert of(HandoffAccepted, effects)
    assert not of(PlayFiller, effects)


def test_phone_has_time_to_ring() -> None:
    effects = act(waiting(), AcceptOrder(), voice_within_ms=40_000)
    assert StartTimer(Timer.SUPERVISOR, 40_000) in effects


@pytest.mark.parametrize("gives_up", [False, True])
def test_agent_goes_on_where_who_accepted_is_never_heard(gives_up: bool) -> None:
    target = replace(DIALLED, on_failure="Nobody could be reached.")
    call = waiting(target)
    act(call, AcceptOrder())
    effects = (
        act(call, HandBackOrder(), after_ms=VOICE_GRACE_MS)
        if gives_up
        else call.feed(TimerFired(Timer.SUPERVISOR), after_ms=VOICE_GRACE_MS)
    )
    (failed,) = of(HandoffFailed, effects)
    assert (failed.way, failed.reason) == (Way.CONSOLE, "not_joined")
    assert [each.text for each in of(PlayPhrase, effects)] == ["Nobody could be reached."]
    assert outputs(effects)[0]["transferred"] is False
    assert any(isinstance(each.command, CreateResponse) for each in of(Send, effects))
    resumed = {each.reason for each in of(ResumeUplink, effects)}
    assert resumed == {UplinkHold.SUPERVISOR, UplinkHold.HANDOFF}
    assert StartTimer(Timer.MAX_DURATION, 60_000) in effects
    assert not of(TransitionRefused, effects)
    assert answer(act(call, WhisperOrder(text="x"))).refused == ""


def test_handed_back_the_agent_goes_on() -> None:
    call, _ = accepted()
    effects = act(call, HandBackOrder(summary="Moved to Monday."), after_ms=30_000)
    assert of(HandedBack, effects) == [HandedBack(30_000)]
    assert of(AgentResumed, effects) == [AgentResumed("eve", 30_000, "handed_back")]
    assert any("Moved to Monday." in str(each.command) for each in of(Send, effects))
    assert call.core.state is State.THINKING
    call.feed(SupervisorHeard("bob"))
    assert answer(act(call, AcceptOrder(), "bob")).refused == Refusal.NOT_WAITING


def test_caller_who_was_accepted_counts_as_transferred() -> None:
    call, _ = accepted()
    (closed,) = of(CallClosed, call.feed(CallEnded(by_caller=True, sip_code=200)))
    assert closed.outcome is Outcome.TRANSFERRED
    call, _ = accepted()
    (closed,) = of(CallClosed, act(call, EndOrder(reason="Abuse.", how="now")))
    assert (closed.outcome, closed.reason) == (Outcome.TRANSFERRED, "ended_by_supervisor")
    call, _ = accepted()
    act(call, HandBackOrder())
    (closed,) = of(CallClosed, call.feed(CallEnded(by_caller=True, sip_code=200)))
    assert closed.outcome is Outcome.COMPLETED


def test_caller_who_leaves_before_anybody_is_heard_was_not_served() -> None:
    call = waiting()
    act(call, AcceptOrder())
    effects = call.feed(CallEnded(by_caller=True, sip_code=200))
    assert [each.reason for each in of(HandoffFailed, effects)] == ["caller_left"]


def test_who_accepted_may_send_the_caller_on() -> None:
    call, _ = accepted()
    other = handoff_target("bob", "sip:bob@pbx.example", refer=False)
    effects = act(call, TransferOrder(target="bob"), target=other)
    assert [each.to for each in of(DialPerson, effects)] == [other.to]


def test_caller_of_a_fallback_is_accepted_though_there_is_no_agent() -> None:
    fallback = fallback_policy("Sorry.", transfer_to=DIALLED)
    call = answered(call_policy(greet=False, fallback=fallback))
    given_up = call.feed(SessionFailed(UpstreamError("gone", code="beta_api_shape_disabled")))
    (sorry,) = of(PlayPhrase, given_up)
    dialled = call.feed(PlayoutStarted(sorry.item_id, 0), PlayoutDrained())
    assert of(DialPerson, dialled)
    call.feed(SupervisorHeard("eve"))
    effects = act(call, AcceptOrder())
    assert answer(effects).refused == ""
    assert of(HandoffAccepted, effects)


# What is refused


@pytest.mark.parametrize("order", [AcceptOrder(), TakeOverOrder()])
def test_second_who_accepts_is_told_who_holds_the_caller(order: Order) -> None:
    for heard in (False, True):
        call = waiting()
        if heard:
            call.feed(SupervisorHeard("eve"))
        act(call, AcceptOrder())
        told = answer(act(call, order, "bob"))
        assert (told.refused, told.held_by) == (Refusal.HELD, "eve")
        assert told.summary == ""


def test_caller_whom_the_carrier_moves_cannot_be_had() -> None:
    call = waiting(REFERRED)
    effects = act(call, AcceptOrder())
    assert answer(effects).refused == Refusal.REFER_SENT
    assert len(effects) == 1
    call.feed(TransferProgressed(100))
    assert answer(act(call, AcceptOrder())).refused == Refusal.REFER_ACCEPTED


def test_refused_where_nobody_waits() -> None:
    assert answer(act(answered(), AcceptOrder())).refused == Refusal.NOT_WAITING
    bridged = waiting()
    bridged.feed(PersonAnswered())
    assert answer(act(bridged, AcceptOrder())).refused == Refusal.HANDED_OVER
    call, _ = accepted()
    assert answer(act(call, AcceptOrder())).refused == Refusal.ALREADY
