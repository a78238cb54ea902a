"""The stereo recorder: caller left, agent as heard right; one thread writes the files of all calls.

The tick hands over one batch for all calls and goes on. What is queued is bounded; when the disk
can't keep up, batches are dropped and counted, and silence of the same length keeps the two
channels on the clock. A file is written about once a second, a marker beside it at once.
"""

import contextlib
import enum
import errno
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from bridge.audio.markers import SUFFIX, MarkerWriter
from bridge.audio.resample import PHONE_HZ
from bridge.audio.wav import WavWriter
from bridge.descriptors import out_of_descriptors
from bridge.errors import InfrastructureError

log = structlog.get_logger(__name__)

_QUEUED_BYTES = 64 * 1024 * 1024
"""About 10 s of 200 calls."""

_WRITTEN_S = 1
"""What is written to a file at once: 200 calls make 200 writes a second, not 10,000."""


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StopReason(enum.StrEnum):
    """Why a recording ended before its call; a metric label."""

    DISK_FULL = "disk_full"
    DISK_ERROR = "disk_error"
    NO_DESCRIPTORS = "no_descriptors"


@dataclass(frozen=True, slots=True)
class _Batch:
    """Silent frames that each recorder is owed (None: nobody is), then a block of each."""

    recorders: Sequence["Recorder"]
    owed_samples: Sequence[int] | None
    stereo: npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _Note:
    """A line for a recorder's file of markers."""

    recorder: "Recorder"
    line: bytes


class RecordingDesk:
    """The writing thread; it runs while a recorder is open.

    Recorders are made, and given audio, in the loop's thread; they may be closed in any.
    """

    def __init__(self) -> None:
        self._entries: queue.SimpleQueue[_Batch | _Note | Recorder] = queue.SimpleQueue()
        self._put_bytes = 0  # written by the loop's thread alone
        self._taken_bytes = 0  # written by ours alone
        self._owing = False
        self._open = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def queued_bytes(self) -> int:
        """Audio that waits for the thread."""
        return self._put_bytes - self._taken_bytes

    def open(self) -> None:
        """Count a recorder in, and have a thread."""
        with self._lock:
            self._open += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
                self._thread.start()

    def append(self, recorders: Sequence["Recorder"], stereo: npt.NDArray[np.int16]) -> None:
        """Queue the same time of several calls; never blocks.

        Args:
            recorders: their recorders.
            stereo: (recorders, n, 2) int16 at their rate; not changed afterwards.
        """
        count = stereo.shape[1]
        if self.queued_bytes + stereo.nbytes > _QUEUED_BYTES:
            for recorder in recorders:
                recorder.drop(count)
            return
        owed = [each.take_owed() for each in recorders] if self._owing else None
        self._put_bytes += stereo.nbytes
        self._entries.put(_Batch(recorders, owed, stereo))
        for recorder in recorders:
            recorder.samples += count

    def note(self, recorder: "Recorder", line: bytes) -> None:
        """Queue a marker's line behind the audio that came before it."""
        if self.queued_bytes + len(line) <= _QUEUED_BYTES:
            self._put_bytes += len(line)
            self._entries.put(_Note(recorder, line))

    def note_owed(self) -> None:
        """Learn that a recorder is owed silence."""
        self._owing = True

    def close(self, recorder: "Recorder") -> None:
        """Have a recorder's file ended behind all that is queued."""
        self._entries.put(recorder)

    def _run(self) -> None:
        while True:
            entry = self._entries.get()
            if isinstance(entry, _Batch):
                self._taken_bytes += entry.stereo.nbytes
                for number, recorder in enumerate(entry.recorders):
                    owed = 0 if entry.owed_samples is None else entry.owed_samples[number]
                    recorder.take(owed, entry.stereo[number])
                continue
            if isinstance(entry, _Note):
                self._taken_bytes += len(entry.line)
                entry.recorder.take_note(entry.line)
                continue
            with self._lock:
                self._open -= 1
                last = self._open == 0
                ending = self._thread if last else None
                if last:
                    self._thread = None
            entry.end(ending)
            if last:
                return


SHARED_DESK = RecordingDesk()
"""The one of this process."""


