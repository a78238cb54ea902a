"""The state of a call's course: the stage of its SIP side, and the way in which it ends."""

import enum
from dataclasses import dataclass

from bridge.errors import Fault, Outcome


class Stage(enum.Enum):
    """The stage of the SIP side, on which it depends which refusal or goodbye is still possible."""

    NEW = enum.auto()
    RINGING = enum.auto()
    ANSWERING = enum.auto()
    TALKING = enum.auto()
    CLOSED = enum.auto()


@dataclass(frozen=True, slots=True)
class CallEnd:
    """Outcome, fault owner and reason code (a metric label) of a call's end."""

    outcome: Outcome
    fault: Fault
    reason: str
