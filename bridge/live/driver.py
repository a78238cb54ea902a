"""Drives one call's core: inputs go in one after the other, effects are carried out in order.

:class:`CallTimers` carries out the core's timers on the running loop.
"""

import asyncio
import contextvars
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
    """Caller audio that the session was sent, and of which the core is told with its next input.

    Attributes:
        ms: sent so far.
        captured_ns: when the last of it was captured.
        pieces: since the core was told.
    """

    ms: float = 0.0
    captured_ns: int = 0
    pieces: int = 0


class CoreDriver:
    """Drives one core; in the loop's thread.

    Args:
        core: of the call.
        clock: of its inputs.
        call_id: that log lines carry.
        fail: gives the session up for an error, and returns what the core is told of it.

    Attributes:
        appended: written where audio is appended, 25 times a second in every call.
        carry_out: what is done about each type of effect; to be filled in before the first input.
        context: that effects are carried out in.
    """

    def __init__(
        self,
        core: CallCore,
        clock: Clock,
        call_id: str,
        fail: Callable[[UpstreamError], SessionFailed],
    ) -> None:
        self.appended = Appended()
        # The key is the handler's argument type, which a mapping's type cannot say.
        self.carry_out: Mapping[type[Effect], Callable[[Any], None]] = {}
        # Log lines carry the call; to enter a context costs a tenth of binding it anew each time.
        self.context = contextvars.copy_context()
        self.context.run(bind_call, call_id)
        self._core = core
        self._clock = clock
        self._fail = fail
        self._pending: deque[Input] = deque()
        self._feeding = False

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
        given = len(self._pending) if at_ns is not None else 0
        while self._pending:
            now_ns = at_ns if given > 0 and at_ns is not None else self._clock.now_ns()
            given -= 1
            for effect in self._core.feed(self._pending.popleft(), now_ns):
                self._carry_out_one(effect)

    def _carry_out_one(self, effect: Effect) -> None:
        try:
            self.carry_out[type(effect)](effect)
        except UpstreamError as error:
            self._pending.append(self._fail(error))
        except BridgeError as error:
            log.warning("effect_failed", effect=type(effect).__name__, error=error.what)
            self._pending.append(SessionFailed(error))


class CallTimers:
    """Starts and stops them.

    Args:
        feed: told of each that fires.
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
