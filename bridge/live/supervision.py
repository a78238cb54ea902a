"""A call's side of its supervisors: what they order, hear and say.

Orders come as commands (:mod:`bridge.store.control`), audio as frames. Whoever listens takes both
sides off the pump; whoever talks is heard by the caller once the core has let them. Loop's thread.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog
from pydantic import ValidationError

from bridge.audio.supervisor_frames import TalkFrame
from bridge.engine.effects import CloseVoice, Effect, OpenVoice
from bridge.engine.inputs import Input, SupervisorActed, SupervisorHeard, SupervisorLost
from bridge.engine.news import ActionAnswered, AgentResumed, SupervisorJoined, SupervisorLeft
from bridge.live.record import CallRecord
from bridge.live.supervisor_actions import SupervisorActions, UnknownTargetError
from bridge.routing.supervisor_orders import ORDERS, FlagOrder, Order
from bridge.store.control import Answer, Command
from bridge.telemetry.metrics import SupervisionMetrics
from bridge.telephony.audience import Listener
from bridge.telephony.lines import Line
from bridge.telephony.microphone import Microphone
from bridge.telephony.pump import Pump

log = structlog.get_logger(__name__)

_TOLD = ("text", "summary", "reason", "note")
"""Parameters that are words; the record redacts them."""

_DETAILS = ("when", "how", "kind", "target", "on", "auto_resume_s")


class Supervision:
    """Supervisors of one call.

    Args:
        actions: makes the core's actions of orders.
        feed: takes what is to be fed to the core.
        record: of the call.
        pump: moves the call's audio.
        line: the call's; None before there is media, and after its end.
        metrics: counts actions.
    """

    def __init__(
        self,
        actions: SupervisorActions,
        feed: Callable[[Input], None],
        record: CallRecord,
        pump: Pump,
        line: Callable[[], Line | None],
        metrics: SupervisionMetrics,
    ) -> None:
        self._actions = actions
        self._feed = feed
        self._record = record
        self._pump = pump
        self._line = line
        self._metrics = metrics
        self._asked: dict[str, tuple[Command, Order]] = {}
        self._answers: dict[str, Answer] = {}
        self._listeners: dict[Listener, Callable[..., None]] = {}
        self._microphones: Counter[str] = Counter()
        self._speaker: str | None = None
        self._voice: Microphone | None = None

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                ActionAnswered: self._on_answered,
                OpenVoice: self._open_voice,
                CloseVoice: lambda _: self._close_voice(),
                SupervisorJoined: self._on_joined,
                SupervisorLeft: self._on_left,
                AgentResumed: self._on_resumed,
            }
        )

    # Orders

    def act(self, command: Command) -> Answer:
        """Carry a command out, or refuse it."""
        kind = ORDERS.get(command.action)
        if kind is None:
            return Answer.refused("unknown_action")
        try:
            order = kind.model_validate(command.params)
            action = self._actions.make(order)
        except ValidationError as error:
            wrong = [".".join(map(str, each["loc"])) for each in error.errors()]
            return Answer.refused("bad_params", fields=wrong)
        except UnknownTargetError:
            return Answer.refused("unknown_target")
        if isinstance(order, FlagOrder):
            self._record.flag(command.by, order.note, order.at_ms)
            self._metrics.acted("flag", refused=False)
            return Answer(True)
        if action is None:
            return Answer.refused("unknown_action")
        self._asked[command.command_id] = command, order
        self._feed(SupervisorActed(command.command_id, command.by, action))
        self._asked.pop(command.command_id, None)
        return self._answers.pop(command.command_id, Answer.refused("over"))

    def _on_answered(self, effect: ActionAnswered) -> None:
        asked = self._asked.get(effect.action_id)
        self._metrics.acted(effect.name, refused=bool(effect.refused))
        log.info("supervisor_acted", action=effect.name, refused=effect.refused or None)
        if effect.refused:
            more = {"held_by": effect.held_by} if effect.held_by else {}
            self._answers[effect.action_id] = Answer.refused(effect.refused, **more)
            return
        self._answers[effect.action_id] = Answer(True)
        if asked is not None:
            self._record.supervised(effect.by, effect.name, *_told(asked[1]))

    # Listening

    def listen(self) -> Listener | None:
        """Have somebody hear the call from now on; None where there is nothing to hear."""
        line = self._line()
        if line is None:
            return None
        listener = Listener(self._record.talk_ms() or 0)
        self._listeners[listener] = listener.take
        self._pump.admit(line.row, self._listeners[listener])
        self._tell_watchers()
        return listener

    def stop_listening(self, listener: Listener) -> None:
        """Have them hear it no more."""
        take = self._listeners.pop(listener, None)
        line = self._line()
        if take is not None and line is not None:
            self._pump.dismiss(line.row, take)
            self._tell_watchers()
        listener.close()

    def _tell_watchers(self) -> None:
        self._record.watched(len(self._listeners))

    # Talking

    def connect(self, by: str) -> None:
        """Note that a supervisor's microphone is there."""
        self._microphones[by] += 1
        if self._microphones[by] == 1:
            self._feed(SupervisorHeard(by))

    def disconnect(self, by: str) -> None:
        """Note that it is gone."""
        self._microphones[by] -= 1
        if self._microphones[by] <= 0:
            del self._microphones[by]
            self._feed(SupervisorLost(by))

    def push(self, by: str, frame: TalkFrame) -> None:
        """Take what a supervisor says; the caller hears it while the core lets them."""
        if self._voice is not None and self._speaker == by and self._line() is not None:
            self._voice.push(frame)

    def close(self) -> None:
        """Have nothing to do with the call any more; its supervisors may still be here."""
        self._feed = _nobody
        self._line = lambda: None

    def on_line_gone(self) -> None:
        """Let everybody go: the call's audio is over."""
        line = self._line()
        self._voice = None
        for listener, take in list(self._listeners.items()):
            if line is not None:
                self._pump.dismiss(line.row, take)
            listener.close()
        self._listeners.clear()

    def _open_voice(self, effect: OpenVoice) -> None:
        line = self._line()
        self._speaker = effect.by
        self._voice = None if line is None else Microphone(self._pump, line.row)

    def _close_voice(self) -> None:
        line, self._speaker, self._voice = self._line(), None, None
        if line is not None:
            self._pump.flush(line.row)

    # What is told

    def _on_joined(self, effect: SupervisorJoined) -> None:
        self._record.event("supervisor_joined", {"by": effect.by})

    def _on_left(self, effect: SupervisorLeft) -> None:
        self._record.event("supervisor_left", {"by": effect.by, "lost": int(effect.lost)})

    def _on_resumed(self, effect: AgentResumed) -> None:
        self._record.event(
            "agent_resumed",
            {"by": effect.by, "away_ms": effect.away_ms, "cause": effect.cause},
        )
        log.info("agent_resumed", cause=effect.cause, away_ms=effect.away_ms)


def _told(order: Order) -> tuple[str, Mapping[str, str | int | None]]:
    """Return an order's words, and what else is put down of it."""
    given = order.model_dump(mode="json")
    text = next((str(given[name]) for name in _TOLD if given.get(name)), "")
    details = {name: given[name] for name in _DETAILS if name in given}
    told = {
        name: int(each) if isinstance(each, bool | float) else each
        for name, each in details.items()
    }
    return text, told


def _nobody(given: Input) -> None:
    """Take what is fed to a call that is over."""
