"""Keeps the faults of one server, and counts the moments at which they strike.

A connection meets them on its stream (:meth:`ConnectionFaults.spoil`) and in its model
(:meth:`ConnectionFaults.why_no_answer`, :meth:`ConnectionFaults.overrun_ms`). The dialects know
nothing of it.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from types import UnionType

from bridge.simulator.faults import (
    EFFECTS,
    MOMENTS,
    Drop,
    Fail,
    Fault,
    FaultSpec,
    Hang,
    Moment,
    Overrun,
    Refuse,
    Stall,
)
from bridge.simulator.names import new_name
from bridge.simulator.outbox import Action, SendEvent
from bridge.simulator.wire import WireObject


class Armed:
    """A fault that has been set, and how far it has come.

    Attributes:
        struck: how often it has struck.
    """

    def __init__(self, spec: FaultSpec) -> None:
        self.spec = spec
        self.name = new_name("fault")
        self.struck = 0

    def strikes(self, seen: Counter[str]) -> bool:
        """Count a moment that the fault waits for, and return whether it strikes at it.

        Args:
            seen: how many such moments have been, by fault.
        """
        seen[self.name] += 1
        times = self.spec.times
        if seen[self.name] < self.spec.nth or (times is not None and self.struck >= times):
            return False
        self.struck += 1
        return True

    def report(self) -> WireObject:
        """Return it as the admin endpoint shows it."""
        return {"id": self.name, "struck": self.struck, **self.spec.model_dump(mode="json")}


class FaultBoard:
    """Keeps the faults of one server.

    Args:
        specs: those that are set from the start.
    """

    def __init__(self, specs: Sequence[FaultSpec] = ()) -> None:
        self._armed = [Armed(spec) for spec in specs]
        self._seen: Counter[str] = Counter()

    def add(self, spec: FaultSpec) -> Armed:
        """Set a fault."""
        armed = Armed(spec)
        self._armed.append(armed)
        return armed

    def clear(self) -> None:
        """Set no faults any more."""
        self._armed.clear()

    def replace(self, specs: Sequence[FaultSpec]) -> None:
        """Set these faults and no others; all of them count from here."""
        self._armed[:] = [Armed(spec) for spec in specs]

    def report(self) -> list[WireObject]:
        """Return all faults as the admin endpoint shows them."""
        return [armed.report() for armed in self._armed]

    def at_the_door(self, moment: Moment) -> list[Refuse | Drop | Stall]:
        """Return the faults that strike at a handshake or a request for a token, in their order.

        All of them count the moment, even if the first ends it.
        """
        return [
            armed.spec
            for armed in self._armed
            if armed.spec.at is moment
            and isinstance(armed.spec, Refuse | Drop | Stall)
            and armed.strikes(self._seen)
        ]

    def of_connection(self) -> "ConnectionFaults":
        """Return the faults as a new connection meets them."""
        return ConnectionFaults(self._armed, self._seen)


class ConnectionFaults:
    """The faults of one connection.

    Args:
        armed: the server's, as they come and go.
        seen: of the whole server; the first event counts there.
    """

    def __init__(self, armed: Sequence[Armed], seen: Counter[str]) -> None:
        self._armed = armed
        self._seen_by_server = seen
        self._seen: Counter[str] = Counter()

    def spoil(self, event: WireObject, marked: Collection[str] = ()) -> Sequence[Action]:
        """Return what is done in place of an event.

        Args:
            marked: the moments that it is for, beside that of its type.
        """
        moments = {*marked, MOMENTS.get(str(event["type"]))}
        actions: tuple[Action, ...] = (SendEvent(event),)
        connecting = Moment.CONNECT in moments
        seen = self._seen_by_server if connecting else self._seen
        for armed in tuple(self._armed):
            spec = armed.spec
            # At connect these two have struck at the door already.
            at_the_door = connecting and isinstance(spec, Drop | Stall)
            effect = EFFECTS.get(type(spec))
            if spec.at in moments and effect and not at_the_door and armed.strikes(seen):
                actions = tuple(_replaced(actions, event, effect(spec, event)))
        return actions

    async def why_no_answer(self) -> str | None:
        """Return why the model does not answer in the response that begins, if it doesn't.

        Where it hangs, this never returns.
        """
        struck = self._strike_model(Fail | Hang)
        if any(isinstance(spec, Hang) for spec in struck):
            await asyncio.Event().wait()
        codes = [spec.code for spec in struck if isinstance(spec, Fail)]
        return codes[0] if codes else None

    def overrun_ms(self) -> int:
        """Return how long the agent goes on talking, now that the caller begins."""
        struck = self._strike_model(Overrun)
        return sum(spec.ms for spec in struck if isinstance(spec, Overrun))

    def _strike_model(self, kind: type[Fault] | UnionType) -> list[FaultSpec]:
        return [
            armed.spec
            for armed in self._armed
            if isinstance(armed.spec, kind) and armed.strikes(self._seen)
        ]


def strike_now(spec: FaultSpec) -> Sequence[Action]:
    """Return what a fault does to a connection that has nothing to send."""
    nothing: WireObject = {}
    actions = EFFECTS[type(spec)](spec, nothing)
    return [each for each in actions if not (isinstance(each, SendEvent) and each.event is nothing)]


def _replaced(
    actions: Sequence[Action], event: WireObject, others: Sequence[Action]
) -> Iterator[Action]:
    """Yield the actions with others in place of every sending of the event."""
    for action in actions:
        if isinstance(action, SendEvent) and action.event is event:
            yield from others
        else:
            yield action
