"""The gate in the caller's way to the session: open while nobody has a reason to keep it closed."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bridge.clock import NS_PER_MS, Clock
from bridge.engine.effects import Effect, PauseUplink, ResumeUplink, UplinkHold


class UplinkGate:
    """Whether a piece of the caller's audio may leave.

    Args:
        piece_ms: audio in one piece.
    """

    def __init__(self, clock: Clock, piece_ms: int) -> None:
        self._clock = clock
        self._piece_ns = piece_ms * NS_PER_MS
        self._holds: set[UplinkHold] = set()
        self._open_since_ns: int | None = None

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType({PauseUplink: self._pause, ResumeUplink: self._resume})

    def lets_through(self, captured_ns: int) -> bool:
        """Return whether a piece may leave: all of it was said since the gate was opened.

        Args:
            captured_ns: when its last sample came in, monotonic.
        """
        if self._holds:
            return False
        if self._open_since_ns is None:
            return True
        if captured_ns - self._piece_ns < self._open_since_ns:
            return False
        self._open_since_ns = None
        return True

    def _pause(self, effect: PauseUplink) -> None:
        self._holds.add(effect.reason)

    def _resume(self, effect: ResumeUplink) -> None:
        if effect.reason in self._holds:
            self._holds.discard(effect.reason)
            self._open_since_ns = self._clock.now_ns()
