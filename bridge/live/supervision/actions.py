"""A supervisor's orders as the core takes them: parameters become actions, names become targets."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

from bridge.engine.handoff.policy import HandoffTarget
from bridge.engine.supervision.actions import (
    Accept,
    Action,
    End,
    HandBack,
    HoldCaller,
    HoldRecording,
    Join,
    KeepSecret,
    Mute,
    Pause,
    Resume,
    Say,
    TakeOver,
    Transfer,
    Whisper,
)
from bridge.live.policy import target_at
from bridge.routing.handoff import Handoff
from bridge.routing.supervisor_orders import (
    AcceptOrder,
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
    TakeOverOrder,
    TransferOrder,
    WhisperOrder,
)

# The order is of the row's kind, which a mapping's type cannot say.
_MAKE: Mapping[type[Order], Callable[[Any], Action]] = MappingProxyType(
    {
        WhisperOrder: lambda order: Whisper(order.text, now=order.when == "now"),
        SayOrder: lambda order: Say(order.text),
        TakeOverOrder: lambda _: TakeOver(),
        AcceptOrder: lambda _: Accept(),
        JoinOrder: lambda _: Join(),
        MuteOrder: lambda order: Mute(order.on),
        HoldOrder: lambda order: HoldCaller(order.on),
        HandBackOrder: lambda order: HandBack(order.summary),
        PauseOrder: lambda order: Pause(round(order.auto_resume_s * 1000)),
        ResumeOrder: lambda _: Resume(),
        EndOrder: lambda order: End(politely=order.how == "politely"),
        SensitiveOrder: lambda order: KeepSecret(order.on),
        PauseRecordingOrder: lambda order: HoldRecording(order.on),
    }
)

AtHand = Callable[[str | None], str | None]


class TargetError(ValueError):
    """A transfer can't go there.

    Attributes:
        reason: ``unknown_target``: the dialplan has no target of that name;
            ``target_not_allowed``: the settings don't let supervisors transfer to that address.
    """

    def __init__(self, reason: Literal["unknown_target", "target_not_allowed"]) -> None:
        super().__init__(reason)
        self.reason = reason


class SupervisorActions:
    """Makes actions of orders for one call.

    Args:
        people: of the dialplan, by name.
        handoff: the dialplan's words for people it does not know.
        at_hand: a phrase, if it was rendered.
        may_transfer: whether a typed address may be a transfer's target.
    """

    def __init__(
        self,
        people: dict[str, HandoffTarget],
        handoff: Handoff,
        at_hand: AtHand,
        may_transfer: Callable[[str], bool],
    ) -> None:
        self._people = people
        self._handoff = handoff
        self._at_hand = at_hand
        self._may_transfer = may_transfer

    def make(self, order: Order) -> Action | None:
        """Return the action; None for an order that is not the core's.

        Raises:
            TargetError: of a transfer.
        """
        if isinstance(order, TransferOrder):
            return Transfer(self._target(order), order.summary)
        make = _MAKE.get(type(order))
        return None if make is None else make(order)

    def _target(self, order: TransferOrder) -> HandoffTarget:
        warm = order.kind == "warm"
        if ":" in order.target:
            if not self._may_transfer(order.target):
                raise TargetError("target_not_allowed")
            return target_at(order.target, self._handoff, self._at_hand, warm=warm)
        known = self._people.get(order.target)
        if known is None:
            raise TargetError("unknown_target")
        return replace(known, warm=warm)
