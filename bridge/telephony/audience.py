"""Queues a live call's stereo frames for each listener; a slow one loses the oldest.

The call never waits: the pump puts frames in, and what finds no room pushes out what came first.
Loop's thread.
"""

import asyncio
from collections import deque
from contextlib import suppress

import numpy as np

from bridge.audio.resample import PHONE_HZ
from bridge.audio.supervisor_frames import FRAME_MS, ListenFrame
from bridge.telephony.linked_rows import mixed
from bridge.telephony.ports import Samples

_QUEUED_FRAMES = 50
"""A second: a browser that is later than that would rather hear what is said now."""


_CALLER_ALONE = np.array([1, 0], dtype=np.int16)


class Listener:
    """One listener of one call.

    Args:
        at_ms: since the call's answer, of the first frame.
        by: who it is.
        private: nobody but the audit learns that they listen.
        rate_hz: of what they hear.

    Attributes:
        lost_frames: that a slow listener did not take in time.
        without_agent: they hear the caller alone. Who talks in the agent's place would hear
            themselves else, late.
        without_guest: they don't hear who talks beside the agent: it is they.
        deaf: they hear nothing, while what is said is confidential.
    """

    def __init__(
        self, at_ms: int, by: str = "", *, private: bool = False, rate_hz: int = PHONE_HZ
    ) -> None:
        self.by = by
        self.private = private
        self.without_agent = self.without_guest = self.deaf = False
        self.lost_frames = 0
        self._at_ms = at_ms
        self._frame_samples = rate_hz * FRAME_MS // 1000
        self._sequence = 0
        self._frames: deque[ListenFrame] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def queued_frames(self) -> int:
        """Frames that wait to be taken."""
        return len(self._frames)

    def take(self, stereo: Samples) -> None:
        """Queue audio, int16, n a multiple of 20 ms; never blocks.

        Args:
            stereo: shape (n, 2): caller, agent as heard; a guest's voice may be the third column.
        """
        stereo = in_stereo(stereo, without_guest=self.without_guest)
        if self.deaf:
            stereo = np.zeros_like(stereo)
        elif self.without_agent:
            stereo = stereo * _CALLER_ALONE
        for start in range(0, len(stereo), self._frame_samples):
            at_ms = self._at_ms + self._sequence * FRAME_MS
            frame = ListenFrame(self._sequence, at_ms, stereo[start : start + self._frame_samples])
            self._sequence += 1
            self._frames.append(frame)
            if len(self._frames) > _QUEUED_FRAMES:
                self._frames.popleft()
                self.lost_frames += 1
        self._changed.set()

    def close(self) -> None:
        """Have :meth:`get` end, once what is queued was taken."""
        self._closed = True
        self._changed.set()

    async def get(self, within_s: float | None = None) -> ListenFrame | None:
        """Wait for the next frame; None after :meth:`close`, or if there is none in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self._frames and not self._closed:
                    self._changed.clear()
                    await self._changed.wait()
        return self._frames.popleft() if self._frames else None


def in_stereo(sound: Samples, *, without_guest: bool) -> Samples:
    """Return what an audience hears of a call, shape (n, 2): caller, and agent with the guest.

    Args:
        sound: shape (n, 2) or (n, 3): the third is a guest.
        without_guest: leave them out.
    """
    stereo = sound[:, :2]
    if sound.shape[1] == 2 or without_guest:
        return stereo
    return np.stack([stereo[:, 0], mixed(stereo[:, 1], sound[:, 2])], axis=1)
