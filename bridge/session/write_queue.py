"""The bounded queue between a call and its socket.

First in, first out: a commit must not overtake the audio before it. When full, audio gives way,
oldest first, because late audio is worth nothing; a control frame that finds no room is refused,
because a lost cancel or tool result would be silent damage. One writer task takes from it, in the
loop's thread.
"""

import asyncio
from collections import deque
from dataclasses import dataclass


class QueueFull(Exception):
    """A control frame found no room; never leaves `bridge/session/`."""


@dataclass(frozen=True, slots=True)
class QueuedFrame:
    """A frame on its way.

    Attributes:
        text: UTF-8, if it is bytes.
        audio_sequence: number of the audio append, counted from 1; None for control frames.
    """

    text: str | bytes
    audio_sequence: int | None = None


class WriteQueue:
    """Frames that wait for the socket.

    Args:
        limit: frames held at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames: deque[QueuedFrame] = deque()
        self._changed = asyncio.Event()
        self.ended = False
        """Nothing more will be taken."""

    def __len__(self) -> int:
        return len(self._frames)

    def put_control(self, text: str) -> None:
        """Queue a control frame.

        Raises:
            QueueFull: there is no room.
        """
        if len(self._frames) >= self._limit:
            raise QueueFull
        self._append(QueuedFrame(text))

    def put_audio(self, text: str | bytes, sequence: int) -> bool:
        """Queue an audio frame; return whether one (the oldest, or this) was dropped for it."""
        full = len(self._frames) >= self._limit
        if full and not self._drop_oldest_audio():
            return True
        self._append(QueuedFrame(text, sequence))
        return full

    async def get(self) -> QueuedFrame | None:
        """Take the next frame, waiting for one; None when the queue has ended."""
        while not self._frames:
            if self.ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._frames.popleft()

    def end(self) -> int:
        """Keep what control frames wait, drop the audio, then end; return frames dropped."""
        control = [frame for frame in self._frames if frame.audio_sequence is None]
        dropped = len(self._frames) - len(control)
        self._frames = deque(control)
        self.ended = True
        self._changed.set()
        return dropped

    def _append(self, frame: QueuedFrame) -> None:
        self._frames.append(frame)
        self._changed.set()

    def _drop_oldest_audio(self) -> bool:
        for index, frame in enumerate(self._frames):
            if frame.audio_sequence is not None:
                del self._frames[index]
                return True
        return False
