"""Records a call's turns: each speaker's words as they may be written, and interruptions.

An interruption is counted by how the conversation went on after it:

    cut -> answered in time         recovered
        -> answered late, or never  late
        -> the session is lost      session_lost
        -> the cut is refused       truncation_refused

The caller who leaves, or is handed to a person, before an answer was due proves nothing.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.engine.effects import Effect
from bridge.engine.news import (
    AgentInterrupted,
    Interrupted,
    InterruptionJudged,
    Speaker,
    TurnSpoken,
)
from bridge.live.recording import NOT_RECORDED, CallRecording, Fields
from bridge.live.records.summary import CallSummary, Turn
from bridge.realtime.conversation import NOT_TRANSCRIBED
from bridge.realtime.ids import ItemId
from bridge.redaction.turns import Redactor
from bridge.telemetry.labels import By, InterruptionKind, InterruptionResult
from bridge.telemetry.metrics import TurnMetrics

log = structlog.get_logger(__name__)


CUT_OFF_MS = 1_000
"""A caller who speaks within an answer's first second has heard nothing to object to: they were not
done. It takes up to half a second to be sure that they speak (`bridge/routing/barge_in.py`)."""

LATE_MS = 5_000
"""A caller who waits for longer hangs up or asks again (`NEEDS.md` section 4)."""
_REFUSED = "item_truncate_invalid_item_id"
_LEAVES_AGENT = frozenset({"handoff_started", "supervisor_joined"})


class TurnRecord:
    """Records one call's turns.

    Args:
        record: puts an event into the call's record.
        summary: where they are put down.
        metrics: counts interruptions.
        recording: knows what must not be written.
        redactor: of what was said.
        cut_off: called where the agent took a pause of the caller's for the end of their turn.
        judged: our own barge-in policy judges the kind of an interruption, some time after it.
        transcribed: the service is asked for the caller's words.
    """

    def __init__(
        self,
        record: Callable[[str, Fields], None],
        summary: CallSummary,
        metrics: TurnMetrics,
        recording: CallRecording,
        redactor: Redactor,
        cut_off: Callable[[], None],
        *,
        judged: bool,
        transcribed: bool,
    ) -> None:
        self._record = record
        self._cut_off = cut_off
        self._summary = summary
        self._metrics = metrics
        self._recording = recording
        self._redactor = redactor
        self._judged = judged
        self._transcribed = transcribed
        self._turns: dict[tuple[Speaker, ItemId], Turn] = {}
        self._said: dict[bool, tuple[ItemId, str]] = {}  # by the caller, or to them: the last
        self._asked: dict[ItemId, str] = {}
        self._may_be_cut_off = False
        """By the answer to a turn, once; who begins at once with the greeting is not."""
        self._wordless: dict[ItemId, int] = {}
        """Turns of the caller's whose words are awaited: how many turns were put down before."""

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are only recorded, here."""
        return MappingProxyType(
            {
                TurnSpoken: self._on_turn,
                Interrupted: self._on_interrupted,
                AgentInterrupted: self._on_agent_interrupted,
                InterruptionJudged: self._on_judged,
            }
        )

    def committed(self, item_id: ItemId) -> None:
        """Note that the session has a turn of the caller's.

        Its words may come after the answer's: what it answers itself is known now.
        """
        if item_id in self._asked:
            return  # it comes again, maybe after its words
        self._asked[item_id] = self._last_said(by_caller=False)
        self._may_be_cut_off = True
        if self._transcribed:
            self._wordless[item_id] = len(self._summary.turns)

    def transcribed(self, item_id: ItemId) -> None:
        """Note that the words of a turn of the caller's came; there may be none in it."""
        self._wordless.pop(item_id, None)

    def not_transcribed(self, item_id: ItemId) -> None:
        """Put down a turn of the caller's whose words nobody will ever know."""
        at = self._wordless.pop(item_id, None)
        if at is None:
            return
        turn = self._turns[Speaker.CALLER, item_id] = Turn(Speaker.CALLER, NOT_TRANSCRIBED)
        self._summary.turns.insert(at, turn)
        self._record_turn(item_id, turn)

    def ended(self, heard_ms: Callable[[ItemId], int]) -> None:
        """Put down the turns whose words never came, and the length heard of those cut by the end.

        Args:
            heard_ms: returns how much of an item the caller heard.
        """
        for item_id in reversed(list(self._wordless)):
            self.not_transcribed(item_id)
        for (speaker, item_id), turn in self._turns.items():
            if speaker is Speaker.AGENT and turn.heard_ms is None:
                turn.heard_ms = heard_ms(item_id)
                self._record_turn(item_id, turn)

    def session_restored(self) -> None:
        """Forget the caller's turns: a new session may give the next one the id of an old one.

        What the old one left without words the new one is sent to hear, or its loss stands for it.
        """
        self._wordless.clear()
        self._asked.clear()
        self._turns = {key: turn for key, turn in self._turns.items() if key[0] is Speaker.AGENT}

    def _on_turn(self, effect: TurnSpoken) -> None:
        turn = self._turns.get((effect.speaker, effect.item_id))
        text = self._may_be_written(effect, turn)
        if turn is None:
            turn = Turn(effect.speaker, text)
            self._turns[effect.speaker, effect.item_id] = turn
            self._summary.turns.append(turn)
        turn.text = text
        turn.latency_ms = effect.latency_ms
        turn.heard_ms = effect.heard_ms
        turn.interrupted = effect.interrupted
        self._record_turn(effect.item_id, turn)

    def _record_turn(self, item_id: ItemId, turn: Turn) -> None:
        self._record(
            "turn",
            {
                "speaker": turn.speaker.value,
                "item_id": item_id,
                "text": turn.text,
                "latency_ms": turn.latency_ms,
                "heard_ms": turn.heard_ms,
                "interrupted": int(turn.interrupted),
            },
        )

    def _may_be_written(self, effect: TurnSpoken, known: Turn | None) -> str:
        """Return a turn's text as it may be written; ``known`` is what is written of it by now."""
        by_caller = effect.speaker is Speaker.CALLER
        before, self._said[by_caller] = self._said.get(by_caller), (effect.item_id, effect.text)
        if effect.speaker is not Speaker.BRIDGE and self._recording.withholds(effect.item_id):
            return NOT_RECORDED
        if known is not None and self._said[by_caller] == before:
            return known.text
        asked = self._asked.get(effect.item_id) or self._last_said(by_caller=not by_caller)
        return self._redactor.redact(effect.text, asked)

    def _last_said(self, *, by_caller: bool) -> str:
        _, text = self._said.get(by_caller, (None, ""))
        return text

    def _on_interrupted(self, effect: Interrupted) -> None:
        if effect.item_id is None:
            return  # nothing audible was cut
        if effect.by is not Speaker.CALLER:
            self._record("agent_cut", {"by": effect.by.value, "played_ms": effect.played_ms})
            log.info("agent_cut", by=effect.by.value, played_ms=effect.played_ms)
            return
        if effect.spoken and effect.played_ms < CUT_OFF_MS:
            self._note_cut_off()
        self._summary.interruptions += 1
        self._metrics.stopped(self._summary.arm_in_use, effect.stop_ns)
        if not self._judged:
            self._metrics.interrupted(
                self._summary.arm_in_use, by=By.CALLER, kind=InterruptionKind.TRUE
            )
        self._record("interrupted", {"played_ms": effect.played_ms})
        log.info("interrupted", played_ms=effect.played_ms, stop_us=effect.stop_ns // 1000)

    def _on_agent_interrupted(self, effect: AgentInterrupted) -> None:
        self._metrics.interrupted(self._summary.arm_in_use, by=By.AGENT, kind=InterruptionKind.TRUE)
        self._record("agent_interrupted", {})
        self._note_cut_off()

    def _note_cut_off(self) -> None:
        if self._may_be_cut_off:
            self._may_be_cut_off = False
            self._cut_off()

    def _on_judged(self, effect: InterruptionJudged) -> None:
        kind = InterruptionKind(effect.kind.value)
        self._metrics.interrupted(self._summary.arm_in_use, by=By.CALLER, kind=kind)
        self._record("interruption_judged", {"judged_as": kind.value})


class InterruptionWatch:
    """Counts one call's interruptions by how the talk went on; takes the events of the call.

    Args:
        summary: knows the arm in use.
        metrics: where they are counted.
    """

    def __init__(self, summary: CallSummary, metrics: TurnMetrics) -> None:
        self._summary = summary
        self._metrics = metrics
        self._pending = False

    def take(self, kind: str, fields: Fields) -> None:
        """Take an event of the call's stream."""
        if kind == "interrupted":
            # Whoever can be cut off again has spoken since.
            self._settle(InterruptionResult.RECOVERED)
            self._pending = True
        elif kind in _LEAVES_AGENT:
            self._pending = False
        elif (result := _result_of(kind, fields)) is not None:
            self._settle(result)

    def _settle(self, result: InterruptionResult) -> None:
        if self._pending:
            self._pending = False
            self._metrics.went_on(self._summary.arm_in_use, result)


def _result_of(kind: str, fields: Fields) -> InterruptionResult | None:
    match kind:
        case "measured" if (response_ms := fields.get("response_ms")) is not None:
            late = float(response_ms) > LATE_MS
            return InterruptionResult.LATE if late else InterruptionResult.RECOVERED
        case "dead_air" if int(fields["silence_ms"] or 0) > LATE_MS:
            return InterruptionResult.LATE
        case "session_lost":
            return InterruptionResult.SESSION_LOST
        case "upstream_error" if fields["code"] == _REFUSED:
            return InterruptionResult.TRUNCATION_REFUSED
        case _:
            return None
