"""Times of one agent turn, from the caller's last sound to the first audible sample.

Times are monotonic nanoseconds; the stages of one turn add up to its total.
"""

from dataclasses import dataclass

from bridge.clock import NS_PER_MS
from bridge.engine.effects import TurnMeasured


@dataclass(frozen=True, slots=True)
class InputClock:
    """Ties the server's audio clock (ms of audio received) to ours, at the last append.

    Attributes:
        total_ms: audio sent in this session so far.
        captured_ns: when its last sample was captured.
    """

    total_ms: float
    captured_ns: int

    def at(self, audio_ms: float) -> int:
        """Return when the sample at ``audio_ms`` of the session's input was captured."""
        return self.captured_ns - round((self.total_ms - audio_ms) * NS_PER_MS)


@dataclass(slots=True)
class TurnClock:
    """Marks of one agent turn; a mark that never came is None.

    Attributes:
        last_sound_ns: the caller's last sound.
        stopped_ns: speech_stopped (or a bare commit) was received.
        answered_ns: the call was answered; set on the greeting's clock alone.
        created_ns: the turn's first response began.
        resumed_ns: its latest response began (later than the first after a tool call).
        delta_ns: first audio of the latest response.
    """

    last_sound_ns: int | None = None
    stopped_ns: int | None = None
    answered_ns: int | None = None
    created_ns: int | None = None
    resumed_ns: int | None = None
    delta_ns: int | None = None

    def response_created(self, now_ns: int) -> None:
        """Mark a response of this turn."""
        if self.created_ns is None:
            self.created_ns = now_ns
        self.resumed_ns = now_ns
        self.delta_ns = None

    def audio_received(self, now_ns: int) -> None:
        """Mark audio; the first of a response counts."""
        if self.delta_ns is None:
            self.delta_ns = now_ns

    def measure(self, audible_ns: int) -> TurnMeasured | None:
        """Sum the turn up.

        Args:
            audible_ns: when PJSIP took the first sample.

        Returns:
            Stages ``endpoint``, ``model``, ``tool`` (first to last response, only after tools),
            ``first_delta`` and ``pacing``, as far as both their ends are known; for the greeting
            its delay alone. None where nothing can be told.
        """
        if self.answered_ns is not None:
            return TurnMeasured(greeting_ns=audible_ns - self.answered_ns)
        after_tools = self.created_ns != self.resumed_ns
        spans = {
            "endpoint": (self.last_sound_ns, self.stopped_ns),
            "model": (self.stopped_ns, self.created_ns),
            "tool": (self.created_ns, self.resumed_ns) if after_tools else (None, None),
            "first_delta": (self.resumed_ns, self.delta_ns),
            "pacing": (self.delta_ns, audible_ns),
        }
        stages_ns = {
            stage: end - start
            for stage, (start, end) in spans.items()
            if start is not None and end is not None
        }
        if not stages_ns:
            return None
        total_ns = None if self.last_sound_ns is None else audible_ns - self.last_sound_ns
        return TurnMeasured(stages_ns, total_ns)
