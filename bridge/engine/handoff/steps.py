"""The steps of one handing over, and the table that joins them.

    WANTED -> [SAYING] -> REFERRING -> DONE              blind: the carrier moves the caller
                             |
                             v  (refused, or nobody answers the REFER)
                           DIALLING -> BRIDGED           the bridge dials, and joins the two calls
                           DIALLING -> ANNOUNCING -> ASKING -> BRIDGED      warm
    BRIDGED -> DONE | HANDED_BACK | FAILED          the last: an arm's agent is lost, or never heard
    any before BRIDGED but REFERRING -> CLAIMED -> JOINED   somebody accepts it from the queue

Invariants as in :mod:`bridge.engine.turns`: a pair that the table lacks changes nothing and is
reported. Nothing leads out of FAILED, JOINED, DONE and HANDED_BACK: the handoff is over. A
REFER can't be taken back (RFC 3515), so nobody else can have a caller who is REFERRING.
"""

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from bridge.engine.call.state import CallEnd
from bridge.engine.news import Way
from bridge.realtime.ids import ToolCallId
from bridge.routing.handoff import HandoffTarget

CallT = TypeVar("CallT")
EffectT = TypeVar("EffectT")


class HandoffStep(enum.StrEnum):
    """The step that a handing over is at."""

    WANTED = "wanted"
    """The agent is still heard; the talk is not interrupted for it."""
    SAYING = "telling"
    """The bridge speaks to the caller."""
    REFERRING = "referring"
    DIALLING = "dialling"
    ANNOUNCING = "announcing"
    """The person hears who waits, and why."""
    ASKING = "asking"
    """The person has heard it and decides."""
    BRIDGED = "bridged"
    CLAIMED = "claimed"
    """A supervisor has accepted it, and is not heard yet."""
    JOINED = "joined"
    """They are: the call is theirs by :mod:`bridge.engine.supervision.hold`."""
    FAILED = "failed"
    DONE = "done"
    HANDED_BACK = "handed_back"


class HandoffSignal(enum.StrEnum):
    """An event that moves a handing over on."""

    SAY = "tell"
    REFER = "refer"
    DIAL = "dial"
    ANSWERED = "answered"
    HEARD = "told"
    ACCEPTED = "accepted"
    CLAIMED = "claimed"
    JOINED = "joined"
    FAILED = "failed"
    DONE = "done"
    HAND_BACK = "hand_back"


_ROWS: Mapping[HandoffStep, Mapping[HandoffSignal, HandoffStep]] = {
    HandoffStep.WANTED: {
        HandoffSignal.SAY: HandoffStep.SAYING,
        HandoffSignal.REFER: HandoffStep.REFERRING,
        HandoffSignal.DIAL: HandoffStep.DIALLING,
        HandoffSignal.FAILED: HandoffStep.FAILED,
    },
    HandoffStep.SAYING: {
        HandoffSignal.REFER: HandoffStep.REFERRING,
        HandoffSignal.DIAL: HandoffStep.DIALLING,
        HandoffSignal.CLAIMED: HandoffStep.CLAIMED,
    },
    HandoffStep.REFERRING: {
        HandoffSignal.DIAL: HandoffStep.DIALLING,
        HandoffSignal.FAILED: HandoffStep.FAILED,
        HandoffSignal.DONE: HandoffStep.DONE,
    },
    HandoffStep.DIALLING: {
        HandoffSignal.ANSWERED: HandoffStep.ANNOUNCING,
        # Who answers a blind call has taken it.
        HandoffSignal.ACCEPTED: HandoffStep.BRIDGED,
        HandoffSignal.CLAIMED: HandoffStep.CLAIMED,
        HandoffSignal.FAILED: HandoffStep.FAILED,
    },
    HandoffStep.ANNOUNCING: {
        HandoffSignal.HEARD: HandoffStep.ASKING,
        # A key is good before the announcement's end; speech would be its echo.
        HandoffSignal.ACCEPTED: HandoffStep.BRIDGED,
        HandoffSignal.CLAIMED: HandoffStep.CLAIMED,
        HandoffSignal.FAILED: HandoffStep.FAILED,
    },
    HandoffStep.ASKING: {
        HandoffSignal.ACCEPTED: HandoffStep.BRIDGED,
        HandoffSignal.CLAIMED: HandoffStep.CLAIMED,
        HandoffSignal.FAILED: HandoffStep.FAILED,
    },
    HandoffStep.CLAIMED: {
        HandoffSignal.JOINED: HandoffStep.JOINED,
        HandoffSignal.FAILED: HandoffStep.FAILED,
    },
    HandoffStep.BRIDGED: {
        HandoffSignal.HAND_BACK: HandoffStep.HANDED_BACK,
        HandoffSignal.DONE: HandoffStep.DONE,
        HandoffSignal.FAILED: HandoffStep.FAILED,
    },
}

STEPS: Mapping[tuple[HandoffStep, HandoffSignal], HandoffStep] = MappingProxyType(
    {(old, signal): new for old, row in _ROWS.items() for signal, new in row.items()}
)

ENDS = (HandoffStep.FAILED, HandoffStep.JOINED, HandoffStep.DONE, HandoffStep.HANDED_BACK)

WITH_PERSON = frozenset(
    {HandoffStep.DIALLING, HandoffStep.ANNOUNCING, HandoffStep.ASKING, HandoffStep.BRIDGED}
)
"""Steps in which there is a call to the person."""


@dataclass(slots=True)
class HandoffState(Generic[CallT, EffectT]):
    """The state of a handing over that goes on, of calls whose state is a ``CallT``.

    Attributes:
        since_ns: when it was asked for.
        target: to whom.
        ending: how the call ends if it succeeds.
        on_failed: how the call goes on if it does not.
        summary: spoken to the person.
        call_id: the model's tool call, which gets an output.
        way: how it is done now.
        accepted: the far end took our REFER.
        failure: why it failed.
        bridged_ns: since when caller and person hear each other.
        keys: of the person's, held back as they may become a code.
        heard: an arm's agent was heard.
        urgent: the caller is in an emergency: no trunk's limit holds the call to the person up.
    """

    since_ns: int
    target: HandoffTarget
    ending: CallEnd
    on_failed: Callable[[CallT, "HandoffState[CallT, EffectT]", int], Iterator[EffectT]]
    summary: str = ""
    call_id: ToolCallId | None = None
    step: HandoffStep = HandoffStep.WANTED
    way: Way = Way.BLIND
    accepted: bool = False
    failure: str = ""
    bridged_ns: int = 0
    keys: str = ""
    heard: bool = False
    urgent: bool = False

    @property
    def begun(self) -> bool:
        """Whether the agent has left the talk, if only for now."""
        return self.step is not HandoffStep.WANTED

    @property
    def has_person(self) -> bool:
        """Whether there is a call to the person."""
        return self.step in WITH_PERSON


def diagram() -> str:
    """Draw the table as a Mermaid state diagram, ending in a newline."""
    arrows: dict[tuple[HandoffStep, HandoffStep], list[HandoffSignal]] = {}
    for (old, signal), new in STEPS.items():
        arrows.setdefault((old, new), []).append(signal)
    lines = ["stateDiagram-v2", f"    [*] --> {HandoffStep.WANTED}"]
    lines += [f"    {old} --> {new}: {', '.join(why)}" for (old, new), why in arrows.items()]
    lines += [f"    {end} --> [*]" for end in ENDS]
    return "\n".join(lines) + "\n"
