"""The state of a session's planned change, and of the fallback where none can be had."""

import enum
from collections import deque
from dataclasses import dataclass

from bridge.engine.call.state import CallEnd
from bridge.routing.fallback import FallbackPolicy


class Spare(enum.Enum):
    """The progress of the second session of a rollover."""

    NONE = enum.auto()
    OPENING = enum.auto()
    READY = enum.auto()


@dataclass(frozen=True, slots=True)
class SpareSession:
    """A second session that stands, to be taken in the place of the present one."""

    session_id: str
    expires_in_ms: int | None = None


@dataclass(slots=True)
class Rollover:
    """The life of the present session.

    Attributes:
        limit_ms: its longest life.
        ready: the spare, once it stands.
    """

    since_ns: int
    limit_ms: int
    spare: Spare = Spare.NONE
    ready: SpareSession | None = None


class FallbackStep(enum.Enum):
    """A step of the fallback for a call whose session can't be had."""

    EXPLAIN = enum.auto()
    TRANSFER = enum.auto()
    APOLOGISE = enum.auto()


@dataclass(slots=True)
class FallbackState:
    """The state of a call's fallback.

    Attributes:
        policy: what is said, and to whom the call goes.
        ending: how it ends here.
        steps: what is yet to be done before.
    """

    policy: FallbackPolicy
    ending: CallEnd
    steps: deque[FallbackStep]
