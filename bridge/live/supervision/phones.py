"""Desk phones of one call's supervisors: called from here, or calling in; heard only if let."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

import structlog

from bridge.audio.supervisor_frames import TalkFrame
from bridge.errors import CallNotPlacedError, TelephonyError
from bridge.live.services import Services
from bridge.live.supervision.phone import PhoneUse, SupervisorPhone, Wish
from bridge.routing.supervisor_verbs import HandBackOrder, Order, TakeOverOrder
from bridge.sip.trace import SUPERVISOR
from bridge.telephony.leg import Leg
from bridge.telephony.lines import Line

log = structlog.get_logger(__name__)

RING_S = 30.0
"""How long a supervisor's phone rings."""


class Desk(Protocol):
    """The call's side of a phone (:class:`bridge.live.supervision.supervisors.Supervision`)."""

    def connect(self, by: str) -> None:
        """Note that a supervisor's microphone is there."""
        ...

    def disconnect(self, by: str) -> None:
        """Note that it is gone."""
        ...

    def push(self, by: str, frame: TalkFrame) -> None:
        """Take what a supervisor says."""
        ...

    def wish(self, by: str, order: Order) -> None:
        """Do what a phone's keys ask for."""
        ...

    def on_phone_heard(self, phone: SupervisorPhone, *, joined: bool) -> None:
        """Learn that a phone hears the call from now on, or no more."""
        ...


class _Nobody:
    """The desk of a call that is over."""

    def connect(self, by: str) -> None: ...

    def disconnect(self, by: str) -> None: ...

    def push(self, by: str, frame: TalkFrame) -> None: ...

    def wish(self, by: str, order: Order) -> None: ...

    def on_phone_heard(self, phone: SupervisorPhone, *, joined: bool) -> None: ...


class SupervisorPhones:
    """The phones of one call.

    Args:
        desk: what they do to the call.
        services: what calls share.
        call_id: the call.
        line: the call's; None before there is media, and after its end.
    """

    def __init__(
        self, desk: Desk, services: Services, call_id: str, line: Callable[[], Line | None]
    ) -> None:
        self._desk: Desk = desk
        self._services = services
        self._call_id = call_id
        self._pump = services.pump
        self._line = line
        self._ringing: dict[SupervisorPhone, asyncio.TimerHandle] = {}

    @property
    def ready(self) -> tuple[SupervisorPhone, ...]:
        """Those that hear the call."""
        return tuple(phone for phone in self._ringing if phone.ready)

    def __iter__(self) -> Iterator[SupervisorPhone]:
        return iter(tuple(self._ringing))

    def refusal(self, by: str, via: str) -> str | None:
        """Return why a phone may not be called; None where it may."""
        if self._line() is None:
            return "over"
        if not self._services.may_call(via):
            return "phone_not_allowed"
        return self._taken(by)

    def call(self, via: str, use: PhoneUse) -> str | None:
        """Call a phone that may be called, at its SIP URI; return why it could not be."""
        try:
            leg = self._services.endpoint.dial(via)
        except TelephonyError as error:
            log.warning("phone_not_dialled", error=error.what)
            return error.reason if isinstance(error, CallNotPlacedError) else "not_dialled"
        self._keep(SupervisorPhone(use, leg, self._pump, self), leg)
        return None

    def take(self, leg: Leg, use: PhoneUse) -> SupervisorPhone | None:
        """Answer a phone that calls in; None where it can't be had."""
        if self._line() is None or self._taken(use.by) is not None:
            return None
        phone = SupervisorPhone(use, leg, self._pump, self)
        self._keep(phone, leg)
        leg.answer()
        return phone

    def let_accepting_go(self) -> None:
        """End those that were there for a caller out of the queue, who was given back."""
        for phone in self:
            if phone.accepts:
                phone.let_go()

    def on_line_gone(self) -> None:
        """Let everybody go: the call's audio is over."""
        line = self._line()
        for phone in self:
            if line is not None:
                self._pump.dismiss(line.row, phone.hear)
            phone.let_go()

    def close(self) -> None:
        """Have nothing to do with the call any more; phones may still be hanging up."""
        self._desk, self._line = _Nobody(), lambda: None

    def _taken(self, by: str) -> str | None:
        return "already" if any(phone.by == by for phone in self._ringing) else None

    def _keep(self, phone: SupervisorPhone, leg: Leg) -> None:
        if not phone.private:  # nobody is to see that they were there
            self._services.endpoint.traces.join(self._call_id, leg.sip_call_id, SUPERVISOR)
        loop = asyncio.get_running_loop()
        self._ringing[phone] = loop.call_later(RING_S, phone.let_go)

    # Listener of the phones

    def on_phone_ready(self, phone: SupervisorPhone) -> None:
        """Have a phone that was answered hear the call."""
        line = self._line()
        self._ringing[phone].cancel()
        if line is None:
            phone.let_go()
            return
        self._pump.admit(line.row, phone.hear)
        self._desk.on_phone_heard(phone, joined=True)
        self._desk.connect(phone.by)

    def on_phone_wish(self, phone: SupervisorPhone, wish: Wish) -> None:
        """Do what a phone's keys ask for."""
        if wish is Wish.LEAVE:
            phone.let_go()
        elif wish is Wish.LISTEN:
            self._desk.wish(phone.by, HandBackOrder())
        elif phone.may_take_over:
            self._desk.wish(phone.by, TakeOverOrder())

    def on_phone_audio(self, phone: SupervisorPhone, frame: TalkFrame) -> None:
        """Take what is said into a phone."""
        self._desk.push(phone.by, frame)

    def on_phone_gone(self, phone: SupervisorPhone) -> None:
        """Let a phone go; who hangs up has left, and has not lost the connection."""
        ringing = self._ringing.pop(phone, None)
        if ringing is None:
            return
        ringing.cancel()
        line = self._line()
        if phone.ready and line is not None:
            self._pump.dismiss(line.row, phone.hear)
            self._desk.on_phone_heard(phone, joined=False)
        if phone.ready or phone.accepts:
            self._desk.wish(phone.by, HandBackOrder())
        if phone.ready:
            self._desk.disconnect(phone.by)
