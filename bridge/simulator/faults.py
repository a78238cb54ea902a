"""Faults on demand, each with its kind, its moment, and how often it strikes.

A fault waits for a moment (:class:`Moment`) and then acts at one of three places: at the door
of the server (:func:`bridge.simulator.door.meet`), on the outgoing stream (:data:`_EFFECTS`, pure
functions from an event to what is done in its place), or on the model
(:meth:`ConnectionFaults.why_no_answer`, :meth:`ConnectionFaults.overrun_ms`). The session and the
dialects know nothing of it.
"""

import asyncio
import enum
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.simulator.names import new_name
from bridge.simulator.outbox import (
    Action,
    Close,
    CutConnection,
    SendAfterNext,
    SendEvent,
    SendLate,
    SendNothing,
    SendText,
)
from bridge.simulator.wire import WireObject


class Moment(enum.StrEnum):
    """When a fault may strike.

    ``connect`` is a WebSocket handshake (for faults of the stream: its first event), ``token`` a
    request for a token, the others an event about to be sent. ``now`` is every open connection, at
    once. GPT-Live has no events for most of them: the piece of audio of that moment stands for it,
    the agent's first words for ``turn``, its last ones for ``done``.
    """

    NOW = "now"
    TOKEN = "token"
    CONNECT = "connect"
    SPEECH = "speech"
    SPEECH_END = "speech_end"
    TURN = "turn"
    AUDIO = "audio"
    TOOL = "tool"
    DONE = "done"


_MOMENTS = {
    "session.created": Moment.CONNECT,
    "transcription_session.created": Moment.CONNECT,
    "input_audio_buffer.speech_started": Moment.SPEECH,
    "input_audio_buffer.speech_stopped": Moment.SPEECH_END,
    "response.created": Moment.TURN,
    "response.audio.delta": Moment.AUDIO,
    "response.output_audio.delta": Moment.AUDIO,
    "response.function_call_arguments.done": Moment.TOOL,
    "response.done": Moment.DONE,
    "session.started": Moment.CONNECT,
}
_STREAM = frozenset(_MOMENTS.values())
_DOOR = frozenset({Moment.CONNECT, Moment.TOKEN})


class _Fault(BaseModel):
    """What every fault says.

    Attributes:
        at: the moment it waits for.
        nth: it lets that many moments less one pass: of each connection, or of the server for
            ``connect`` and ``token``; counted from when the fault was set.
        times: how often it strikes, at that moment and the next ones; None for always.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    moments: ClassVar[frozenset[Moment]] = _STREAM

    at: Moment
    nth: int = Field(1, ge=1)
    times: int | None = Field(1, ge=1)

    @model_validator(mode="after")
    def _has_its_moment(self) -> Self:
        if self.at not in self.moments:
            known = ", ".join(sorted(self.moments))
            raise ValueError(f"this kind of fault cannot strike at '{self.at}', only at: {known}")
        return self


class Refuse(_Fault):
    """An HTTP status instead of an upgrade or a token."""

    moments: ClassVar[frozenset[Moment]] = _DOOR
    kind: Literal["refuse"]
    status: int = Field(503, ge=400, le=599)
    retry_after_s: int | None = Field(None, ge=0)


class Drop(_Fault):
    """The TCP connection ends: by RST, or quietly."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | _DOOR | {Moment.NOW}
    kind: Literal["drop"]
    abruptly: bool = True


class Stall(_Fault):
    """Nothing is sent for a while; at ``audio``, ``times`` over, it makes slow deltas."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | _DOOR | {Moment.NOW}
    kind: Literal["stall"]
    ms: int = Field(ge=1, le=600_000)


class CloseSocket(_Fault):
    """The WebSocket closes with a code."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | {Moment.NOW}
    kind: Literal["close"]
    code: int = Field(1011, ge=1000, le=4999)
    reason: str = Field("", max_length=123)


class ReportError(_Fault):
    """An ``error`` event comes before the event."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | {Moment.NOW}
    kind: Literal["error"]
    code: str = "server_error"
    type: str = "server_error"
    message: str = "The server had an error while processing your request."


class Unknown(_Fault):
    """An event that nobody knows comes before the event."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | {Moment.NOW}
    kind: Literal["unknown"]
    type: str = "simulator.unheard_of"


