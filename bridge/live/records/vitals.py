"""Follows the state, silence and health of one live call for the supervisors' list.

Every event of the record passes through :meth:`Vitals.take`; beside that only who is heard
matters. Fields of the call's hash that changed go out at once; the store coalesces them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bridge.audio.ledger import PlayoutStarted
from bridge.audio.sounds import Sound, SoundStarted, SoundStopped
from bridge.errors import Fault
from bridge.live.filler import FILLER_ITEM
from bridge.routing.supervisor_verbs import VERBS
from bridge.store.buffer import FieldValue
from bridge.telemetry.health import SLOW_ANSWER_MS, CallTroubles, health_of

Fields = Mapping[str, str | int | None]

_TROUBLES: Mapping[str, str] = MappingProxyType(
    {
        "emergency_heard": "emergencies",
        "silent": "one_way",
        "gave_up": "given_up",
        "session_lost": "sessions_lost",
        "dead_air": "silences",
        "tool_refused": "tools_failed",
        "tools_not_listed": "tools_failed",
        "caller_silent": "caller_silent",
        "upstream_error": "errors",
        "interrupted": "interruptions",
    }
)
"""Events that each are one trouble (:class:`CallTroubles`)."""

_RESULTS: Mapping[str, str] = MappingProxyType(
    {"handoff_accepted": "accepted", "handoff_completed": "completed"}
)
"""How a wait for a person ends well; a failed one is called after its reason."""

_BY_SIP = "bridged"
"""The state of a call with the agent of an arm that is a SIP URI."""

_PERSON: Mapping[str, str] = MappingProxyType(
    {
        "handoff_started": "transferring",
        "handoff_accepted": "human",
        "handoff_failed": "",
        "agent_reached": _BY_SIP,
        "handed_back": "",
        "supervisor_joined": "human",
        "agent_resumed": "",
    }
)
"""Events after which a person has the call, or is being called; empty: the agent has it again."""

_STATES: Mapping[str, str] = MappingProxyType({"idle": "ringing", "cancelling": "listening"})
"""What phases are called where a person reads them; the others keep their names."""

_GREETING_ENDS = frozenset({"playout_drained", "speech_started", "interrupted", "speech_stopped"})


class Vitals:
    """Follows one call.

    Args:
        write: takes fields of the call's hash that changed.
        now_wall_ms: wall time, ms since the Unix epoch.
        greets: whether the agent speaks first.
    """

    def __init__(
        self,
        write: Callable[[Mapping[str, FieldValue]], None],
        now_wall_ms: Callable[[], int],
        *,
        greets: bool,
    ) -> None:
        self._write = write
        self._now_wall_ms = now_wall_ms
        self._greeting = greets
        self._phase = "idle"
        self._person = ""
        self._tools = 0
        self._waits_since_ms: int | None = None
        self._held_by = ""
        self._joined = False
        self._sensitive = 0
        self._caller_heard = self._agent_heard = False
        self._troubles = CallTroubles()
        self._written: dict[str, FieldValue] = {}

    def begin(self) -> dict[str, FieldValue]:
        """Return the fields with which a call begins."""
        health = health_of(self._troubles)
        self._written = {
            "state": self._state(),
            "state_since_at": self._now_wall_ms(),
            "interruptions_caller": 0,
            "interruptions_agent": 0,
            "tool_failures": 0,
            "silent_since_at": 0,
            "health": health.score,
            "health_reasons": "",
            "held_by": "",
            "sensitive": 0,
        }
        return dict(self._written)

    def take(self, kind: str, fields: Fields) -> None:
        """Take an event of the call's stream."""
        changed: dict[str, FieldValue] = {}
        match kind:
            case "phase":
                self._move(str(fields["new"]), str(fields["cause"]))
            case "tool_called":
                self._tools += 1
            case "tool_ended":
                self._tools = max(self._tools - 1, 0)
                self._troubles.tools_failed += fields["fault"] != Fault.NONE
            case "measured":
                if (response_ms := fields.get("response_ms")) is not None:
                    changed["last_turn_ms"] = round(float(response_ms))
                    self._troubles.slow_answers += float(response_ms) > SLOW_ANSWER_MS
            case "human_asked" if not fields["granted"]:
                self._troubles.humans_refused += 1
            case "human_asked":
                self._troubles.humans_asked += 1
            case _:
                self._count(kind, fields)
        if kind.startswith("handoff_"):
            changed |= self._wait(kind, fields)
        self._publish(changed)

    def on_sound(self, event: Sound) -> None:
        """Take where the caller's sound begins and ends."""
        if isinstance(event, SoundStarted | SoundStopped):
            self._caller_heard = isinstance(event, SoundStarted)
            self._mark_silence()

    def on_playout(self, event: object) -> None:
        """Take where the agent is heard; a filler is none of its speech."""
        if isinstance(event, PlayoutStarted):
            if event.item_id == FILLER_ITEM:
                return
            if self._caller_heard and not self._agent_heard:
                self._troubles.agent_interrupted += 1
            self._agent_heard = True
            self._mark_silence()
        else:
            self.on_agent_silent()

    def on_agent_silent(self) -> None:
        """Take that nothing of the agent's is left to be heard."""
        if self._agent_heard:
            self._agent_heard = False
            self._mark_silence()

    def _wait(self, kind: str, fields: Fields) -> dict[str, FieldValue]:
        """Return what a queue shows of the caller's wait for a person."""
        now_ms = self._now_wall_ms()
        if kind == "handoff_started":
            self._waits_since_ms = now_ms
            return {
                "handoff_target": str(fields["target"]),
                "handoff_summary": str(fields.get("text") or ""),
                "handoff_result": "waiting",
                "waiting_since_at": now_ms,
            }
        waited_since_ms, self._waits_since_ms = self._waits_since_ms, None
        if waited_since_ms is None:  # completed once it was accepted
            return {}
        result = _RESULTS.get(kind) or str(fields["reason"])
        return {"handoff_result": result, "handoff_wait_ms": now_ms - waited_since_ms}

    def _count(self, kind: str, fields: Fields) -> None:
        if kind in _PERSON and not (kind == "supervisor_joined" and self._joined):
            self._person = _PERSON[kind]
        if kind == "session_lost" and self._person == _BY_SIP:
            self._person = ""
        if kind == "supervisor_acted" and (made := VERBS[str(fields["action"])].makes):
            self._joined = made == "beside"
            self._held_by = str(fields["by"])
            if not self._joined:
                self._person = made
        if kind == "agent_resumed" or (kind == "supervisor_left" and self._joined):
            self._held_by = ""
        if kind == "supervisor_acted" and fields["action"] == "sensitive":
            self._sensitive = int(fields["on"] or 0)
        if kind in _TROUBLES:
            name = _TROUBLES[kind]
            setattr(self._troubles, name, getattr(self._troubles, name) + 1)
        if kind == "dead_air":
            silent_s = int(fields["silence_ms"] or 0) // 1000
            self._troubles.silent_s = max(self._troubles.silent_s, silent_s)
        if kind == "handoff_failed" and fields["reason"] != "caller_left":
            self._troubles.handoffs_failed += 1

    def _move(self, new: str, cause: str) -> None:
        self._phase = new
        if cause in _GREETING_ENDS:
            self._greeting = False

    def _state(self) -> str:
        if self._person:
            return self._person
        if self._greeting and self._phase in ("listening", "thinking", "speaking"):
            return "greeting"
        if self._tools and self._phase in ("listening", "thinking"):
            return "tool"
        return _STATES.get(self._phase, self._phase)

    def _mark_silence(self) -> None:
        heard = self._caller_heard or self._agent_heard
        self._publish({"silent_since_at": 0 if heard else self._now_wall_ms()})

    def _publish(self, changed: dict[str, FieldValue]) -> None:
        troubles, state = self._troubles, self._state()
        health = health_of(troubles)
        found: dict[str, FieldValue] = {
            "state": state,
            "interruptions_caller": troubles.interruptions,
            "interruptions_agent": troubles.agent_interrupted,
            "tool_failures": troubles.tools_failed,
            "health": health.score,
            "health_reasons": "; ".join(health.reasons),
            "held_by": self._held_by,
            "sensitive": self._sensitive,
            **changed,
        }
        if state != self._written.get("state"):
            found["state_since_at"] = self._now_wall_ms()
        news = {name: value for name, value in found.items() if self._written.get(name) != value}
        if news:
            self._written.update(news)
            self._write(news)
