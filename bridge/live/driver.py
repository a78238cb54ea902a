"""Drives one call's core: inputs go in one after the other, effects are carried out in order.

:class:`CallTimers` carries out the core's timers on the running loop.
"""

import asyncio
import contextvars
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import structlog

from bridge.clock import Clock
from bridge.engine.core import CallCore
from bridge.engine.effects import Effect, StartTimer, StopTimer
from bridge.engine.inputs import Input, SessionFailed, TimerFired
from bridge.engine.media import AudioAppended
from bridge.engine.timers import Timer
from bridge.errors import BridgeError, UpstreamError
from bridge.telemetry.logs import bind_call

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Appended:
    """Caller audio sent to the session since the core's last input, which the next one reports.

    Attributes:
        ms: sent so far.
        captured_ns: when the last of it was captured.
        pieces: since the latest report to the core.
    """

    ms: float = 0.0
    captured_ns: int = 0
    pieces: int = 0


class Handlers(dict[type[Effect], Callable[[Any], None]]):  # the key is its argument's type
    """The handler of each type of effect in one call, owned by the call.

    Args:
        table: methods of the call's parts.
        fail: gives the session up for an error, and returns what the core is fed for it.
    """

    def __init__(
        self,
        table: Mapping[type[Effect], Callable[[Any], None]],
        fail: Callable[[UpstreamError], SessionFailed],
    ) -> None:
        super().__init__(table)
        self.fail = fail


class CoreDriver:
    """Drives one core; in the loop's thread.

    The parts of a call hold its driver, which finds them by a weak reference to their handlers.
    So a call that is let go is freed at once, by reference counts: no circle waits for the cycle
    collector, which at 20 calls a second would come to 60 MiB, and a tick of 100 ms. What is fed
    after that is dropped.

    Args:
        core: of the call.
        clock: of its inputs.
        call_id: that log lines carry.

    Attributes:
        appended: written where audio is appended, 25 times a second in every call.
        context: that effects are carried out in.
    """

    def __init__(self, core: CallCore, clock: Clock, call_id: str) -> None:
        self.appended = Appended()
        # Log lines carry the call; to enter a context costs a tenth of binding it anew each time.
        self.context = contextvars.copy_context()
        self.context.run(bind_call, call_id)
        self._core = core
        self._clock = clock
        self._handlers: Callable[[], Handlers | None] = lambda: None
        self._pending: deque[Input] = deque()
        self._feeding = False

    def attach(self, handlers: Handlers) -> None:
        """Carry effects out so while the call keeps its handlers; to be called before any input."""
        self._handlers = weakref.ref(handlers)

    def feed(self, given: Input, at_ns: int | None = None) -> None:
        """Feed the core; what carrying out its effects brings in is fed after them.

        Appends come before it in one piece: the core reads their clock only at other events, and
        there are 25 a second in every call.

        Args:
            given: what happened.
            at_ns: when, if not now. Nothing was fed since.
        """
        appended = self.appended
        if appended.pieces:
            pieces, appended.pieces = appended.pieces, 0
            self._pending.append(AudioAppended(appended.ms, appended.captured_ns, pieces))
        self._pending.append(given)
        if self._feeding:
            return
        self._feeding = True
        try:
            self.context.run(self._feed_pending, at_ns)
        finally:
            self._feeding = False

    def put(self, given: Input) -> None:
        """Feed the core, from within an effect, after all that waits."""
        self._pending.append(given)

    def put_first(self, given: Input) -> None:
        """Feed the core, from within an effect, before all that waits."""
        self._pending.appendleft(given)

    def _feed_pending(self, at_ns: int | None) -> None:
        handlers = self._handlers()
        if handlers is None:
            self._pending.clear()
            return
        given = len(self._pending) if at_ns is not None else 0
        while self._pending:
            now_ns = at_ns if given > 0 and at_ns is not None else self._clock.now_ns()
            given -= 1
            for effect in self._core.feed(self._pending.popleft(), now_ns):
                self._carry_out(handlers, effect)

    def _carry_out(self, handlers: Handlers, effect: Effect) -> None:
        try:
            handlers[type(effect)](effect)
        except UpstreamError as error:
            self._pending.append(handlers.fail(error))
        except BridgeError as error:
            log.warning("effect_failed", effect=type(effect).__name__, error=error.what)
            self._pending.append(SessionFailed(error))


class CallTimers:
    """Starts and stops them.

    Args:
        feed: takes each that fires.
    """

    def __init__(self, feed: Callable[[TimerFired], None]) -> None:
        self._feed = feed
        self._running: dict[Timer, asyncio.TimerHandle] = {}

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                StartTimer: self._start,
                StopTimer: lambda effect: self._stop(effect.timer),
            }
        )

    def close(self) -> None:
        """Stop all of them."""
        for timer in list(self._running):
            self._stop(timer)

    def _start(self, effect: StartTimer) -> None:
        self._stop(effect.timer)
        self._running[effect.timer] = asyncio.get_running_loop().call_later(
            effect.after_ms / 1000, self._feed, TimerFired(effect.timer)
        )

    def _stop(self, timer: Timer) -> None:
        handle = self._running.pop(timer, None)
        if handle is not None:
            handle.cancel()
