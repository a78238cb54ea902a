"""Media ports without PJSIP: the test is the audio clock, 20 ms a step."""

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.rings import RingArena, gather
from bridge.clock import ManualClock
from bridge.telephony.linked_rows import RowLinks
from bridge.telephony.ports import ConferencePort, Positions, Samples

RATE_HZ = 8000
AGENT_HZ = 24_000
FRAME_MS = 20

Sound = npt.NDArray[np.int16]


class FakePorts:
    """Rows step when :meth:`step` says so, and do with the rings what PJSIP does.

    Args:
        rows: calls at once.
        first_position: where every row's positions begin (a used row doesn't begin at 0).
        rate_hz: of all rows.
    """

    def __init__(
        self,
        clock: ManualClock,
        rows: int = 4,
        first_position: int = 0,
        rate_hz: int = RATE_HZ,
    ) -> None:
        self.arena = RingArena(rows, rate_hz=rate_hz)
        self._frame_samples = self.arena.frame_samples
        self.rx_positions: Positions = np.full(rows, first_position, dtype=np.int64)
        self.tx_positions: Positions = np.full(rows, first_position, dtype=np.int64)
        self.stamps_ns: Positions = np.zeros(rows, dtype=np.int64)
        self._clock = clock
        self._guests = RowLinks(self._frame_samples)
        self._said: list[deque[Sound]] = [deque() for _ in range(rows)]
        self._taken: list[list[Sound]] = [[] for _ in range(rows)]
        self._heard_ring = np.zeros((rows, self.arena.length_samples), dtype=np.int16)

    def say(self, row: int, sound: Sound) -> None:
        """Queue what the caller says; whole frames."""
        self._said[row].extend(sound.reshape(-1, self._frame_samples))

    def taken(self, row: int) -> Sound:
        """Return all that was taken from a row of ``tx`` so far: what the caller heard."""
        return np.concatenate([np.empty(0, np.int16), *self._taken[row]])

    def step(self, frames: int = 1, then: Callable[[], None] = lambda: None) -> None:
        """Let the audio clock make steps, and call ``then`` (a tick) after each."""
        for _ in range(frames):
            self._clock.advance_ms(FRAME_MS)
            for row in range(self.arena.rows):
                self._step_row(row)
            then()

    def _step_row(self, row: int) -> None:
        index = int(self.tx_positions[row]) % self.arena.length_samples
        place = slice(index, index + self._frame_samples)
        frame = self.arena.tx[row, place].copy()
        self._taken[row].append(frame)
        self._heard_ring[row, place] = frame
        self.arena.tx[row, place] = 0
        silence = np.zeros(self._frame_samples, np.int16)
        said = self._said[row].popleft() if self._said[row] else silence
        self.arena.rx[row, place] = said
        self.tx_positions[row] += self._frame_samples
        self.rx_positions[row] += self._frame_samples
        self.stamps_ns[row] = self._clock.now_ns()

    def refresh(self) -> None: ...

    def open_row(self) -> int:
        return self.arena.acquire()

    def seat(self, row: int, guest: int) -> None:
        self._guests.add(row, guest, self.tx_positions)

    def unseat(self, row: int) -> None:
        self._guests.remove(row)

    def said_by_guests(self, rows: Positions, starts: Positions, count: int) -> Samples | None:
        return self._guests.heard(rows, starts, count, self.heard)

    def connect(self, row: int, audio: ConferencePort) -> None: ...

    def disconnect(self, row: int) -> None: ...

    def close_row(self, row: int) -> None:
        self.arena.release(row)

    def heard(self, rows: Positions, starts: Positions, count: int) -> Samples:
        return gather(self._heard_ring, rows, starts, count)


class Ear:
    """A line's listener that keeps everything, in order."""

    def __init__(self) -> None:
        self.pieces: list[Sound] = []
        self.captured_ns: list[int] = []
        self.playout: list[PlayoutStarted | PlayoutDrained] = []
        self.on_piece: Callable[[], None] = lambda: None

    @property
    def sound(self) -> Sound:
        """All caller audio, 24 kHz."""
        return np.concatenate([np.empty(0, np.int16), *self.pieces])

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        self.pieces.append(np.frombuffer(audio, dtype="<i2").astype(np.int16))
        self.captured_ns.append(captured_ns)
        self.on_piece()

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        self.playout.append(event)
