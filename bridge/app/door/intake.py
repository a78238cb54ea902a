"""Decides for the SIP door, HTTP and metrics whether this node takes new calls, with the reason."""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.errors import Fault, NotPlaced, Outcome


@dataclass(frozen=True, slots=True)
class IntakeClosed:
    """A reason to take no new call.

    Attributes:
        label: in metrics and logs.
        reason: at `/readyz`.
        phrase: of the 503.
    """

    label: str
    reason: str
    phrase: str


AT_CAPACITY = IntakeClosed("at_capacity", "at capacity", "At Capacity")
DRAINING = IntakeClosed("draining", "draining", "Draining")
NO_DESCRIPTORS = IntakeClosed("no_descriptors", "no file descriptor left", "No Descriptors")
NO_AUDIO = IntakeClosed("no_audio", "its audio stands still", "No Audio")
SHUTTING_DOWN = IntakeClosed("shutdown", "shutting down", "Shutting Down")


@dataclass(frozen=True, slots=True)
class InviteRefused:
    """The final response to an INVITE that its route refuses, or that has no route."""

    sip_code: int
    phrase: str
    outcome: Outcome
    reason: str
    fault: Fault


NO_ROUTE = InviteRefused(404, "No Dialplan", Outcome.REJECTED_NO_ROUTE, "no_route", Fault.CONFIG)
LOOP = InviteRefused(482, "Loop Detected", Outcome.REJECTED_NO_ROUTE, "loop", Fault.CONFIG)
"""RFC 3261 section 21.4.20: it left a bridge before, and would leave it again."""
TOO_MANY_HOPS = InviteRefused(
    483, "Too Many Hops", Outcome.REJECTED_NO_ROUTE, NotPlaced.TOO_MANY_HOPS, Fault.CONFIG
)
"""RFC 3261 section 16.3: it would go on, and may not."""
LINE_FULL = InviteRefused(503, "Line Full", Outcome.REJECTED_BUSY, "line_full", Fault.NONE)


class Intake:
    """Takes calls up to a limit, until it is closed; it never opens again.

    Args:
        held: returns the calls that are here now, those not yet answered included.
        unable: returns why no call could be held just now, None where it could.

    Attributes:
        limit: calls at once.
    """

    def __init__(
        self, held: Callable[[], int], unable: Callable[[], IntakeClosed | None] = lambda: None
    ) -> None:
        self.limit = 0
        self._held = held
        self._unable = unable
        self._closed: IntakeClosed | None = None

    @property
    def draining(self) -> bool:
        """Whether new calls are refused for good."""
        return self._closed is not None

    def close(self, reason: IntakeClosed) -> None:
        """Take no new calls from now on; a later reason takes the place of an earlier one."""
        self._closed = reason

    def closed(self) -> IntakeClosed | None:
        """Return why a new call would be refused now; None if it would be taken."""
        if self._closed is not None:
            return self._closed
        if (unable := self._unable()) is not None:
            return unable
        return AT_CAPACITY if self._held() >= self.limit else None
