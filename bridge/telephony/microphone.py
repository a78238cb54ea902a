"""A supervisor's voice on its way into a call: from network frames to the call's playout.

Frames come unevenly, over TCP and from another clock than PJSIP's. The first ones of a burst wait
until ``PREFILL_MS`` are there; from then on what lies ahead in the playout evens the network out.
If it runs dry it fades out, and the next frames wait again. If it grows, silent frames are left
out, and in the end loud ones: a supervisor who hears the answers late talks into them.

It goes the way of the agent's audio, so a supervisor needs no row of the rings and no conference
port, and nothing in the conference changes when they come or go: the caller hears no click and no
other level (measured in tests/calls/test_supervision.py). Loop's thread.
"""

from itertools import count

import numpy as np

from bridge.audio.supervisor_frames import TALK_BYTES, TALK_HZ, TalkFrame
from bridge.realtime.ids import ItemId
from bridge.telephony.pump import Pump

SUPERVISOR_ITEM = "bridge_supervisor"
"""What its items' names begin with: ours, unknown to every session."""

PREFILL_MS = 80
"""Two late frames of a busy Wi-Fi; the mouth-to-ear delay stays below 150 ms on one site."""

_QUIET_MS, _MOST_MS = 160, 260
"""Ahead in the playout: silence is left out beyond the first, everything beyond the second."""

_SILENT_PEAK = 300
"""-40 dBFS: breath and rooms."""

_FADE_SAMPLES = TALK_HZ * 5 // 1000
_BYTES_A_MS = TALK_HZ * 2 // 1000

_bursts = count(1)


class Microphone:
    """One supervisor's voice in one call.

    Args:
        pump: moves the call's audio.
        row: the call's.
        prefill_ms: that a burst waits for.

    Attributes:
        lost_frames: that were left out.
    """

    def __init__(self, pump: Pump, row: int, *, prefill_ms: int = PREFILL_MS) -> None:
        self.lost_frames = 0
        self._pump = pump
        self._row = row
        self._prefill_bytes = prefill_ms * _BYTES_A_MS
        self._waiting: list[bytes] = []
        self._item: ItemId | None = None
        self._last = -1

    def push(self, frame: TalkFrame) -> None:
        """Take a frame; one that came before is left alone."""
        if frame.sequence <= self._last:
            return
        self._last = frame.sequence
        if self._item is not None:
            ahead_ms = self._pump.downlink.queued_ms(self._row)
            if ahead_ms > 0:
                self._play(frame.audio, self._item, ahead_ms)
                return
            self._item = None
        self._waiting.append(frame.audio)
        if sum(map(len, self._waiting)) >= self._prefill_bytes:
            burst, self._waiting = b"".join(self._waiting), []
            self._item = ItemId(f"{SUPERVISOR_ITEM}_{next(_bursts)}")
            self._pump.downlink.play(self._row, self._item, 0, _faded_in(burst))
            self._pump.downlink.fade_when_dry(self._row)

    def _play(self, audio: bytes, item: ItemId, ahead_ms: float) -> None:
        too_late = ahead_ms > _MOST_MS or (ahead_ms > _QUIET_MS and _is_silent(audio))
        if too_late:
            self.lost_frames += len(audio) // TALK_BYTES
            return
        self._pump.downlink.play(self._row, item, 0, audio)


def _is_silent(audio: bytes) -> bool:
    return int(np.abs(np.frombuffer(audio, dtype="<i2").astype(np.int32)).max()) < _SILENT_PEAK


def _faded_in(audio: bytes) -> bytes:
    samples = np.frombuffer(audio, dtype="<i2").astype(np.float64)
    fade = min(_FADE_SAMPLES, samples.size)
    samples[:fade] *= np.linspace(0, 1, fade)
    return samples.astype("<i2").tobytes()
