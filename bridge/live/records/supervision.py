"""Records a call's supervisors: actions, marks, and the list of those that watch."""

import json
from collections.abc import Mapping

from bridge.live.recording import Fields
from bridge.live.records.events import CallEvents
from bridge.live.records.summary import CallSummary, FlaggedMoment, SupervisorAct, WrapUp
from bridge.redaction.turns import Redactor
from bridge.store.calls import CallStore


class SupervisionRecord:
    """Records what one call's supervisors did.

    Args:
        events: where it is recorded.
        summary: where it is put down.
        store: has the call's state, and the flags of all calls.
        redactor: of their words.
    """

    def __init__(
        self, events: CallEvents, summary: CallSummary, store: CallStore, redactor: Redactor
    ) -> None:
        self._events = events
        self._summary = summary
        self._store = store
        self._redactor = redactor
        self._watching: dict[str, int] | None = None

    def flag(self, by: str, note: str, at_ms: int | None) -> None:
        """Mark the call to be looked at, at a moment since its begin; None for now."""
        if at_ms is None:
            at_ms = self._events.elapsed_ms()
        note = self._redactor.redact(note)
        self._summary.flags.append(FlaggedMoment(at_ms, by, note))
        fields: dict[str, str | int | None] = {"by": by, "marked_ms": at_ms, "text": note or None}
        self._events.record("flagged", fields)
        self._store.update(self._summary.call_id, {"flagged": len(self._summary.flags)})
        self._store.flag(self._summary.call_id, {**fields, "route": self._summary.route})

    def wrap_up(self, made: WrapUp) -> None:
        """Note what came of the call; the last one counts. Its note comes redacted."""
        self._summary.wrap_up = made
        self._events.record("wrapped_up", {"by": made.by, "code": made.code, "text": made.note})

    def acted(self, by: str, action: str, text: str, details: Fields) -> None:
        """Note what a supervisor did; ``text`` are the words of it."""
        text = self._redactor.redact(text)
        self._summary.supervised.append(SupervisorAct(self._events.elapsed_ms(), by, action, text))
        fields = {**details, "by": by, "action": action, "text": text or None}
        self._events.record("supervisor_acted", fields)

    def watched(self, does: Mapping[str, str]) -> None:
        """Note who watches: what each of them does, by name, and since when they are there."""
        before, now_ms = self._watching or {}, self._events.wall_ms()
        self._watching = {by: before.get(by, now_ms) for by in does}
        fields: dict[str, str | int] = {
            "watchers": len(does),
            "watched_by": json.dumps(does) if does else "",
            "watched_since": json.dumps(self._watching) if does else "",
        }
        self._store.update(self._summary.call_id, fields)

    @property
    def at_end(self) -> Mapping[str, str | int]:
        """What the call's state says of watchers once it is over: nobody, if there were any."""
        if self._watching is None:
            return {}
        return {"watchers": 0, "watched_by": "", "watched_since": ""}
