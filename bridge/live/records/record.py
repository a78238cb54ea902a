"""The record of one call, added up from its runner's observations.

One door for what is only recorded: log lines, metrics, the call's hash and event stream in Redis,
and the JSON record that lies beside the recording.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import structlog

from bridge.clock import NS_PER_MS
from bridge.engine.effects import Effect
from bridge.engine.news import CallClosed, PhaseChanged, StateChanged, TransitionRefused
from bridge.live.recording import CallRecording
from bridge.live.records.arm_watch import ArmWatch
from bridge.live.records.caller import CallerRecord
from bridge.live.records.events import CallEvents
from bridge.live.records.handoffs import HandoffRecord
from bridge.live.records.rtp import put_down_rtp
from bridge.live.records.sessions import SessionRecord
from bridge.live.records.summary import CallSummary, ReplacedCaller, origin_fields
from bridge.live.records.supervision import SupervisionRecord
from bridge.live.records.tools import ToolRecord
from bridge.live.records.turns import InterruptionWatch, TurnRecord
from bridge.live.records.vitals import Vitals
from bridge.live.records.waits import CallerWaits
from bridge.live.services import Route, Services
from bridge.realtime.duplex_events import DelegatedDone
from bridge.realtime.event_values import Usage
from bridge.realtime.events import (
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptFailed,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
)
from bridge.realtime.ids import ItemId, ToolCallId
from bridge.redaction.turns import Redactor
from bridge.routing.origin import Origin
from bridge.telephony.leg import Leg

log = structlog.get_logger(__name__)


class CallRecord:
    """Collects one call's events, figures and summary for those who read of it.

    Args:
        leg: the call; services: where it is recorded; route: what was decided about it.
        recording: gets a marker for each event, and knows what must not be written.
    """

    def __init__(
        self, leg: Leg, route: Route, services: Services, recording: CallRecording
    ) -> None:
        dialplan = route.dialplan
        self._redactor = Redactor(frozenset(dialplan.recording.redact))
        self.summary = _summary_of(leg, route, self._redactor)
        self._dealt = route.dealt
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
        tracing = services.tracing
        self._trace = None if tracing is None else tracing.call(_traced(self.summary))
        self._recording = recording
        self._origin = route.origin
        self._leg = leg
        self._services = services
        self._events = CallEvents(
            leg.call_id,
            services.clock,
            services.store,
            recording,
            (
                self.vitals.take,
                InterruptionWatch(self.summary, services.metrics.turns).take,
                *(() if self._trace is None else (self._trace.take,)),
            ),
            self._redactor,
            self.summary.events_ms,
        )
        # They hold the events, not this record: a circle would outlive the call.
        record, elapsed_ms = self._events.record, self._events.elapsed_ms
        summary, metrics = self.summary, services.metrics
        self.caller = CallerRecord(record, summary, metrics, self._redactor)
        self.supervision = SupervisionRecord(self._events, summary, services.store, self._redactor)
        self.tools = ToolRecord(self._events, summary, recording, metrics.tools)
        self._waits = CallerWaits(summary, metrics.turns, record, elapsed_ms)
        judged = dialplan.agent.barge_in.is_ours
        self._turns = TurnRecord(
            record,
            summary,
            metrics.turns,
            recording,
            self._redactor,
            self.watch.cut_off,
            judged=judged,
            transcribed=dialplan.agent.transcription is not None,
        )
        self.sessions = SessionRecord(
            self._events, summary, self.watch, metrics.upstream, self._turns.session_restored
        )
        self._handoffs = HandoffRecord(
            record, summary.handoffs, self.watch, metrics, services.clock, elapsed_ms
        )

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are only recorded."""
        return MappingProxyType(
            {
                StateChanged: self._on_state,
                PhaseChanged: self._on_phase,
                TransitionRefused: self._on_refused,
                **self._waits.effects,
                **self._turns.effects,
                **self.sessions.effects,
                **self.caller.effects,
                **self.tools.effects,
                **self._handoffs.effects,
            }
        )

    def begin(self) -> None:
        """Open the call's state in Redis and count it."""
        summary, leg = self.summary, self._leg
        self._services.metrics.calls.offered(route=summary.route, arm=summary.arm_in_use)
        summary.started_at_ms = self._events.begun_wall_ms
        self._services.store.begin(
            leg.call_id,
            {
                "dialplan": summary.route,
                "arm": summary.arm_in_use,
                "dialect": summary.dialect,
                "model": summary.model,
                **self._flag_fields(),
                "phase": "idle",
                "started_at": summary.started_at_ms,
                "from": leg.from_uri,
                "to": leg.to_uri,
                "sip_call_id": leg.sip_call_id,
                **origin_fields(summary),
                "verstat": summary.verstat,
                **self.vitals.begin(),
            },
        )
        log.info("call_offered", route=summary.route, arm=summary.arm_in_use)

    def answered(self) -> None:
        """Note that the caller's side has our answer."""
        setup_ns = self._events.answered()
        self._events.notice("answered", {})
        calls = self._services.metrics.calls
        calls.answered(route=self.summary.route, arm=self.summary.arm, setup_ns=setup_ns)
        self.summary.codec = self._leg.codec
        self.summary.answered_at_ms = self.wall_ms()
        self._services.store.update(self._leg.call_id, {"answered_at": self.summary.answered_at_ms})
        self.keep_dialog()
        if not self._leg.telephone_event:
            self._services.metrics.media.no_telephone_event()
            self.event("no_telephone_event")
            log.warning("no_telephone_event", heard="keys that are told by SIP INFO alone")
        log.info("call_answered", setup_ms=setup_ns // NS_PER_MS, codec=self._leg.codec)

    def keep_dialog(self) -> None:
        """Keep in Redis what another process needs to end the call, should this one die."""
        dialog = self._leg.dialog
        if dialog is not None:
            self._services.store.update(self._leg.call_id, {"dialog": dialog.json})

    def caller_replaced(self) -> None:
        """Note that another caller has taken the place of the one so far (RFC 3891)."""
        summary, leg = self.summary, self._leg
        summary.replaced.append(
            ReplacedCaller(self._events.elapsed_ms(), summary.caller, summary.sip_call_id)
        )
        summary.caller, summary.sip_call_id = leg.from_uri, leg.sip_call_id
        # Nobody vouches for the new one: only the INVITE that was routed is looked at for that.
        summary.asserted, self._origin = "", replace(self._origin, asserted="")
        self.event("caller_replaced", {"sip_call_id": leg.sip_call_id})
        fields = {"from": leg.from_uri, "sip_call_id": leg.sip_call_id, "asserted": ""}
        self._services.store.update(leg.call_id, fields)
        self.keep_dialog()
        log.info("caller_replaced", sip_call_id=leg.sip_call_id)

    def rescued(self, route: Route, code: str) -> None:
        """Note that another arm has taken the call over; the first one is answerable for why."""
        summary, before = self.summary, self.summary.arm_in_use
        self._services.metrics.rollouts.rescued(before, route.arm.name, code)
        self.watch.report(summary, talk_ms=self.talk_ms(), rescued_by=route.arm.name)
        log.warning("call_rescued", arm=before, by=route.arm.name, code=code)
        self.event("rescued", {"arm": before, "by": route.arm.name, "code": code})
        summary.rescued_by, summary.dialect = route.arm.name, route.arm.dialect_name
        summary.model = route.model
        self._services.store.update(
            self._leg.call_id,
            {
                "rescued_by": summary.rescued_by,
                "dialect": summary.dialect,
                "model": summary.model,
            },
        )

    def model_taken(self, model: str) -> None:
        """Note the model of the session in use: it may be another than the one wanted."""
        self._events.notice("session_taken", {"model": model})
        if model != self.summary.model:
            self.summary.model = model
            self._services.store.update(self._leg.call_id, {"model": model})
            self.event("model_taken", {"model": model})

    def on_server_event(self, event: ServerEvent) -> None:
        """Take what is only to be counted or kept of the session's events."""
        if self._trace is not None:
            self._notice_response(event)
        match event:
            case ResponseDone(usage=Usage() as usage):
                self.sessions.count(usage)
            case DelegatedDone(usage=Usage() as usage, model=model):
                self.sessions.count_backend(usage, model)
            case InputTranscriptCompleted(item_id=item_id, usage=usage):
                self._turns.transcribed(item_id)
                if usage is not None:
                    self.sessions.count_transcription(usage)
            case InputTranscriptFailed():
                self._turns.not_transcribed(event.item_id)
                self.sessions.transcription_failed()
            case InputCommitted():
                self._turns.committed(event.item_id)
            case _:
                pass

    def _notice_response(self, event: ServerEvent) -> None:
        match event:
            case ResponseCreated(response_id=response):
                self._events.notice("response_created", {"response": response})
            case ResponseDone(response_id=response, usage=usage):
                fields: dict[str, str | int | None] = {
                    "response": response,
                    "status": event.status.value,
                    "error": event.error_code,
                }
                if usage is not None:
                    fields["input_tokens"] = (
                        usage.input_text + usage.input_audio + usage.input_image
                    )
                    fields["output_tokens"] = usage.output_text + usage.output_audio
                self._events.notice("response_done", fields)
            case _:
                pass

    def trace_headers(self, tool_call: ToolCallId) -> Mapping[str, str]:
        """Return the headers by which a tool's trace joins the call's; none without traces."""
        return {} if self._trace is None else self._trace.headers_of(tool_call)

    def close_trace(self) -> None:
        """End what is still open of the call's trace."""
        if self._trace is not None:
            self._trace.close()

    @property
    def facts(self) -> Mapping[str, object]:
        """Facts of the call, which each webhook is sent."""
        return {
            "call_id": self._leg.call_id,
            "route": self.summary.route,
            "from": self._leg.from_uri,
            "to": self._leg.called,
            "sip_call_id": self._leg.sip_call_id,
            **self._origin.texts(),
            "headers": dict(self._origin.headers),
        }

    def event(self, kind: str, fields: Mapping[str, str | int | None] | None = None) -> None:
        """Record an event (:meth:`bridge.live.records.events.CallEvents.record`)."""
        self._events.record(kind, fields)

    @property
    def owner(self) -> Mapping[str, object]:
        """Whose call it is, as the files beside the record have it."""
        names = ("call_id", "caller", "asserted", "keep_days", "started_at_ms")
        return {name: getattr(self.summary, name) for name in names}

    @property
    def redactor(self) -> Redactor:
        """Redacts what is kept of the call."""
        return self._redactor

    def redact(self, text: str) -> str:
        """Return words as they may be published."""
        return self._redactor.redact(text)

    def wall_ms(self) -> int:
        """Return the present as the call's record has it (:meth:`CallEvents.wall_ms`)."""
        return self._events.wall_ms()

    def talk_ms(self) -> int | None:
        """Return how long ago the call was answered; None before."""
        return self._events.talk_ms()

    def closed(self, effect: CallClosed, heard_ms: Callable[[ItemId], int]) -> None:
        """Note how the call ended.

        Args:
            effect: outcome and fault.
            heard_ms: returns how much of an item of the agent's the caller heard.
        """
        summary = self.summary
        self._turns.ended(heard_ms)
        self.watch.report(summary, talk_ms=self.talk_ms())
        summary.outcome, summary.fault = effect.outcome.value, effect.fault.value
        summary.reason = effect.reason
        self._events.notice(
            "closed",
            {"outcome": summary.outcome, "fault": summary.fault, "reason": effect.reason},
        )
        summary.far_end_reason = self.redact(self._leg.far_end_reason)
        if self._recording.begun:
            summary.recording = str(self._recording.path)
        duration_ns = self._services.clock.now_ns() - self._events.begun_ns
        summary.duration_ms = duration_ns // NS_PER_MS
        summary.ended_at_ms = summary.started_at_ms + summary.duration_ms
        self.sessions.settle(self._services.models)
        self._put_down_rtp()
        self._handoffs.leave_queue()
        if summary.answered_at_ms is not None:
            silence_ns = (summary.longest_silence_ms or 0) * NS_PER_MS
            self._services.metrics.turns.longest_silence(summary.arm_in_use, silence_ns)
        self._services.metrics.calls.ended(
            route=summary.route,
            arm=summary.arm,
            outcome=effect.outcome,
            reason=effect.reason,
            fault=effect.fault,
            duration_ns=duration_ns,
        )
        ended = {
            "outcome": summary.outcome,
            "reason": effect.reason,
            "far_end_reason": summary.far_end_reason or None,
            **summary.figures(),
        }
        self.event("ended", ended)
        self._services.store.end(
            self._leg.call_id,
            {
                "outcome": summary.outcome,
                "fault": summary.fault,
                "ended_at": summary.ended_at_ms,
                **self.supervision.at_end,
            },
        )
        log.info("call_ended", outcome=summary.outcome, fault=summary.fault, reason=effect.reason)

    def finished(self) -> CallSummary:
        """Return the whole record, once the recording is closed."""
        self.summary.recording_stopped = self._recording.stopped
        return self.summary

    def _put_down_rtp(self) -> None:
        rtp = self._leg.rtp
        if rtp is None:
            return
        media = self._services.metrics.media
        put_down_rtp(rtp, self.summary, media)
        if self.summary.answered_at_ms is not None and rtp.is_one_way:
            media.one_way_audio(self.summary.arm_in_use)
            self.event("one_way_audio")

    def _flag_fields(self) -> dict[str, str | int]:
        summary, dealt = self.summary, self._dealt
        if dealt is None:
            return {}
        return {
            "rollout": summary.rollout,
            "rollout_reason": summary.rollout_reason,
            "rollout_version": summary.rollout_version,
            "rollout_share": "" if dealt.share is None else repr(dealt.share),
            "rollout_caller": dealt.caller,
        }

    def _on_state(self, effect: StateChanged) -> None:
        self._services.store.update(self._leg.call_id, effect.fields)
        self.sessions.named(str(effect.fields.get("conversation_id", "")))

    def _on_phase(self, effect: PhaseChanged) -> None:
        self._waits.moved(effect)
        self.event("phase", {"old": effect.old, "new": effect.new, "cause": effect.cause})
        log.debug("phase_changed", old=effect.old, new=effect.new, cause=effect.cause)

    def _on_refused(self, effect: TransitionRefused) -> None:
        self._services.metrics.turns.transition_refused(effect.state, effect.trigger)
        log.debug("transition_refused", state=effect.state, trigger=effect.trigger)


def _traced(summary: CallSummary) -> Mapping[str, str]:
    """Return the attributes of a call's trace: nothing of who calls, nor of what is said."""
    return {
        "bridge.call_id": summary.call_id,
        "bridge.route": summary.route,
        "bridge.arm": summary.arm,
        "bridge.dialect": summary.dialect,
        "gen_ai.conversation.id": summary.call_id,
        "gen_ai.request.model": summary.model,
    }


def _summary_of(leg: Leg, route: Route, redactor: Redactor) -> CallSummary:
    """Return what is known at the INVITE."""
    dialplan = route.dialplan
    transcription = dialplan.agent.transcription
    summary = CallSummary(
        call_id=leg.call_id,
        route=dialplan.name,
        arm=route.arm.name,
        dialect=route.arm.dialect_name,
        called=leg.called,
        model=route.model,
        transcription_model="" if transcription is None else transcription.model,
        caller=leg.from_uri,
        sip_call_id=leg.sip_call_id,
        verstat=route.verstat.value,
        **_redacted_origin(route.origin, redactor),
        keep_days=dialplan.recording.keep_days.model_dump(),
    )
    if route.dealt is not None:
        decision = route.dealt.decision
        summary.rollout = decision.flag
        summary.rollout_reason = decision.reason.value
        summary.rollout_version = decision.version
    return summary


def _redacted_origin(
    origin: Origin, redactor: Redactor
) -> dict[str, Any]:  # by field of the summary
    """Return what is kept of an INVITE's origin; what an application wrote is redacted."""
    texts = origin.texts()
    user_to_user = redactor.redact(texts.pop("user_to_user", ""))
    headers = {name: redactor.redact_header(value, name) for name, value in origin.headers.items()}
    return {**texts, "user_to_user": user_to_user, "headers": headers}
