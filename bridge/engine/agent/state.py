"""The state of the responses of a session: the one that runs, and those that are due."""

from collections import deque
from dataclasses import dataclass, field

from bridge.realtime.ids import ItemId, ResponseId
from bridge.realtime.session_config import ResponseConfig

UNNAMED = ResponseId("")
"""Stands for a response that the service claims to run, and never announced."""


@dataclass(slots=True)
class Response:
    """A response that the server runs."""

    response_id: ResponseId
    cancelled: bool = False
    asked: ResponseConfig | None = None
    """What it was asked for with; None where the server made it by itself."""
    audible: bool = False
    """Audio of it was given to the playout."""
    deltas: int = 0
    """Pieces of audio that came; ``lost_deltas``: that came and could not be decoded."""
    lost_deltas: int = 0
    protected: bool = False
    """The caller does not cut it."""
    pausing: bool = False
    """Its voice has fallen quiet, and it may be over (full duplex alone)."""
    mcp_calls: set[ItemId] = field(default_factory=set)
    """MCP calls that the server runs for it now."""


@dataclass(slots=True)
class ResponseBook:
    """The responses of a session: the one that runs, and those that are due.

    Attributes:
        running: from response.created to response.done, cancelled or not.
        finished: ids that must not come back to life by a repeated event.
        requested: what we asked for and the server has not begun yet.
        unwanted: that one is cancelled as soon as it exists.
        expected: the server owes one by itself (turn detection ended the caller's turn).
        owed: we want one as soon as the server may take the request.
        owed_config: as it was asked for, where the server refused that.
        claims: how often, since one began, the server claimed that an unknown one runs.
        retried: the overdue one was asked for again.
        retry: what a failed one is asked for again with, after a wait.
    """

    running: Response | None = None
    finished: deque[ResponseId] = field(default_factory=lambda: deque(maxlen=16))
    requested: ResponseConfig | None = None
    unwanted: bool = False
    expected: bool = False
    owed: bool = False
    owed_config: ResponseConfig | None = None
    claims: int = 0
    retried: bool = False
    retry: ResponseConfig | None = None

    @property
    def active(self) -> Response | None:
        """The running response, unless it was cancelled."""
        return self.running if self.running is not None and not self.running.cancelled else None

    @property
    def awaited(self) -> bool:
        """Whether the server has yet to begin a response."""
        return self.expected or self.requested is not None or self.retry is not None

    @property
    def blocked(self) -> bool:
        """Whether a response is owed, and only the end of a cancelled one stands against it."""
        cancelled = self.running is not None and self.running.cancelled
        return self.owed and cancelled and not self.awaited

    def active_is(self, response_id: ResponseId) -> bool:
        """Return whether ``response_id`` is the active response."""
        return self.active is not None and self.active.response_id == response_id

    def expect(self) -> None:
        """Await a response that the server makes by itself, in the place of what was owed."""
        self.expected, self.retried = True, False
        self.owed, self.owed_config = False, None

    def expect_none(self) -> None:
        """Await no response that the server would make by itself."""
        self.expected = False

    def retry_with(self, config: ResponseConfig) -> None:
        """Await the time at which a failed response is asked for again."""
        self.retry = config

    def take_retry(self) -> ResponseConfig | None:
        """Return what to ask with, as that time has come."""
        config, self.retry = self.retry, None
        return config

    def give_up_awaited(self) -> None:
        """Await neither a response of the server's own nor a retry."""
        self.expected, self.retry = False, None

    def finish(self) -> None:
        """Forget the running response."""
        if self.running is not None:
            self.finished.append(self.running.response_id)
            self.running = None