class Malformed(_Fault):
    """The event is broken: without one of its fields, or not even JSON."""

    kind: Literal["malformed"]
    lacks: str | None = None


class Lose(_Fault):
    """The event is never sent."""

    kind: Literal["lose"]


class Duplicate(_Fault):
    """The event comes twice."""

    kind: Literal["duplicate"]


class Reorder(_Fault):
    """The event changes places with the next one."""

    kind: Literal["reorder"]


class Delay(_Fault):
    """The event comes late, and others overtake it."""

    kind: Literal["delay"]
    ms: int = Field(ge=1, le=600_000)


class Fail(_Fault):
    """The model does not answer: ``response.done`` says failed, and why."""

    moments: ClassVar[frozenset[Moment]] = frozenset({Moment.TURN})
    kind: Literal["fail"]
    code: str = "rate_limit_exceeded"


class Hang(_Fault):
    """The model begins to answer, or to go on after a tool, and never comes to an end."""

    moments: ClassVar[frozenset[Moment]] = frozenset({Moment.TURN})
    kind: Literal["hang"]


class Overrun(_Fault):
    """The agent goes on talking for a while although the caller has begun."""

    moments: ClassVar[frozenset[Moment]] = frozenset({Moment.SPEECH})
    kind: Literal["overrun"]
    ms: int = Field(ge=1, le=60_000)


FaultSpec = Annotated[
    Refuse
    | Drop
    | Stall
    | CloseSocket
    | ReportError
    | Unknown
    | Malformed
    | Lose
    | Duplicate
    | Reorder
    | Delay
    | Fail
    | Hang
    | Overrun,
    Field(discriminator="kind"),
]


def _report(fault: ReportError, event: WireObject) -> Sequence[Action]:
    # Nothing that is null: each dialect has its own names for that.
    error = {"type": fault.type, "code": fault.code, "message": fault.message}
    reported: WireObject = {"type": "error", "event_id": new_name("event"), "error": error}
    return SendEvent(reported), SendEvent(event)


def _break(fault: Malformed, event: WireObject) -> Sequence[Action]:
    if fault.lacks is not None:
        return (SendEvent({key: value for key, value in event.items() if key != fault.lacks}),)
    text = json.dumps(event)
    return (SendText(text[: len(text) // 2]),)


def _precede(fault: Unknown, event: WireObject) -> Sequence[Action]:
    return SendEvent({"type": fault.type, "event_id": new_name("event"), "novelty": 1}), SendEvent(
        event
    )


# Each says what is done in place of an event; the event is always the very same object.
_EFFECTS: Mapping[type[_Fault], Callable[..., Sequence[Action]]] = {
    Drop: lambda fault, event: (CutConnection(fault.abruptly),),
    Stall: lambda fault, event: (SendNothing(fault.ms), SendEvent(event)),
    CloseSocket: lambda fault, event: (Close(fault.code, fault.reason),),
    ReportError: _report,
    Unknown: _precede,
    Malformed: _break,
    Lose: lambda fault, event: (),
    Duplicate: lambda fault, event: (SendEvent(event), SendEvent(event)),
    Reorder: lambda fault, event: (SendAfterNext(event),),
    Delay: lambda fault, event: (SendLate(event, fault.ms),),
}


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
        moments = {*marked, _MOMENTS.get(str(event["type"]))}
        actions: tuple[Action, ...] = (SendEvent(event),)
        connecting = Moment.CONNECT in moments
        seen = self._seen_by_server if connecting else self._seen
        for armed in tuple(self._armed):
            spec = armed.spec
            # At connect these two have struck at the door already.
            at_the_door = connecting and isinstance(spec, Drop | Stall)
            effect = _EFFECTS.get(type(spec))
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

    def _strike_model(self, kind: type[_Fault] | UnionType) -> list[FaultSpec]:
        return [
            armed.spec
            for armed in self._armed
            if isinstance(armed.spec, kind) and armed.strikes(self._seen)
        ]


def strike_now(spec: FaultSpec) -> Sequence[Action]:
    """Return what a fault does to a connection that has nothing to send."""
    nothing: WireObject = {}
    actions = _EFFECTS[type(spec)](spec, nothing)
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
