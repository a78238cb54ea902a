"""Connects a live call with its supervisors: their orders, their listening, their voices.

Orders come as commands (:mod:`bridge.store.control`), audio as frames. Whoever listens takes both
sides off the pump; whoever talks is heard by the caller once the core has let them. Loop's thread.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog
from pydantic import ValidationError

from bridge.audio.rings import RingsExhausted
from bridge.audio.supervisor_frames import TalkFrame
from bridge.engine.effects import CloseVoice, Effect, MuteVoice, OpenVoice
from bridge.engine.inputs import Input, SupervisorActed, SupervisorHeard, SupervisorLost
from bridge.engine.news import (
    ActionAnswered,
    AgentResumed,
    SecretKept,
    SupervisorJoined,
    SupervisorLeft,
)
from bridge.errors import TelephonyError
from bridge.live.records.record import CallRecord
from bridge.live.records.summary import WrapUp
from bridge.live.services import Services
from bridge.live.supervision.phone import PhoneUse, SupervisorPhone
from bridge.live.supervision.phones import RING_S, SupervisorPhones
from bridge.live.supervision.transfers import TargetError, TransferTargets
from bridge.live.supervision.voices import Voice, VoiceBeside, VoiceInPlace
from bridge.live.supervision.watchers import Watchers
from bridge.realtime.pictures import Picture
from bridge.routing.supervisor_verbs import (
    VERBS,
    AcceptOrder,
    FlagOrder,
    HandBackOrder,
    ListenOrder,
    Order,
    ShowOrder,
    TransferOrder,
    WrapUpOrder,
)
from bridge.store.control import Answer, Command
from bridge.telephony.audience import Listener
from bridge.telephony.leg import Leg
from bridge.telephony.lines import Line

log = structlog.get_logger(__name__)

_BROUGHT_PICTURES = 2
"""Of a call, that wait for the order which shows them."""

_ACCEPTED_RING_S = RING_S + 2
"""How long a caller waits for the phone of who has accepted them: until it has stopped to ring."""


class Supervision:
    """Supervisors of one call.

    Args:
        targets: of transfers.
        feed: takes what is to be fed to the core.
        record: of the call.
        services: what calls share.
        line: the call's; None before there is media, and after its end.
    """

    def __init__(
        self,
        targets: TransferTargets,
        feed: Callable[[Input], None],
        record: CallRecord,
        services: Services,
        line: Callable[[], Line | None],
    ) -> None:
        self._targets = targets
        self._feed = feed
        self._record = record
        self._pump = services.pump
        self._line = line
        self._metrics = services.metrics.supervision
        self._phones = SupervisorPhones(
            self, services, record.summary.call_id, lambda: self._line()
        )
        self._wishes = 0
        self._asked: dict[str, Order] = {}
        self._answers: dict[str, Answer] = {}
        self._brought: dict[str, Picture] = {}
        self._listeners: set[Listener] = set()
        self._watchers = Watchers(
            lambda: (*self._listeners, *self._phones.ready), record.supervision.watched
        )
        self._microphones: Counter[str] = Counter()
        self._speaker: str | None = None
        self._secret = False
        self._voice: Voice | None = None
        self._closing: Voice | None = None
        self._muted = self._beside = False
        self._endpoint = services.endpoint

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                ActionAnswered: self._on_answered,
                OpenVoice: self._open_voice,
                CloseVoice: lambda _: self._close_voice(),
                MuteVoice: self._mute_voice,
                SecretKept: self._keep_secret,
                SupervisorJoined: self._on_joined,
                SupervisorLeft: self._on_left,
                AgentResumed: self._on_resumed,
            }
        )

    # Orders

    def bring(self, picture: Picture) -> None:
        """Keep a picture for the order that shows it; only the latest few are kept."""
        self._brought.pop(picture.digest, None)
        self._brought[picture.digest] = picture
        while len(self._brought) > _BROUGHT_PICTURES:
            del self._brought[next(iter(self._brought))]

    def act(self, command: Command) -> Answer:
        """Carry a command out, or refuse it."""
        verb = VERBS.get(command.action)
        if verb is None:
            return Answer.refused("unknown_action")
        try:
            order = verb.order.model_validate(command.params)
            target = self._targets.find(order) if isinstance(order, TransferOrder) else None
        except ValidationError as error:
            wrong = [".".join(map(str, each["loc"])) for each in error.errors()]
            return Answer.refused("bad_params", fields=wrong)
        except TargetError as error:
            return Answer.refused(error.reason)
        if isinstance(order, ListenOrder):
            answer = self._call_phone(command.by, order)
            self._metrics.acted(verb.name, refused=not answer.accepted)
            return answer
        if isinstance(order, AcceptOrder) and order.via is not None:
            return self._accept_by_phone(command, order, order.via)
        if isinstance(order, FlagOrder):
            self._record.supervision.flag(command.by, order.note, order.at_ms)
            self._metrics.acted(verb.name, refused=False)
            return Answer(True)
        if isinstance(order, WrapUpOrder):
            made = WrapUp(order.code, order.note, command.by, order.at_ms)
            self._record.supervision.wrap_up(made)
            return Answer(True)
        picture = None
        if isinstance(order, ShowOrder):
            picture = self._brought.pop(order.digest, None)
            if picture is None:
                return Answer.refused("picture_gone")
        acted = SupervisorActed(command.command_id, command.by, order, target, picture=picture)
        return self._order(acted)

    def _order(self, acted: SupervisorActed) -> Answer:
        self._asked[acted.action_id] = acted.order
        self._feed(acted)
        self._asked.pop(acted.action_id, None)
        return self._answers.pop(acted.action_id, Answer.refused("over"))

    def _on_answered(self, effect: ActionAnswered) -> None:
        asked = self._asked.get(effect.action_id)
        self._metrics.acted(effect.name, refused=bool(effect.refused))
        log.info("supervisor_acted", action=effect.name, refused=effect.refused or None)
        if effect.refused:
            holder = {"held_by": effect.held_by} if effect.held_by else {}
            self._answers[effect.action_id] = Answer.refused(effect.refused, **holder)
            return
        more = {"target": effect.target, "summary": self._record.redact(effect.summary)}
        result = {name: each for name, each in more.items() if each}
        self._answers[effect.action_id] = Answer(True, result=result)
        if asked is not None:
            self._record.supervision.acted(effect.by, effect.name, *asked.for_record())
        self._watchers.acted(effect.by, effect.name)

    # Listening

    def listen(self, by: str, *, private: bool = False) -> Listener | None:
        """Have somebody hear the call from now on; None where there is nothing to hear."""
        line = self._line()
        if line is None:
            return None
        listener = Listener(
            self._record.talk_ms() or 0, by, private=private, rate_hz=self._pump.rate_hz
        )
        self._attune(listener)
        self._listeners.add(listener)
        self._pump.admit(line.row, listener.take)
        self._watchers.changed()
        return listener

    def stop_listening(self, listener: Listener) -> None:
        """Have them hear it no more."""
        self._listeners.discard(listener)
        line = self._line()
        if line is not None:
            self._pump.dismiss(line.row, listener.take)
            self._watchers.changed()
        listener.close()

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
        heard = self._speaker == by and not self._muted and self._line() is not None
        if self._voice is not None and heard:
            self._voice.push(frame)

    def close(self) -> None:
        """Have nothing to do with the call any more; its supervisors may still be here."""
        self._feed = _nobody
        self._line = lambda: None
        self._brought.clear()
        self._phones.close()
        self._watchers.close()

    def on_line_gone(self) -> None:
        """Let everybody go: the call's audio is over."""
        line = self._line()
        for voice in (self._voice, self._closing):
            if voice is not None:
                voice.close(at_once=True)
        self._voice = self._closing = None
        for listener in self._listeners:
            if line is not None:
                self._pump.dismiss(line.row, listener.take)
            listener.close()
        self._listeners.clear()
        self._phones.on_line_gone()

    def _open_voice(self, effect: OpenVoice) -> None:
        line = self._line()
        if self._closing is not None:
            self._closing.close(at_once=True)
            self._closing = None
        self._muted = effect.muted
        self._let_speak(effect.by, beside=effect.beside_agent)
        if line is None:
            return
        if not effect.beside_agent:
            self._voice = VoiceInPlace(self._pump, line.row)
            return
        try:
            self._voice = VoiceBeside(self._pump, self._endpoint.ports, line.row)
        except (RingsExhausted, TelephonyError) as error:
            log.warning("supervisor_not_joined", error=error.what)
            self._microphones.pop(effect.by, None)
            self._feed(SupervisorLost(effect.by))

    def _close_voice(self) -> None:
        self._closing, self._voice = self._voice, None
        self._let_speak(None)
        if self._closing is not None:
            self._closing.close()

    def _mute_voice(self, effect: MuteVoice) -> None:
        self._muted = effect.on
        if effect.on and self._voice is not None:
            self._voice.hush()

    def _let_speak(self, by: str | None, *, beside: bool = False) -> None:
        """Note who speaks: they don't hear themselves."""
        self._speaker, self._beside = by, beside
        self._attune_all()

    def _keep_secret(self, effect: SecretKept) -> None:
        self._secret = effect.on
        self._attune_all()

    def _attune_all(self) -> None:
        for listener in (*self._listeners, *self._phones):
            self._attune(listener)

    def _attune(self, listener: Listener | SupervisorPhone) -> None:
        """Have somebody hear what they may: who talks to the caller, always the caller."""
        talks = listener.by == self._speaker
        listener.without_agent = talks and not self._beside
        listener.without_guest = talks
        listener.deaf = self._secret and not talks

    # Desk phones

    @property
    def phones(self) -> tuple[SupervisorPhone, ...]:
        """Those that ring, or hear the call."""
        return tuple(self._phones)

    def take_phone(self, leg: Leg, use: PhoneUse) -> SupervisorPhone | None:
        """Answer a supervisor's phone that calls in; None where it can't be had."""
        return self._phones.take(leg, use)

    def _call_phone(self, by: str, order: ListenOrder) -> Answer:
        use = PhoneUse(by, may_take_over=order.may_take_over, private=order.private)
        refused = self._phones.refusal(by, order.via) or self._phones.call(order.via, use)
        return Answer(True) if refused is None else Answer.refused(refused)

    def _accept_by_phone(self, command: Command, order: AcceptOrder, via: str) -> Answer:
        """Accept a caller at once, so that nobody else does, and have the phone ring."""
        refused = self._phones.refusal(command.by, via)
        if refused is not None:
            return Answer.refused(refused)
        ring_ms = round(_ACCEPTED_RING_S * 1000)
        answer = self._order(
            SupervisorActed(command.command_id, command.by, order, voice_within_ms=ring_ms)
        )
        if answer.accepted:
            refused = self._phones.call(via, PhoneUse(command.by, accepts=True))
        if refused is None:
            return answer
        self.wish(command.by, HandBackOrder())
        return Answer.refused(refused)

    def on_phone_heard(self, phone: SupervisorPhone, *, joined: bool) -> None:
        """Learn that a phone hears the call from now on, or no more."""
        if joined:
            self._attune(phone)
            if not phone.private:
                self._record.event("phone_joined", {"by": phone.by})
        self._watchers.changed()

    def wish(self, by: str, order: Order) -> None:
        """Do what a phone's keys ask for."""
        self._wishes += 1
        self._order(SupervisorActed(f"phone-{self._wishes}", by, order))

    # Records and answers

    def _on_joined(self, effect: SupervisorJoined) -> None:
        self._record.event("supervisor_joined", {"by": effect.by})

    def _on_left(self, effect: SupervisorLeft) -> None:
        self._record.event("supervisor_left", {"by": effect.by, "lost": int(effect.lost)})

    def _on_resumed(self, effect: AgentResumed) -> None:
        self._phones.let_accepting_go()
        self._record.event(
            "agent_resumed",
            {"by": effect.by, "away_ms": effect.away_ms, "cause": effect.cause},
        )
        log.info("agent_resumed", cause=effect.cause, away_ms=effect.away_ms)


def _nobody(given: Input) -> None:
    """Take what is fed to a call that is over."""
