"""The input side of a session: the audio buffer, and turn detection by level.

The clock is the audio received in this session, in milliseconds: faster or slower delivery changes
nothing. Onset is known after 60 ms of speech (the gate's three frames), the end after the asked-for
silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bridge.audio.levels import SpeechGate, Started
from bridge.realtime.session_config import ManualTurns, SemanticVad, ServerVad, TurnDetection

# server_vad's threshold 0 to 1 as a level; 0.5, the default, is the gate's own default of -45 dBFS.
_QUIETEST_DBFS = -65.0
_THRESHOLD_SPAN_DB = 40.0
_DEFAULT_THRESHOLD = 0.5
_DEFAULT_PREFIX_MS = 300
_DEFAULT_SILENCE_MS = 500
# semantic_vad judges by meaning; this stands in for it. The documented longest waits are 8/4/2 s.
_SEMANTIC_SILENCE_MS = {"low": 1200, "medium": 700, "high": 400, "auto": 700}
_KEPT_WHILE_SILENT_MS = 1000


@dataclass(frozen=True, slots=True)
class Onset:
    """The caller began to speak; prefix padding included."""

    start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechPause:
    """The caller stopped; ``audio`` is (n,) int16 from the onset, prefix included, until now."""

    end_ms: int
    audio: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Idle:
    """The caller stayed silent for the idle time; ``audio`` is what is held of that silence."""

    start_ms: int
    end_ms: int
    audio: NDArray[np.int16]


class InputBuffer:
    """Audio received and not yet committed.

    Args:
        rate_hz: of the session's input format.
        detection: None is the server's default, server_vad.
        received_ms: where the session's clock stands.
    """

    def __init__(
        self, rate_hz: int, detection: TurnDetection | None, received_ms: float = 0.0
    ) -> None:
        self.rate_hz = rate_hz
        self._start_ms = received_ms
        self._received_samples = 0
        self._held = np.zeros(0, np.int16)
        self._waiting = np.zeros(0, np.int16)
        self._silent_from_ms: float | None = None
        self._set_detection(detection)

    @property
    def received_ms(self) -> float:
        """The session's clock."""
        return self._start_ms + self._received_samples * 1000 / self.rate_hz

    @property
    def held_ms(self) -> float:
        """How much audio a commit would take now."""
        return (self._held.size + self._waiting.size) * 1000 / self.rate_hz

    def successor(self, rate_hz: int, detection: TurnDetection | None) -> "InputBuffer":
        """Make the buffer that takes over when format or turn detection change; what is held stays.

        Held audio of another rate is dropped: the real service takes no format change in mid-turn.
        """
        self._settle()
        other = InputBuffer(rate_hz, detection, self.received_ms)
        if rate_hz == self.rate_hz:
            other._held = self._held
        other._silent_from_ms = self._silent_from_ms
        return other

    def expect_caller(self, *, after_ms: float | None) -> None:
        """Begin to count the idle time, or stop.

        Args:
            after_ms: how long the agent is still heard; None while it is still being generated.
        """
        self._silent_from_ms = None if after_ms is None else self.received_ms + after_ms

    def feed(self, samples: NDArray[np.int16]) -> Iterator[Onset | SpeechPause | Idle]:
        """Take audio and yield what it decided, each at its own place in the stream.

        Args:
            samples: (n,) int16 at ``rate_hz``.
        """
        gate = self._gate
        if gate is None:
            self._take(samples)
            return
        waiting = np.concatenate([self._waiting, samples])
        whole = waiting.size - waiting.size % gate.frame_samples
        self._waiting = waiting[whole:]
        for frame in waiting[:whole].reshape(-1, gate.frame_samples):
            self._take(frame)
            event = gate.feed(frame)
            if isinstance(event, Started):
                self._silent_from_ms = None
                yield self._begin(event.at_samples)
            elif event is not None:
                yield SpeechPause(round(self.received_ms), self.take_all())
            elif not gate.speaking:
                if self._silent_from_ms is not None and self._is_idle(self._silent_from_ms):
                    start_ms, self._silent_from_ms = round(self._silent_from_ms), None
                    yield Idle(start_ms, round(self.received_ms), self.take_all())
                self._trim(self.rate_hz * _KEPT_WHILE_SILENT_MS // 1000 + self._prefix_samples)

    def _is_idle(self, since_ms: float) -> bool:
        detection = self._detection
        timeout_ms = detection.idle_timeout_ms if isinstance(detection, ServerVad) else None
        return timeout_ms is not None and self.received_ms >= since_ms + timeout_ms

    def take_all(self) -> NDArray[np.int16]:
        """Empty the buffer into the caller's hands: (n,) int16."""
        held, self._held = self._held, np.zeros(0, np.int16)
        return held

    def commit(self) -> NDArray[np.int16]:
        """Empty the buffer in the middle of whatever is going on in it: (n,) int16."""
        self._settle()
        held = self.take_all()
        self.clear()
        return held

    def clear(self) -> None:
        """Throw the buffer away, with any speech that was going on in it."""
        self._settle()
        self._held = np.zeros(0, np.int16)
        self._set_detection(self._detection)

    def _set_detection(self, detection: TurnDetection | None) -> None:
        self._detection = detection
        # The gate counts from its own start.
        self._gate_start_samples = self._received_samples
        self._gate, prefix_ms = _gate_for(self.rate_hz, detection)
        self._prefix_samples = self.rate_hz * prefix_ms // 1000

    def _begin(self, gate_samples: int) -> Onset:
        onset_samples = self._gate_start_samples + gate_samples
        since_samples = self._received_samples - onset_samples
        self._trim(since_samples + self._prefix_samples)
        start_samples = self._received_samples - self._held.size
        return Onset(round(self._start_ms + start_samples * 1000 / self.rate_hz))

    def _settle(self) -> None:
        """Count audio that waits for the rest of its frame as received."""
        waiting, self._waiting = self._waiting, np.zeros(0, np.int16)
        self._take(waiting)

    def _take(self, samples: NDArray[np.int16]) -> None:
        self._received_samples += samples.size
        self._held = np.concatenate([self._held, samples])

    def _trim(self, kept_samples: int) -> None:
        if self._held.size > kept_samples:
            self._held = self._held[self._held.size - kept_samples :]


def _gate_for(rate_hz: int, detection: TurnDetection | None) -> tuple[SpeechGate | None, int]:
    """Return the gate (None for manual turns) and the prefix padding in ms."""
    match detection:
        case ManualTurns():
            return None, 0
        case SemanticVad(eagerness=eagerness):
            silence_ms = _SEMANTIC_SILENCE_MS[eagerness or "auto"]
            return SpeechGate(rate_hz, hangover_ms=silence_ms), _DEFAULT_PREFIX_MS
        case _:
            vad = detection or ServerVad()
            threshold = _or_default(vad.threshold, _DEFAULT_THRESHOLD)
            gate = SpeechGate(
                rate_hz,
                threshold_dbfs=_QUIETEST_DBFS + _THRESHOLD_SPAN_DB * threshold,
                hangover_ms=_or_default(vad.silence_duration_ms, _DEFAULT_SILENCE_MS),
            )
            return gate, _or_default(vad.prefix_padding_ms, _DEFAULT_PREFIX_MS)


N = TypeVar("N", int, float)


def _or_default(value: N | None, default: N) -> N:
    return default if value is None else value
