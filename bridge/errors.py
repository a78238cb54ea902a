"""The one exception tree, and the outcomes that a call can end with.

    BridgeError
    ├── ConfigError            bad settings, dialplan, scenario or script (exit 2)
    ├── InfrastructureError    a port, Redis or a program that we need is not to be had (exit 3)
    ├── ProtocolError          the peer sent something that the Realtime protocol doesn't allow
    ├── UpstreamError          the Realtime session could not be had, or was lost
    └── TelephonyError         PJSIP refused something

Every class carries what the metric label, the log line and the call record need, so that they
agree: :class:`Outcome`, :class:`Fault` owner, and whether trying again can help.
"""

import enum
from typing import ClassVar


class Fault(enum.StrEnum):
    """Who has to act (`NEEDS.md` section 1: whom to call)."""

    NONE = "none"
    CALLER = "caller"
    CARRIER = "carrier"
    BRIDGE = "bridge"
    PROVIDER = "provider"
    TOOL = "tool"
    CONFIG = "config"
    SUPERVISOR = "supervisor"


class Outcome(enum.StrEnum):
    """How a call ended."""

    COMPLETED = "completed"
    TRANSFERRED = "transferred"
    CANCELLED = "cancelled"
    REJECTED_BUSY = "rejected_busy"
    REJECTED_NO_ROUTE = "rejected_no_route"
    SESSION_UNAVAILABLE = "session_unavailable"
    SESSION_LOST = "session_lost"
    MEDIA_FAILED = "media_failed"
    CALLER_LOST = "caller_lost"
    MAX_DURATION = "max_duration"
    SHUTDOWN = "shutdown"
    NODE_LOST = "node_lost"
    INTERNAL_ERROR = "internal_error"


class BridgeError(Exception):
    """Root of everything that this project raises on purpose."""

    exit_code: ClassVar[int] = 3
    outcome: ClassVar[Outcome] = Outcome.INTERNAL_ERROR
    fault: ClassVar[Fault] = Fault.BRIDGE

    def __init__(self, what: str, *, remedy: str = "", retryable: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


class ConfigError(BridgeError):
    """Bad input that a person wrote.

    Args:
        what: the thing and what is wrong with it.
        path: file it was read from, if any.
        line: line in that file, counted from 1, if known.
    """

    exit_code = 2
    fault = Fault.CONFIG

    def __init__(
        self, what: str, *, path: str | None = None, line: int | None = None, remedy: str = ""
    ) -> None:
        super().__init__(what, remedy=remedy)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}: " if self.path and self.line else ""
        if self.path and not self.line:
            place = f"{self.path}: "
        return place + super().__str__()


class InfrastructureError(BridgeError):
    """Something around us that we can't work without is missing."""


class ProtocolError(BridgeError):
    """The peer sent what the Realtime protocol does not allow.

    Args:
        what: what was wrong, without the payload (it may hold speech).
        event_type: the event's ``type`` where it could be read.
        loses_audio: it held a piece of the agent's voice, which the caller won't hear.
    """

    outcome = Outcome.SESSION_LOST
    fault = Fault.PROVIDER

    def __init__(
        self, what: str, *, event_type: str | None = None, loses_audio: bool = False
    ) -> None:
        super().__init__(what)
        self.event_type = event_type
        self.loses_audio = loses_audio


class UpstreamError(BridgeError):
    """The Realtime session could not be opened, or ended by itself.

    Args:
        what: endpoint and what happened.
        code: error code of the Realtime API (``invalid_api_key``) or a word of ours (``timeout``,
            ``refused``, ``http_401``, ``closed``); an enum-like label, never free text.
        close_code: WebSocket close code (RFC 6455 section 7.4), if the connection closed.
        retry_after_ms: how long the peer asks us to wait (RFC 9110 section 10.2.3), if it does.
    """

    outcome = Outcome.SESSION_UNAVAILABLE
    fault = Fault.PROVIDER

    def __init__(
        self,
        what: str,
        *,
        code: str,
        close_code: int | None = None,
        remedy: str = "",
        retryable: bool = False,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(what, remedy=remedy, retryable=retryable)
        self.code = code
        self.close_code = close_code
        self.retry_after_ms = retry_after_ms


class TelephonyError(BridgeError):
    """PJSIP refused an operation."""

    outcome = Outcome.MEDIA_FAILED


class NotPlaced(enum.StrEnum):
    """Why the bridge itself places no call; a label of metrics, and a reason in records."""

    TRUNK_FULL = "trunk_full"
    """As many calls go on with the trunk as its limits allow."""
    TRUNK_TOO_FAST = "trunk_too_fast"
    """The trunk's calls a second are used up."""
    TOO_MANY_HOPS = "too_many_hops"
    """The call that would go on has no hop left (RFC 3261 section 16.3)."""


class CallNotPlacedError(TelephonyError):
    """No INVITE was sent, because the bridge may not send one just now.

    Attributes:
        reason: why.
        trunk: that the call would have gone to; "" for none.
    """

    def __init__(self, reason: NotPlaced, trunk: str) -> None:
        super().__init__(
            f"no call was placed towards {trunk or 'an address of no trunk'}: {reason}"
        )
        self.reason = reason
        self.trunk = trunk
