"""Makes one call's trace from the events of its record: a follower of them, like its vitals.

    call
      setup, session.connect or sip_arm, session, session.recovery
      turn              the caller's first sound to the end of the answer
        stage.*         capture ... playback (`bridge/engine/agent/latency.py`)
        chat MODEL      one response of the service
        execute_tool NAME
      handoff

Names are those of the GenAI conventions (status: development) where they have one. They have none
yet for a voice session or its turns. What was said, numbers and digits are in no span.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bridge.clock import NS_PER_MS, Clock
from bridge.telemetry.labels import SIP, TurnStage

Fields = Mapping[str, str | int | None]

_TURN_GOES_ON = frozenset({"thinking", "speaking", "cancelling"})
_CALLER_BEGAN = frozenset({"speech_started", "interrupted"})
_ERRORS = MappingProxyType({"upstream_error": "code", "tool_refused": "reason"})
"""Events that are errors, with the field that says which."""
_NOTED = MappingProxyType(
    {
        "interrupted": ("played_ms",),
        "interruption_judged": ("judged_as",),
        "dead_air": ("cause", "silence_ms"),
        "one_way_audio": (),
        "process_stopped": ("ms",),
        "rescued": ("arm", "by", "code"),
        "gave_up": ("reason", "fallback"),
        "handoff_accepted": ("way",),
        "handed_back": ("talked_ms",),
    }
)
"""Events of a span, with those of their fields that can hold nothing that was said."""
_BAD = frozenset({"bridge", "provider", "tool", "config"})
_CRASHED = "crashed"


class CallSpans:
    """The trace of one call.

    Args:
        tracer: makes spans.
        clock: all times count from one reading of the wall clock, so steps of it move no span.
        facts: attributes of the call's span.
    """

    def __init__(self, tracer: Tracer, clock: Clock, facts: Mapping[str, str]) -> None:
        self._tracer = tracer
        self._clock = clock
        self._offset_ns = clock.wall_ns() - clock.now_ns()
        self._model = facts.get("gen_ai.request.model", "")
        self._root = tracer.start_span(
            "call", kind=SpanKind.SERVER, start_time=self._now_ns(), attributes=dict(facts)
        )
        self._context = set_span_in_context(self._root)
        self._open: dict[str, Span] = {}
        self._spoke_ns: int | None = None
        self._closed = False
        self._lost = ""
        self._begin("setup")
        self._begin("sip_arm" if facts.get("bridge.dialect") == SIP else "session.connect")
        self._table: Mapping[str, Callable[[Fields], None]] = MappingProxyType(
            {
                "answered": lambda _: self._end("setup"),
                "session_taken": self._on_session,
                "session_lost": self._on_lost,
                "phase": self._on_phase,
                "greeted": lambda _: self._note("greeted", {}),
                "measured": self._on_measured,
                "response_created": self._on_response,
                "response_done": self._on_response_done,
                "tool_began": self._on_tool,
                "tool_over": self._on_tool_over,
                "handoff_started": self._on_handoff,
                "handoff_completed": lambda _: self._end("handoff"),
                "handoff_failed": lambda fields: self._end("handoff", str(fields["reason"])),
                "agent_reached": self._on_agent_reached,
                "closed": self._on_closed,
            }
        )

    def take(self, kind: str, fields: Fields) -> None:
        """Take an event of the call's."""
        if (handler := self._table.get(kind)) is not None:
            handler(fields)
        if (names := _NOTED.get(kind)) is not None:
            self._note(kind, {f"bridge.{name}": fields.get(name) for name in names})
        if (name := _ERRORS.get(kind)) is not None:
            self._note(kind, {"error.type": fields.get(name)})

    def headers_of(self, tool_call: str) -> Mapping[str, str]:
        """Return the W3C headers with which a tool's own trace joins the call's."""
        span = self._open.get(f"tool {tool_call}", self._root)
        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers, set_span_in_context(span))
        return headers

    def close(self) -> None:
        """End what is open; a call whose end was not reported has crashed."""
        if self._root.is_recording():
            why = "" if self._closed else _CRASHED
            for name in list(self._open):
                self._end(name, why)
            if why:
                self._fail(self._root, why)
            self._root.end(self._now_ns())

    def _now_ns(self) -> int:
        return self._clock.now_ns() + self._offset_ns

    def _begin(
        self,
        name: str,
        attributes: Mapping[str, str | int] | None = None,
        *,
        key: str = "",
        at_ns: int | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        """Begin a span, within the turn where there is one."""
        self._end(key or name)
        turn = self._open.get("turn") if key else None
        self._open[key or name] = self._tracer.start_span(
            name,
            context=self._context if turn is None else set_span_in_context(turn),
            kind=kind,
            start_time=at_ns or self._now_ns(),
            attributes=attributes,
        )

    def _end(self, name: str, error: str = "") -> None:
        span = self._open.pop(name, None)
        if span is not None:
            if error:
                self._fail(span, error)
            span.end(self._now_ns())

    def _fail(self, span: Span, error: str) -> None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR, error))

    def _note(self, name: str, attributes: Mapping[str, str | int | None]) -> None:
        span = self._open.get("turn", self._root)
        given = {key: value for key, value in attributes.items() if value is not None}
        span.add_event(name, given, self._now_ns())

    def _on_session(self, fields: Fields) -> None:
        for name in ("session.connect", "session.recovery"):
            self._end(name)
        self._model = str(fields["model"])
        self._begin("session", {"gen_ai.request.model": self._model})

    def _on_lost(self, fields: Fields) -> None:
        self._lost = code = str(fields["code"])
        for name in ("session.connect", "sip_arm", "session"):
            self._end(name, code)
        if "session.recovery" not in self._open:
            self._begin("session.recovery")
        attributes = {"error.type": code, "bridge.attempt": fields["attempt"] or 0}
        self._open["session.recovery"].add_event("session_lost", attributes, self._now_ns())

    def _on_phase(self, fields: Fields) -> None:
        new, cause = fields["new"], fields["cause"]
        if cause in _CALLER_BEGAN and (self._spoke_ns is None or cause == "interrupted"):
            self._spoke_ns = self._now_ns()
        if new == "thinking" and "turn" not in self._open:
            self._begin_turn()
        elif new not in _TURN_GOES_ON and cause != "speech_started":
            self._end("turn")

    def _begin_turn(self, at_ns: int | None = None) -> None:
        self._begin("turn", at_ns=self._spoke_ns or at_ns)
        self._spoke_ns = None

    def _on_measured(self, fields: Fields) -> None:
        took_ns = [
            (stage.value, round(float(str(fields[f"{stage}_ms"])) * NS_PER_MS))
            for stage in TurnStage
            if f"{stage}_ms" in fields
        ]
        heard_ns = self._now_ns()
        at_ns = heard_ns - sum(ns for _, ns in took_ns)
        if "turn" not in self._open:
            self._begin_turn(at_ns)
        turn = self._open["turn"]
        if (response_ms := fields.get("response_ms")) is not None:
            turn.set_attribute("bridge.response_ms", float(response_ms))
        context = set_span_in_context(turn)
        for stage, ns in took_ns:
            span = self._tracer.start_span(f"stage.{stage}", context, start_time=at_ns)
            at_ns += ns
            span.end(at_ns)
        turn.add_event("heard", timestamp=heard_ns)

    def _on_response(self, fields: Fields) -> None:
        self._begin(
            f"chat {self._model}",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": self._model,
                "gen_ai.output.type": "speech",
                "gen_ai.response.id": str(fields["response"]),
            },
            key=f"response {fields['response']}",
            kind=SpanKind.CLIENT,
        )

    def _on_response_done(self, fields: Fields) -> None:
        key = f"response {fields['response']}"
        span = self._open.get(key)
        if span is None:
            return
        span.set_attribute("gen_ai.response.finish_reasons", [str(fields["status"])])
        for name in ("input_tokens", "output_tokens"):
            if (count := fields.get(name)) is not None:
                span.set_attribute(f"gen_ai.usage.{name}", count)
        self._end(key, str(fields.get("error") or ""))

    def _on_tool(self, fields: Fields) -> None:
        tool, call = str(fields["tool"]), str(fields["tool_call"])
        self._begin(
            f"execute_tool {tool}",
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": tool,
                "gen_ai.tool.call.id": call,
            },
            key=f"tool {call}",
            kind=SpanKind.CLIENT,
        )

    def _on_tool_over(self, fields: Fields) -> None:
        result = str(fields["result"])
        self._end(f"tool {fields['tool_call']}", "" if result == "ok" else result)

    def _on_handoff(self, fields: Fields) -> None:
        self._begin("handoff", {"bridge.way": str(fields["way"])})

    def _on_agent_reached(self, fields: Fields) -> None:
        if "sip_arm" not in self._open:  # another one was tried before
            at_ns = self._now_ns() - int(fields["took_ms"] or 0) * NS_PER_MS
            self._begin("sip_arm", at_ns=at_ns)
        self._open["sip_arm"].set_attribute("bridge.way", str(fields["way"]))
        for name in ("sip_arm", "session.recovery"):
            self._end(name)

    def _on_closed(self, fields: Fields) -> None:
        self._closed = True
        self._end("session.recovery", self._lost)
        for name in ("outcome", "fault", "reason"):
            self._root.set_attribute(f"bridge.{name}", str(fields[name]))
        if fields["fault"] in _BAD:
            self._fail(self._root, str(fields["reason"]))
