"""The timers of one call's core, on the running loop."""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bridge.engine.effects import Effect, StartTimer, StopTimer
from bridge.engine.inputs import TimerFired
from bridge.engine.timers import Timer


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
