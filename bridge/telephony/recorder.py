"""The stereo recorder: caller left, agent as heard right, written by a thread of its own.

The tick hands over blocks and goes on. The queue is bounded; when the disk can't keep up, blocks
are dropped and counted, and silence of the same length keeps the two channels on the clock.
"""

import queue
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from bridge.audio.wav import WavWriter
from bridge.telephony.ports import RATE_HZ

log = structlog.get_logger(__name__)

_QUEUED_BLOCKS = 3000
"""About 30 s of ticks."""


class Recorder:
    """Writes one call's audio to a 16-bit stereo WAV file at 8 kHz.

    Attributes:
        dropped_blocks: blocks that were replaced with silence.
        failed: the disk refused; the call goes on without a recording.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped_blocks = 0
        self.samples = 0
        self.failed = False
        self._owed_silence = 0
        self._blocks: queue.Queue[npt.NDArray[np.int16] | None] = queue.Queue(_QUEUED_BLOCKS)
        self._thread = threading.Thread(
            target=self._write, name=f"recorder-{path.stem}", daemon=True
        )
        self._thread.start()

    def append(self, stereo: npt.NDArray[np.int16]) -> None:
        """Queue a block, shape (n, 2) int16 at 8 kHz; never blocks."""
        self.samples += len(stereo)
        if self.failed:
            return
        if self._owed_silence:
            stereo = np.concatenate([np.zeros((self._owed_silence, 2), np.int16), stereo])
        try:
            self._blocks.put_nowait(stereo)
            self._owed_silence = 0
        except queue.Full:
            self.dropped_blocks += 1
            self._owed_silence = len(stereo)

    def close(self) -> None:
        """End the file. Blocks until the last block is on disk: call it in a worker thread."""
        self._blocks.put(None)
        self._thread.join()

    def _write(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with WavWriter(self.path, channels=2, rate_hz=RATE_HZ) as wav:
                while (block := self._blocks.get()) is not None:
                    wav.append(block)
            return
        except OSError as error:
            self.failed = True
            log.error("recording_failed", path=str(self.path), error=error.strerror)
        while self._blocks.get() is not None:
            continue
