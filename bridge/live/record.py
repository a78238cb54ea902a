"""The record of one call: what the runner's observations add up to.

One door for what is only to be told: log lines, metrics, the call's hash and event stream in Redis,
and the JSON record that lies beside the recording.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog

from bridge.clock import NS_PER_MS
from bridge.engine.effects import Effect
from bridge.engine.news import (
    AgentInterrupted,
    CallbackWanted,
    CallClosed,
    DigitsCollected,
    GaveUp,
    HumanAsked,
    Interrupted,
    InterruptionJudged,
    MenuChosen,
    PhaseChanged,
    SessionLost,
    SessionRestored,
    SilencePrompted,
    Speaker,
    StateChanged,
    TransitionRefused,
    TurnSpoken,
    UpstreamErrorSeen,
)
from bridge.live.arm_watch import ArmWatch
from bridge.live.caller_waits import CallerWaits
from bridge.live.events import CallEvents
from bridge.live.handoff_record import HandoffRecord
from bridge.live.recording import NOT_RECORDED, CallRecording
from bridge.live.services import Route, Services
from bridge.live.summary import (
    CallSummary,
    Flag,
    LostSession,
    Supervised,
    Turn,
    write_files,
)
from bridge.live.tool_record import ToolRecord
from bridge.live.vitals import Vitals
from bridge.realtime.events import InputCommitted, ResponseDone, ServerEvent, Usage
from bridge.realtime.ids import ItemId
from bridge.redaction.turns import Redactor
from bridge.telemetry.costs import cost_usd, tokens_of
from bridge.telemetry.labels import (
    By,
    Direction,
    DtmfResult,
    InterruptionKind,
)
from bridge.telemetry.metrics import RtpSummary
from bridge.telemetry.quality import estimated_mos
from bridge.telephony.keys import KeyPress
from bridge.telephony.leg import Leg
from bridge.telephony.rtp_stats import RtpDirection

log = structlog.get_logger(__name__)


class CallRecord:
    """Takes what is to be told of one call.

    Args:
        leg: the call; services: where it is told; route: what was decided about it.
        recording: gets a marker for each event, and knows what must not be written.
    """

    def __init__(
        self, leg: Leg, route: Route, services: Services, recording: CallRecording
    ) -> None:
        dialplan = route.dialplan
        self.summary = CallSummary(
            call_id=leg.call_id,
            route=dialplan.name,
            arm=route.arm.name,
            dialect=route.arm.dialect.name,
            called=leg.called,
            model=route.model,
            caller=leg.from_uri,
            sip_call_id=leg.sip_call_id,
            verstat=route.verstat.value,
            keep_days=dialplan.recording.keep_days.model_dump(),
        )
        if route.dealt is not None:
            decision = route.dealt.decision
            self.summary.rollout = decision.flag
            self.summary.rollout_reason = decision.reason.value
            self.summary.rollout_version = decision.version
        self.watch = ArmWatch(
            route.dealt,
            leg.call_id,
            greets=dialplan.agent.greeting is not None and dialplan.consent.disclosure is None,
            wall_ns=services.clock.wall_ns,
        )
        self.vitals = Vitals(
            lambda fields: services.store.update(leg.call_id, fields),
            services.now_wall_ms,
            greets=dialplan.agent.greeting is not None,
        )
        self._recording = recording
        self._redactor = Redactor(frozenset(dialplan.recording.redact))
        self._said: dict[bool, tuple[ItemId, str]] = {}  # by the caller, or to them: the last
        self._asked: dict[ItemId, str] = {}
        self._held = self._watched = False
        self._leg = leg
        self._arm = route.arm.name
        self._model = route.model
        self._services = services
        self._judged = dialplan.agent.barge_in.is_ours
        self._answered_ns: int | None = None
        self._turns: dict[tuple[Speaker, ItemId], Turn] = {}
        self._events = CallEvents(
            leg.call_id,
            services.clock,
            services.store,
            recording,
            self.vitals,
            self._redactor,
            self.summary.events_ms,
        )
        # They tell the events, not this record: a circle would outlive the call.
        tell, metrics = self._events.tell, services.metrics
        self.tools = ToolRecord(tell, self.summary.tools, recording, metrics.tools)
        self._handoffs = HandoffRecord(
            tell,
            self.summary.handoffs,
            self.watch,
            metrics,
            services.clock,
            self._events.elapsed_ms,
        )

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are only told."""
        turns = self._services.metrics.turns
        waits = CallerWaits(
            lambda: self._arm, self.summary, turns, self.event, self._events.elapsed_ms
        )
        return MappingProxyType(
            {
                StateChanged: self._on_state,
                PhaseChanged: self._on_phase,
                TransitionRefused: self._on_refused,
                TurnSpoken: self._on_turn,
                Interrupted: self._on_interrupted,
                AgentInterrupted: self._on_agent_interrupted,
                InterruptionJudged: self._on_judged,
                SilencePrompted: self._on_prompted,
                MenuChosen: self._on_menu_chosen,
                DigitsCollected: self._on_digits_collected,
                HumanAsked: self._on_human_asked,
                UpstreamErrorSeen: self._on_error,
                SessionLost: self._on_session_lost,
                SessionRestored: self._on_session_restored,
                GaveUp: self._on_gave_up,
                CallbackWanted: self._on_callback_wanted,
                **waits.effects,
                **self.tools.effects,
                **self._handoffs.effects,
            }
        )

    def begin(self) -> None:
        """Open the call's state in Redis and count it."""
        summary, leg = self.summary, self._leg
        self._services.metrics.calls.offered(route=summary.route, arm=self._arm)
        summary.started_at_ms = self._services.now_wall_ms()
        self._services.store.begin(
            leg.call_id,
            {
                "dialplan": summary.route,
                "arm": self._arm,
                "dialect": summary.dialect,
                "model": self._model,
                **self._flag_fields(),
                "phase": "idle",
                "started_at": summary.started_at_ms,
                "from": leg.from_uri,
                "to": leg.to_uri,
                "verstat": summary.verstat,
                **self.vitals.begin(),
            },
        )
        log.info("call_offered", route=summary.route, arm=self._arm)

    def answered(self) -> None:
        """Note that the caller's side has our answer."""
        self._answered_ns = self._services.clock.now_ns()
        setup_ns = self._answered_ns - self._events.begun_ns
        calls = self._services.metrics.calls
        calls.answered(route=self.summary.route, arm=self.summary.arm, setup_ns=setup_ns)
        self.summary.codec = self._leg.codec
        self.summary.answered_at_ms = self._services.now_wall_ms()
        self._services.store.update(self._leg.call_id, {"answered_at": self.summary.answered_at_ms})
        if not self._leg.telephone_event:
            self._services.metrics.media.no_telephone_event()
            self.event("no_telephone_event")
            log.warning("no_telephone_event", heard="keys that are told by SIP INFO alone")
        log.info("call_answered", setup_ms=setup_ns // NS_PER_MS, codec=self._leg.codec)

    def rescued(self, route: Route, code: str) -> None:
        """Note that another arm has taken the call over; the first one is answerable for why."""
        summary = self.summary
        self._services.metrics.rollouts.rescued(self._arm, route.arm.name, code)
        self.watch.tell(summary, talk_ms=self.talk_ms(), rescued_by=route.arm.name)
        log.warning("call_rescued", arm=self._arm, by=route.arm.name, code=code)
        self.event("rescued", {"arm": self._arm, "by": route.arm.name, "code": code})
        self._arm, self._model = route.arm.name, route.model
        summary.rescued_by, summary.dialect = route.arm.name, route.arm.dialect.name
        summary.model = route.model
        self._services.store.update(
            self._leg.call_id,
            {
                "rescued_by": summary.rescued_by,
                "dialect": summary.dialect,
                "model": summary.model,
            },
        )

    def on_server_event(self, event: ServerEvent) -> None:
        """Take what is only to be counted or kept of the session's events."""
        match event:
            case ResponseDone(usage=Usage() as usage):
                self._count(usage)
            case InputCommitted():
                # Its words may come after the answer's: what it answers itself is known now.
                self._asked[event.item_id] = self._last_said(by_caller=False)
            case _:
                pass

    def _count(self, usage: Usage) -> None:
        """Count what a response was billed."""
        tokens = tokens_of(usage)
        self.summary.tokens.update(tokens)
        for (kind, modality), count in tokens.items():
            self._services.metrics.upstream.tokens(self._arm, kind, modality, count)

    @property
    def facts(self) -> Mapping[str, str]:
        """What a webhook is told about the call."""
        return {
            "call_id": self._leg.call_id,
            "route": self.summary.route,
            "from": self._leg.from_uri,
            "to": self._leg.called,
        }

    def key(self, press: KeyPress) -> bool:
        """Count a key; return whether it is a new one. Which key it is stands nowhere."""
        result = DtmfResult.IGNORED if press.repeated else DtmfResult.ACCEPTED
        self._services.metrics.media.digit(press.method, result)
        if not press.repeated:
            self.event("digit", {"method": press.method})
        return not press.repeated

    def held(self, *, held: bool) -> None:
        """Note that the caller put the call on hold, or took it back."""
        if held is not self._held:
            self._held = held
            self.event("caller_held" if held else "caller_resumed")

    def event(self, kind: str, fields: Mapping[str, str | int | None] | None = None) -> None:
        """Tell an event (:meth:`bridge.live.events.CallEvents.tell`)."""
        self._events.tell(kind, fields)

    def redact(self, text: str) -> str:
        """Return words as they may be told."""
        return self._redactor.redact(text)

    def flag(self, by: str, note: str, at_ms: int | None) -> None:
        """Mark the call to be looked at, at a moment since its begin; None for now."""
        if at_ms is None:
            at_ms = self._events.elapsed_ms()
        note = self._redactor.redact(note)
        self.summary.flags.append(Flag(at_ms, by, note))
        told: dict[str, str | int | None] = {"by": by, "marked_ms": at_ms, "text": note or None}
        self.event("flagged", told)
        self._services.store.update(self._leg.call_id, {"flagged": len(self.summary.flags)})
        self._services.store.flag(self._leg.call_id, {**told, "route": self.summary.route})

    def supervised(
        self, by: str, action: str, text: str, details: Mapping[str, str | int | None]
    ) -> None:
        """Note what a supervisor did; ``text`` are the words of it."""
        text = self._redactor.redact(text)
        self.summary.supervised.append(Supervised(self._events.elapsed_ms(), by, action, text))
        told = {**details, "by": by, "action": action, "text": text or None}
        self.event("supervisor_acted", told)

    def watched(self, does: Mapping[str, str]) -> None:
        """Note who watches: what each of them does, by name."""
        self._watched = True
        names = json.dumps(does) if does else ""
        told: dict[str, str | int] = {"watchers": len(does), "watched_by": names}
        self._services.store.update(self._leg.call_id, told)

    def closed(self, effect: CallClosed) -> None:
        """Note how the call ended."""
        summary = self.summary
        self.watch.tell(self.summary, talk_ms=self.talk_ms())
        summary.outcome, summary.fault = effect.outcome.value, effect.fault.value
        summary.reason = effect.reason
        if self._recording.begun:
            summary.recording = str(self._recording.path)
        summary.ended_at_ms = self._services.now_wall_ms()
        duration_ns = self._services.clock.now_ns() - self._events.begun_ns
        summary.duration_ms = duration_ns // NS_PER_MS
        summary.cost_usd = cost_usd(summary.tokens, self._services.models.find(self._model))
        self._take_rtp()
        self._handoffs.leave_queue()
        if summary.answered_at_ms is not None:
            silence_ns = (summary.longest_silence_ms or 0) * NS_PER_MS
            self._services.metrics.turns.longest_silence(self._arm, silence_ns)
        self._services.metrics.calls.ended(
            route=summary.route,
            arm=summary.arm,
            outcome=effect.outcome,
            reason=effect.reason,
            fault=effect.fault,
            duration_ns=duration_ns,
        )
        ended = {"outcome": summary.outcome, "reason": effect.reason, **summary.figures()}
        self.event("ended", ended)
        self._services.store.end(
            self._leg.call_id,
            {
                "outcome": summary.outcome,
                "fault": summary.fault,
                "ended_at": summary.ended_at_ms,
                **({"watchers": 0, "watched_by": ""} if self._watched else {}),
            },
        )
        log.info("call_ended", outcome=summary.outcome, fault=summary.fault, reason=effect.reason)

    def write(self, directory: Path) -> None:
        """Write the call's files. Blocks: call it in a worker thread.

        Raises:
            OSError: one could not be written.
        """
        self.summary.recording_stopped = self._recording.stopped
        write_files(self.summary, directory)

    def _take_rtp(self) -> None:
        """Sum up the RTP of the call, which is over."""
        rtp = self._leg.rtp
        if rtp is None:
            return
        media = self._services.metrics.media
        for direction, figures in ((Direction.IN, rtp.received), (Direction.OUT, rtp.sent)):
            mos = _mos(figures, rtp.one_way_ms)
            self.summary.mos[direction.value] = mos
            media.rtp_ended(
                RtpSummary(
                    direction, figures.packets, figures.lost, figures.late, figures.jitter_ns, mos
                )
            )
        if self.summary.answered_at_ms is not None and rtp.is_one_way:
            media.one_way_audio(self._arm)
            self.event("one_way_audio")

    def _flag_fields(self) -> dict[str, str | int]:
        summary = self.summary
        if not summary.rollout:
            return {}
        return {
            "rollout": summary.rollout,
            "rollout_reason": summary.rollout_reason,
            "rollout_version": summary.rollout_version,
        }

    def talk_ms(self) -> int | None:
        """Return how long ago the call was answered; None before."""
        if self._answered_ns is None:
            return None
        return (self._services.clock.now_ns() - self._answered_ns) // NS_PER_MS

    def _on_state(self, effect: StateChanged) -> None:
        self._services.store.update(self._leg.call_id, effect.fields)

    def _on_phase(self, effect: PhaseChanged) -> None:
        self.event("phase", {"old": effect.old, "new": effect.new, "cause": effect.cause})
        log.debug("phase_changed", old=effect.old, new=effect.new, cause=effect.cause)

    def _on_refused(self, effect: TransitionRefused) -> None:
        self._services.metrics.turns.transition_refused(effect.state, effect.trigger)
        log.debug("transition_refused", state=effect.state, trigger=effect.trigger)

    def _on_turn(self, effect: TurnSpoken) -> None:
        turn = self._turns.get((effect.speaker, effect.item_id))
        text = self._may_be_written(effect, turn)
        if turn is None:
            turn = Turn(effect.speaker, text)
            self._turns[effect.speaker, effect.item_id] = turn
            self.summary.turns.append(turn)
        turn.text = text
        turn.latency_ms = effect.latency_ms
        turn.heard_ms = effect.heard_ms
        turn.interrupted = effect.interrupted
        self.event(
            "turn",
            {
                "speaker": effect.speaker.value,
                "item_id": effect.item_id,
                "text": text,
                "latency_ms": effect.latency_ms,
                "heard_ms": effect.heard_ms,
                "interrupted": int(effect.interrupted),
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
        self.summary.interruptions += 1
        turns = self._services.metrics.turns
        turns.stopped(self._arm, effect.stop_ns)
        if not self._judged:
            turns.interrupted(self._arm, by=By.CALLER, kind=InterruptionKind.TRUE)
        self.event("interrupted", {"played_ms": effect.played_ms})
        log.info("interrupted", played_ms=effect.played_ms, stop_us=effect.stop_ns // 1000)

    def _on_agent_interrupted(self, effect: AgentInterrupted) -> None:
        turns = self._services.metrics.turns
        turns.interrupted(self._arm, by=By.AGENT, kind=InterruptionKind.TRUE)
        self.event("agent_interrupted")

    def _on_judged(self, effect: InterruptionJudged) -> None:
        kind = InterruptionKind(effect.kind.value)
        self._services.metrics.turns.interrupted(self._arm, by=By.CALLER, kind=kind)
        self.event("interruption_judged", {"judged_as": kind.value})

    def _on_prompted(self, effect: SilencePrompted) -> None:
        self.event("caller_silent", {"step": effect.step})
        log.info("caller_silent", step=effect.step)

    def _on_menu_chosen(self, effect: MenuChosen) -> None:
        self.event("menu_chosen", {"menu": effect.menu, "key": effect.key if effect.known else ""})
        log.info("menu_chosen", menu=effect.menu, known=effect.known)

    def _on_digits_collected(self, effect: DigitsCollected) -> None:
        told: dict[str, str | int | None] = {
            "name": effect.name,
            "count": effect.count,
            "sensitive": int(effect.sensitive),
            "ended_by": effect.ended_by,
        }
        self.event("digits_collected", told)
        log.info("digits_collected", **told)

    def _on_human_asked(self, effect: HumanAsked) -> None:
        self._services.metrics.calls.human_asked(effect.by, granted=effect.granted)
        self.event("human_asked", {"by": effect.by, "granted": int(effect.granted)})
        log.info("human_asked", by=effect.by, granted=effect.granted)

    def _on_callback_wanted(self, effect: CallbackWanted) -> None:
        wanted = {"when": effect.when, "number": effect.number, "text": effect.reason}
        self.event("callback_wanted", wanted)
        reason = effect.reason and self._redactor.redact(effect.reason)
        self.summary.callbacks.append({**asdict(effect), "reason": reason})
        log.info("callback_wanted")

    def _on_error(self, effect: UpstreamErrorSeen) -> None:
        self._services.metrics.upstream.error(self._arm, effect.code)
        self.event("upstream_error", {"code": effect.code})
        log.info("upstream_error", code=effect.code)

    def _on_session_lost(self, effect: SessionLost) -> None:
        failure = effect.failure
        self.watch.lost(failure)
        self._services.metrics.upstream.lost(self._arm, failure)
        self.summary.failures.append(
            LostSession(
                self._events.elapsed_ms(),
                failure.code,
                failure.layer.value,
                failure.fault.value,
                failure.cure.value,
            )
        )
        self.event(
            "session_lost",
            {
                "code": failure.code,
                "layer": failure.layer,
                "fault": failure.fault,
                "cure": failure.cure,
                "attempt": effect.attempt,
            },
        )
        log.warning(
            "session_lost",
            code=failure.code,
            layer=failure.layer.value,
            fault=failure.fault.value,
            cure=failure.cure.value,
            attempt=effect.attempt,
        )

    def _on_session_restored(self, effect: SessionRestored) -> None:
        self._services.metrics.upstream.restored(self._arm, effect.outage_ms * NS_PER_MS)
        # A new session may give the caller's next turn the id of an old one.
        self._turns = {key: turn for key, turn in self._turns.items() if key[0] is Speaker.AGENT}
        self.event("session_restored", {"outage_ms": effect.outage_ms})
        log.info("session_restored", outage_ms=effect.outage_ms)

    def _on_gave_up(self, effect: GaveUp) -> None:
        self.watch.tell(self.summary, talk_ms=self.talk_ms())
        self._services.metrics.upstream.gave_up(self._arm, effect.reason)
        self.event("gave_up", {"reason": effect.reason, "fallback": effect.fallback})
        log.error("session_given_up", reason=effect.reason, fallback=effect.fallback)


def _mos(figures: RtpDirection, one_way_ms: float) -> float | None:
    """Estimate a direction's MOS; None where nothing is known of it."""
    expected = figures.packets + figures.lost
    if not expected:
        return None
    return round(estimated_mos((figures.lost + figures.late) / expected, one_way_ms), 2)
