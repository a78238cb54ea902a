"""Finds whom a supervisor's transfer goes to: somebody of the dialplan, or an address typed in."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from bridge.routing.handoff import Handoff, HandoffTarget
from bridge.routing.parts import AtHand
from bridge.routing.supervisor_verbs import TransferOrder


class TargetError(ValueError):
    """A transfer can't go there.

    Attributes:
        reason: ``unknown_target``: the dialplan has no target of that name;
            ``target_not_allowed``: the settings don't let supervisors transfer to that address.
    """

    def __init__(self, reason: Literal["unknown_target", "target_not_allowed"]) -> None:
        super().__init__(reason)
        self.reason = reason


class TransferTargets:
    """Finds the targets of one call's transfers.

    Args:
        people: of the dialplan, by name.
        handoff: the dialplan's words for people it does not know.
        at_hand: a phrase, if it was rendered.
        may_transfer: whether a typed address may be a transfer's target.
    """

    def __init__(
        self,
        people: Mapping[str, HandoffTarget],
        handoff: Handoff,
        at_hand: AtHand,
        may_transfer: Callable[[str], bool],
    ) -> None:
        self._people = people
        self._handoff = handoff
        self._at_hand = at_hand
        self._may_transfer = may_transfer

    def find(self, order: TransferOrder) -> HandoffTarget:
        """Return whom an order means.

        Raises:
            TargetError: it may not go there.
        """
        warm = order.kind == "warm"
        if ":" in order.target:
            if not self._may_transfer(order.target):
                raise TargetError("target_not_allowed")
            return self._handoff.person_at(order.target, self._at_hand, warm=warm)
        known = self._people.get(order.target)
        if known is None:
            raise TargetError("unknown_target")
        return replace(known, warm=warm)
