"""A supervisor's orders as the core takes them: parameters become actions, names become targets."""

from collections.abc import Callable
from dataclasses import replace

from bridge.engine.actions import (
    Accept,
    Action,
    End,
    HandBack,
    HoldRecording,
    KeepSecret,
    Pause,
    Resume,
    Say,
    TakeOver,
    Transfer,
    Whisper,
)
from bridge.engine.policy import HandoffTarget
from bridge.live.policy import target_at
from bridge.routing.handoff import Handoff
from bridge.routing.supervisor_orders import (
    AcceptOrder,
    EndOrder,
    HandBackOrder,
    Order,
    PauseOrder,
    PauseRecordingOrder,
    ResumeOrder,
    SayOrder,
    SensitiveOrder,
    TakeOverOrder,
    TransferOrder,
    WhisperOrder,
)

AtHand = Callable[[str | None], str | None]


class UnknownTargetError(ValueError):
    """The dialplan has no target of that name."""


class SupervisorActions:
    """Makes actions of orders for one call.

    Args:
        people: of the dialplan, by name.
        handoff: the dialplan's words for people it does not know.
        at_hand: a phrase, if it was rendered.
    """

    def __init__(self, people: dict[str, HandoffTarget], handoff: Handoff, at_hand: AtHand) -> None:
        self._people = people
        self._handoff = handoff
        self._at_hand = at_hand

    def make(self, order: Order) -> Action | None:
        """Return the action; None for an order that is not the core's.

        Raises:
            UnknownTargetError: of a transfer.
        """
        match order:
            case WhisperOrder():
                return Whisper(order.text, now=order.when == "now")
            case SayOrder():
                return Say(order.text)
            case TakeOverOrder():
                return TakeOver()
            case AcceptOrder():
                return Accept()
            case HandBackOrder():
                return HandBack(order.summary)
            case PauseOrder():
                return Pause(round(order.auto_resume_s * 1000))
            case ResumeOrder():
                return Resume()
            case TransferOrder():
                return Transfer(self._target(order), order.summary)
            case EndOrder():
                return End(politely=order.how == "politely")
            case SensitiveOrder():
                return KeepSecret(order.on)
            case PauseRecordingOrder():
                return HoldRecording(order.on)
            case _:
                return None

    def _target(self, order: TransferOrder) -> HandoffTarget:
        warm = order.kind == "warm"
        if ":" in order.target:
            return target_at(order.target, self._handoff, self._at_hand, warm=warm)
        known = self._people.get(order.target)
        if known is None:
            raise UnknownTargetError(order.target)
        return replace(known, warm=warm)
