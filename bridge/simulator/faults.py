"""Faults on demand, each with its kind, its moment, and how often it strikes.

A fault waits for a moment (:class:`Moment`) and then acts at one of three places: at the door
of the server (:func:`bridge.simulator.door.meet`), on the outgoing stream (:data:`EFFECTS`, pure
functions from an event to what is done in its place), or on the model. Which strike, and when, is
counted in :mod:`bridge.simulator.fault_board`.
"""

import enum
import json
from collections.abc import Callable, Mapping, Sequence
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


MOMENTS = {
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
_STREAM = frozenset(MOMENTS.values())
_DOOR = frozenset({Moment.CONNECT, Moment.TOKEN})


class Fault(BaseModel):
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


class Refuse(Fault):
    """An HTTP status instead of an upgrade or a token."""

    moments: ClassVar[frozenset[Moment]] = _DOOR
    kind: Literal["refuse"]
    status: int = Field(503, ge=400, le=599)
    retry_after_s: int | None = Field(None, ge=0)


class Drop(Fault):
    """The TCP connection ends: by RST, or quietly."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | _DOOR | {Moment.NOW}
    kind: Literal["drop"]
    abruptly: bool = True


class Stall(Fault):
    """Nothing is sent for a while; at ``audio``, ``times`` over, it makes slow deltas."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | _DOOR | {Moment.NOW}
    kind: Literal["stall"]
    ms: int = Field(ge=1, le=600_000)


class CloseSocket(Fault):
    """The WebSocket closes with a code."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | {Moment.NOW}
    kind: Literal["close"]
    code: int = Field(1011, ge=1000, le=4999)
    reason: str = Field("", max_length=123)


class ReportError(Fault):
    """An ``error`` event comes before the event."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | {Moment.NOW}
    kind: Literal["error"]
    code: str = "server_error"
    type: str = "server_error"
    message: str = "The server had an error while processing your request."


class Unknown(Fault):
    """An event that nobody knows comes before the event."""

    moments: ClassVar[frozenset[Moment]] = _STREAM | {Moment.NOW}
    kind: Literal["unknown"]
    type: str = "simulator.unheard_of"


class Malformed(Fault):
    """The event is broken: without one of its fields, or not even JSON."""

    kind: Literal["malformed"]
    lacks: str | None = None


class Lose(Fault):
    """The event is never sent."""

    kind: Literal["lose"]


class Duplicate(Fault):
    """The event comes twice."""

    kind: Literal["duplicate"]


class Reorder(Fault):
    """The event changes places with the next one."""

    kind: Literal["reorder"]


class Delay(Fault):
    """The event comes late, and others overtake it."""

    kind: Literal["delay"]
    ms: int = Field(ge=1, le=600_000)


class Fail(Fault):
    """The model does not answer: ``response.done`` says failed, and why."""

    moments: ClassVar[frozenset[Moment]] = frozenset({Moment.TURN})
    kind: Literal["fail"]
    code: str = "rate_limit_exceeded"


class Hang(Fault):
    """The model begins to answer, or to go on after a tool, and never comes to an end."""

    moments: ClassVar[frozenset[Moment]] = frozenset({Moment.TURN})
    kind: Literal["hang"]


class Overrun(Fault):
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
EFFECTS: Mapping[type[Fault], Callable[..., Sequence[Action]]] = {
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
