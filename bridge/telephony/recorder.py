"""The stereo recorder: caller left, agent as heard right, written by a thread of its own.

The tick hands over blocks and goes on. The queue is bounded; when the disk can't keep up, blocks
are dropped and counted, and silence of the same length keeps the two channels on the clock.
"""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from bridge.audio.wav import WavWriter
from bridge.errors import InfrastructureError
from bridge.telephony.ports import RATE_HZ

log = structlog.get_logger(__name__)

_QUEUED_BLOCKS = 3000
"""About 30 s of ticks."""


_Entry = tuple[int, npt.NDArray[np.int16]]
"""Silent frames that are owed, then a block."""


class Recorder:
    """Writes one call's audio to a 16-bit stereo WAV file at 8 kHz.

    Attributes:
        dropped_blocks: blocks that were replaced with silence.
        samples: frames taken in, the dropped ones included.
        failed: the disk refused; the call goes on without a recording.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped_blocks = 0
        self.samples = 0
        self.failed = False
        self._owed_samples = 0
        self._entries: queue.Queue[_Entry | None] = queue.Queue(_QUEUED_BLOCKS)
        self._thread = threading.Thread(target=self._run, name=f"recorder-{path.stem}", daemon=True)
        self._thread.start()

    def append(self, stereo: npt.NDArray[np.int16]) -> None:
        """Queue a block, shape (n, 2) int16 at 8 kHz; never blocks."""
        self.samples += len(stereo)
        if self.failed:
            return
        try:
            self._entries.put_nowait((self._owed_samples, stereo))
            self._owed_samples = 0
        except queue.Full:
            self.dropped_blocks += 1
            self._owed_samples += len(stereo)

    def close(self) -> None:
        """End the file. Blocks until the last block is on disk: call it in a worker thread."""
        if self._owed_samples:
            self._entries.put((self._owed_samples, np.empty((0, 2), np.int16)))
            self._owed_samples = 0
        self._entries.put(None)
        self._thread.join()

    def _run(self) -> None:
        entries = iter(self._entries.get, None)
        try:
            self._write(entries)
        except (OSError, InfrastructureError) as error:
            self.failed = True
            log.error("recording_failed", path=str(self.path), error=str(error))
            for _ in entries:  # so that the queue never fills, and close() finds its end
                continue

    def _write(self, entries: Iterator[_Entry]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with WavWriter(self.path, channels=2, rate_hz=RATE_HZ) as wav:
            for silent_samples, stereo in entries:
                for start in range(0, silent_samples, RATE_HZ):
                    wav.append(np.zeros((min(RATE_HZ, silent_samples - start), 2), np.int16))
                wav.append(stereo)
