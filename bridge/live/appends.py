"""The appends of one connection: which of them wait for the socket, and how the latest ones went.

Asked about at the end of each sound of the caller's, and no more: an append is numbered, and its
times are kept for :data:`KEPT`, which is longer than it takes to tell that a sound is over. Loop's
thread.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from bridge.clock import NS_PER_MS
from bridge.engine.inputs import LastSoundSent

KEPT = 32
"""Appends whose times are known: 640 ms of the shortest ones. A sound is over after 300 ms of quiet
(:data:`bridge.audio.sounds.HANGOVER_MS`)."""

_WAITING = 1000
_FRAME_SLACK_NS = 10 * NS_PER_MS
"""Half a frame: the end of a sound and the end of the append that holds it are told apart by the
conference's ticks, which shake."""


class _Append(NamedTuple):
    number: int
    captured_ns: int
    handed_ns: int


class Appends:
    """Numbers appends and follows them to the socket.

    Args:
        on_sound_sent: told of each sound's end, once the socket has taken it.
    """

    def __init__(self, on_sound_sent: Callable[[LastSoundSent], None]) -> None:
        self._on_sound_sent = on_sound_sent
        self._number = 0
        self._waiting: deque[_Append] = deque(maxlen=_WAITING)
        self._sent: deque[tuple[_Append, int]] = deque(maxlen=KEPT)
        self._followed: tuple[int, int] | None = None

    def skip(self) -> None:
        """Count an append of audio that was captured long ago."""
        self._number += 1

    def handed(self, captured_ns: int, now_ns: int) -> None:
        """Count an append.

        Args:
            captured_ns: when its last sample came into the rx ring.
            now_ns: when it is handed to the session.
        """
        self._number += 1
        self._waiting.append(_Append(self._number, captured_ns, now_ns))

    def sent(self, number: int, written_ns: int) -> int | None:
        """Note that the socket took an append; those before it that did not come were dropped.

        Returns:
            When its last sample was captured; None if it was skipped.
        """
        while self._waiting and self._waiting[0][0] <= number:
            append = self._waiting.popleft()
            if append[0] == number:
                self._sent.append((append, written_ns))
                if self._followed is not None:
                    self._tell_followed(append, written_ns)
                return append[1]
        return None

    def sound_ended(self, at_ns: int) -> None:
        """Tell of the append that holds a sound's end: at once, or when the socket takes it."""
        self._followed = None
        for append, written_ns in self._sent:
            if append.captured_ns >= at_ns - _FRAME_SLACK_NS:
                self._on_sound_sent(LastSoundSent(at_ns, append.handed_ns, written_ns))
                return
        for append in self._waiting:
            if append.captured_ns >= at_ns - _FRAME_SLACK_NS:
                self._followed = append.number, at_ns
                return

    def _tell_followed(self, append: _Append, written_ns: int) -> None:
        assert self._followed is not None
        number, at_ns = self._followed
        if append.number < number:
            return
        self._followed = None
        if append.number == number:  # else it was dropped
            self._on_sound_sent(LastSoundSent(at_ns, append.handed_ns, written_ns))
