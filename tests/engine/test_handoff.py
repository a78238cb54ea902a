"""The mechanism of a handing over, apart from who wants it."""

from bridge.engine.effects import CallClosed, Effect, HandoffFailed, PhaseChanged, TransferCall
from bridge.engine.handoff import (
    on_transfer_completed,
    on_transfer_failed,
    start_handoff,
)
from bridge.engine.inputs import TransferCompleted, TransferFailed
from bridge.engine.policy import CallPolicy
from bridge.engine.state import CallState, Effects, Ending, Handoff, Stage
from bridge.engine.turns import State, Trigger, TurnMachine
from bridge.errors import Fault, Outcome

ASKED_FOR = Ending(Outcome.TRANSFERRED, Fault.NONE, "asked_for")


def listening() -> CallState:
    turns = TurnMachine()
    turns.step(Trigger.ANSWERED)
    return CallState(CallPolicy(), turns=turns, stage=Stage.TALKING)


class Asker:
    """Wants a handoff, and is told if it fails."""

    def __init__(self) -> None:
        self.told = 0

    def on_failed(self, call: CallState, now_ns: int) -> Effects:
        self.told += 1
        yield from ()


def begin(call: CallState, asker: Asker) -> list[Effect]:
    handoff = Handoff(0, ASKED_FOR, asker.on_failed)
    return list(start_handoff(call, "tel:+15550100", handoff))


def test_failed_handoff_gives_the_call_back_to_who_asked() -> None:
    call, asker = listening(), Asker()
    effects = begin(call, asker)
    assert TransferCall("tel:+15550100") in effects
    assert PhaseChanged(State.LISTENING, State.HANDOFF, Trigger.HANDOFF_STARTED) in effects
    effects = list(on_transfer_failed(call, TransferFailed(486), 2_000_000))
    assert HandoffFailed("sip_486", 2) in effects
    assert PhaseChanged(State.HANDOFF, State.LISTENING, Trigger.HANDOFF_FAILED) in effects
    assert asker.told == 1
    assert call.turns.state is State.LISTENING
    assert list(on_transfer_failed(call, TransferFailed(486), 0)) == []


def test_completed_handoff_ends_the_call_as_who_asked_wanted() -> None:
    call, asker = listening(), Asker()
    begin(call, asker)
    *_, closed = on_transfer_completed(call, TransferCompleted(200), 0)
    assert closed == CallClosed(Outcome.TRANSFERRED, Fault.NONE, "asked_for")
    assert asker.told == 0


def test_handoff_that_the_state_forbids_has_failed() -> None:
    call, asker = CallState(CallPolicy()), Asker()
    assert not any(isinstance(effect, TransferCall) for effect in begin(call, asker))
    assert asker.told == 1
    assert call.handoff is None


def test_second_handoff_does_not_disturb_the_first() -> None:
    call, first, second = listening(), Asker(), Asker()
    begin(call, first)
    begin(call, second)
    list(on_transfer_failed(call, TransferFailed(486), 0))
    assert (first.told, second.told) == (1, 1)