class Recorder:
    """Writes one call's audio to a 16-bit stereo WAV file, and markers beside it.

    Args:
        outgoing_first: what we sent is the left channel (a softphone is the caller itself).
        rate_hz: of the call's audio, and of the file.
        on_stopped: hears, in the writing thread, that the disk refused.

    Attributes:
        dropped_blocks: blocks that were replaced with silence.
        samples: frames taken in, the dropped ones included.
        paused: silence is to stand for what comes.
        failed: the disk refused; the call goes on without a recording.
    """

    def __init__(
        self,
        path: Path,
        *,
        outgoing_first: bool = False,
        rate_hz: int = PHONE_HZ,
        desk: RecordingDesk = SHARED_DESK,
        on_stopped: Callable[[StopReason], None] = lambda reason: None,
    ) -> None:
        self.path = path
        self.rate_hz = rate_hz
        self.desk = desk
        self.dropped_blocks = 0
        self.samples = 0
        self.paused = False
        self.failed = False
        self._on_stopped = on_stopped
        self._step = -1 if outgoing_first else 1
        self._owed_samples = 0
        self._closed = False
        self._ended = threading.Event()
        self._ending: threading.Thread | None = None
        # The desk's thread alone:
        self._wav: WavWriter | None = None
        self._markers: MarkerWriter | None = None
        self._waiting: list[npt.NDArray[np.int16]] = []
        self._waiting_samples = 0
        desk.open()

    def append(self, stereo: npt.NDArray[np.int16]) -> None:
        """Queue a block, shape (n, 2) int16; never blocks."""
        self.desk.append((self,), stereo[np.newaxis])

    def owe(self, samples: int) -> None:
        """Have so many frames of silence stand before the next block."""
        self.samples += samples
        self._owed_samples += samples
        self.desk.note_owed()

    def drop(self, samples: int) -> None:
        """Count a block that found no room; silence takes its place."""
        self.dropped_blocks += 1
        self.owe(samples)

    def mark(self, line: bytes) -> None:
        """Queue a line for the markers (:mod:`bridge.audio.markers`); never blocks."""
        if not self._closed:
            self.desk.note(self, line)

    def take_owed(self) -> int:
        """Return the silence that is owed, and owe it no longer."""
        owed, self._owed_samples = self._owed_samples, 0
        return owed

    def close(self) -> None:
        """End the file. Blocks until the last block is on disk: call it in a worker thread."""
        if not self._closed:
            self._closed = True
            self.desk.close(self)
        self._ended.wait()
        if self._ending is not None:
            self._ending.join()

    # In the desk's thread

    def take(self, silent_samples: int, stereo: npt.NDArray[np.int16]) -> None:
        """Write silence and a block, or keep them until there is enough to write."""
        if self.failed:
            return
        try:
            if silent_samples:
                self._write_waiting()
                self._write_silence(silent_samples)
            self._waiting.append(stereo)
            self._waiting_samples += len(stereo)
            if self._waiting_samples >= _WRITTEN_S * self.rate_hz:
                self._write_waiting()
        except (OSError, InfrastructureError) as error:
            self._fail(error)

    def take_note(self, line: bytes) -> None:
        """Write a marker, also where the audio's disk is full: a line may find room."""
        try:
            if self._markers is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._markers = MarkerWriter(self.path.with_suffix(SUFFIX))
            self._markers.append(line)
        except OSError as error:
            self._fail(error)

    def end(self, ending: threading.Thread | None) -> None:
        """Write what is left and close the files. ``ending``: the thread that ends with it."""
        self._ending = ending
        try:
            if not self.failed:
                self._write_waiting()
                self._write_silence(self.take_owed())
                self._file().close()
        except (OSError, InfrastructureError) as error:
            self._fail(error)
        finally:
            if self._markers is not None:
                self._markers.close()
            self._ended.set()

    def _file(self) -> WavWriter:
        if self._wav is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._wav = WavWriter(self.path, channels=2, rate_hz=self.rate_hz)
        return self._wav

    def _write_waiting(self) -> None:
        if self._waiting:
            whole = np.concatenate(self._waiting)[:, :: self._step]
            self._waiting, self._waiting_samples = [], 0
            self._file().append(whole)

    def _write_silence(self, samples: int) -> None:
        for start in range(0, samples, self.rate_hz):
            self._file().append(np.zeros((min(self.rate_hz, samples - start), 2), np.int16))

    def _fail(self, error: Exception) -> None:
        """Give the recording up, and log that once."""
        if self.failed:
            return
        self.failed = True
        self._waiting = []
        reason = _reason(error)
        log.error("recording_stopped", path=str(self.path), reason=reason, error=str(error))
        if self._wav is not None:
            with contextlib.suppress(OSError):
                self._wav.close()
        self._on_stopped(reason)


def _reason(error: Exception) -> StopReason:
    if out_of_descriptors(error):
        return StopReason.NO_DESCRIPTORS
    cause = error if isinstance(error, OSError) else error.__cause__
    full = isinstance(cause, OSError) and cause.errno in _FULL
    return StopReason.DISK_FULL if full else StopReason.DISK_ERROR
