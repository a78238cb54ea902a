"""The appends of one connection: those that wait for the socket, and the times of the latest.

Asked about at the end of each sound of the caller's, and no more: an append is numbered, and its
times are kept for :data:`KEPT`, which is longer than it takes to find that a sound is over. Loop's
thread.
"""

from collections import deque
from collections.abc import Callable

from bridge.clock import NS_PER_MS
from bridge.engine.media import LastSoundSent

KEPT = 24
"""Appends whose times are known: 480 ms of the shortest ones. A sound is over after 300 ms of quiet
(:data:`bridge.audio.sounds.HANGOVER_MS`)."""

_WAITING = 1000
_FRAME_SLACK_NS = 10 * NS_PER_MS
"""Half a frame: the end of a sound and the end of the append that holds it differ by the
conference's ticks, which shake."""


_Waiting = tuple[int, int, int]
"""Number, captured_ns, handed_ns: plain tuples, as there are 25 a second in every call."""
_Sent = tuple[int, int, int]
"""captured_ns, handed_ns, written_ns."""


class Appends:
    """Numbers appends and follows them to the socket.

    Args:
        on_sound_sent: called for each sound's end, once the socket has taken it.
    """

    def __init__(self, on_sound_sent: Callable[[LastSoundSent], None]) -> None:
        self._on_sound_sent = on_sound_sent
        self._number = 0
        self._waiting: deque[_Waiting] = deque(maxlen=_WAITING)
        self._sent: deque[_Sent] = deque(maxlen=KEPT)
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
        self._waiting.append((self._number, captured_ns, now_ns))

    def sent(self, number: int, written_ns: int) -> int | None:
        """Note that the socket took an append; those before it that did not come were dropped.

        Returns:
            When its last sample was captured; None if it was skipped.
        """
        while self._waiting and self._waiting[0][0] <= number:
            waiting, captured_ns, handed_ns = self._waiting.popleft()
            if waiting == number:
                self._sent.append((captured_ns, handed_ns, written_ns))
                if self._followed is not None:
                    self._report_followed(number, handed_ns, written_ns)
                return captured_ns
        return None

    def sound_ended(self, at_ns: int) -> None:
        """Report the append that holds a sound's end: at once, or when the socket takes it."""
        self._followed = None
        earliest_ns = at_ns - _FRAME_SLACK_NS
        if len(self._sent) == KEPT and self._sent[0][0] >= earliest_ns:
            return  # reported so late that the right one may be forgotten
        for captured_ns, handed_ns, written_ns in self._sent:
            if captured_ns >= earliest_ns:
                self._on_sound_sent(LastSoundSent(at_ns, handed_ns, written_ns))
                return
        for number, captured_ns, _ in self._waiting:
            if captured_ns >= earliest_ns:
                self._followed = number, at_ns
                return

    def _report_followed(self, number: int, handed_ns: int, written_ns: int) -> None:
        assert self._followed is not None
        followed, at_ns = self._followed
        if number < followed:
            return
        self._followed = None
        if number == followed:  # else it was dropped
            self._on_sound_sent(LastSoundSent(at_ns, handed_ns, written_ns))
