"""One connection of a call to its Realtime service, and the closing of those given up.

What is true for one connection alone is in its :class:`Link`, which is replaced, never reset.
Loop's thread.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

from bridge.engine.inputs import SessionFailed
from bridge.errors import BridgeError, UpstreamError
from bridge.live.appends import Appends
from bridge.live.upstream.models import ArmModel
from bridge.realtime.events import ServerEvent
from bridge.session.realtime import RealtimeSession
from bridge.session.tokens import Credential
from bridge.telemetry.labels import UpstreamPhase
from bridge.telemetry.metrics.upstream import UpstreamMetrics

_EARLY_EVENTS = 64
"""Events before a session is taken into use; a server sends three of them."""


@dataclass(slots=True)
class Link:
    """A connection to a Realtime session.

    Attributes:
        arm: that it is counted for; the call may have left that since.
        session: None once it is over.
        session_id: by its server.
        lost: why it ended by itself.
        early: events before it was taken into use.
        oddities: kinds of them that were reported.
    """

    arm: str
    choice: ArmModel
    credential: Credential
    appends: Appends
    session: RealtimeSession | None = None
    session_id: str = ""
    lost: UpstreamError | None = None
    early: deque[ServerEvent] = field(default_factory=lambda: deque(maxlen=_EARLY_EVENTS))
    oddities: set[str] = field(default_factory=set)

    def failed(self, error: BridgeError) -> SessionFailed:
        """Return the core's input for the session's end.

        The service took this key once, so a refusal of it now (close 1008 or 3000) is no last word:
        the next opening shows it.
        """
        return SessionFailed(error, token_expires_ns=self.credential.expires_ns)


class Endings:
    """The connections of one call that are being closed, each in a task of its own.

    Args:
        metrics: their ends are counted there.
        name: for the tasks.
    """

    def __init__(self, metrics: UpstreamMetrics, name: str) -> None:
        self._metrics = metrics
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def end(self, link: Link | None) -> None:
        """Close a link's session; apart from each other both are freed once that is over."""
        if link is not None and link.session is not None:
            session, link.session = link.session, None
            self._keep(self._close(link.arm, session), "close-session")

    def count_failed(self, link: Link) -> None:
        """Count the end of a connection that no session came of."""
        if link.session is not None:
            session, link.session = link.session, None
            self._count_closed(link.arm, session, UpstreamPhase.SETUP)

    def cancel(self, opening: asyncio.Task[None] | None) -> None:
        """Cancel the opening of a session."""
        # A task that reports its own end is not to be cancelled by what follows from it.
        if opening is not None and opening is not asyncio.current_task():
            self._keep(_cancelled(opening), "cancel-open")

    async def aclose(self) -> None:
        """Wait until everything is closed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _close(self, arm: str, session: RealtimeSession) -> None:
        await session.aclose()
        self._count_closed(arm, session, UpstreamPhase.CLOSE)

    def _count_closed(self, arm: str, session: RealtimeSession, phase: UpstreamPhase) -> None:
        """Count the end of a connection; nothing where there was none."""
        if session.closure is not None:
            code = session.closure.code
            self._metrics.disconnected(arm, close_code=code, phase=phase)

    def _keep(self, work: Coroutine[object, object, None], what: str) -> None:
        task = asyncio.create_task(work, name=f"{what}-{self._name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait({task})
