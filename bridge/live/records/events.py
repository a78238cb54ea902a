"""The events of one call: its stream in Redis, its record's timeline, its recording's markers."""

from collections.abc import Callable, Mapping, Sequence

from bridge.clock import NS_PER_MS, Clock
from bridge.live.recording import CallRecording, Fields
from bridge.redaction.turns import Redactor
from bridge.store.calls import CallStore


class CallEvents:
    """The one door for them.

    Args:
        call_id: whose.
        clock: their times count from now.
        store: has the stream.
        recording: gets a marker for each.
        followers: each takes every event, as (kind, fields).
        redactor: of what somebody said.
        timeline: the record's list of (ms since the call's begin, kind).

    Attributes:
        session_id: of the call's Realtime session now; empty while it has none.
    """

    def __init__(
        self,
        call_id: str,
        clock: Clock,
        store: CallStore,
        recording: CallRecording,
        followers: Sequence[Callable[[str, Fields], None]],
        redactor: Redactor,
        timeline: list[tuple[int, str]],
    ) -> None:
        self._call_id = call_id
        self._clock = clock
        self._store = store
        self._recording = recording
        self._followers = followers
        self._redactor = redactor
        self._timeline = timeline
        self.begun_ns = clock.now_ns()
        self.begun_wall_ms = clock.wall_ns() // NS_PER_MS
        self._answered_ns: int | None = None
        self.session_id = ""

    def elapsed_ms(self) -> int:
        """Return how old the call is."""
        return (self._clock.now_ns() - self.begun_ns) // NS_PER_MS

    def wall_ms(self) -> int:
        """Return the present in ms since the Unix epoch, by the wall clock of the call's begin.

        All times of a call count from one reading, so that a clock which is stepped meanwhile
        gives no record that ends before it begins.
        """
        return self.begun_wall_ms + self.elapsed_ms()

    def answered(self) -> int:
        """Note that the call is answered; return how long that took, ns."""
        self._answered_ns = self._clock.now_ns()
        return self._answered_ns - self.begun_ns

    def talk_ms(self) -> int | None:
        """Return how long ago the call was answered; None before."""
        if self._answered_ns is None:
            return None
        return (self._clock.now_ns() - self._answered_ns) // NS_PER_MS

    def notice(self, kind: str, fields: Fields) -> None:
        """Report to the followers alone what is kept elsewhere, or not at all."""
        for follow in self._followers:
            follow(kind, fields)

    def record(self, kind: str, fields: Mapping[str, str | int | None] | None = None) -> None:
        """Add an event; what somebody said stands in the field ``text``, and is redacted here."""
        text = (fields or {}).get("text")
        if isinstance(text, str):
            fields = {**(fields or {}), "text": self._redactor.redact(text)}
        session = {"session_id": self.session_id or None}
        self._store.event(self._call_id, kind, {**session, **(fields or {})})
        self._recording.mark(kind, fields)
        self.notice(kind, fields or {})
        self._timeline.append((self.elapsed_ms(), kind))
