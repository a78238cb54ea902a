"""A supervisor's desk phone, called or calling in: it hears a call, and may be heard in it.

    *1  only listen (what was taken over goes back to the agent)
    *3  take the caller over
    *0  leave; hanging up does the same

It is a listener and a microphone like a browser's, over another line in the pump: the caller's call
is touched no more than by a browser, and what keys do is what the console's actions do.
"""

import asyncio
import enum
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bridge.audio.formats import FromRing
from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.supervisor_frames import TalkFrame
from bridge.realtime.session_config import AudioFormat
from bridge.telephony.audience import in_stereo
from bridge.telephony.end_reasons import HANDED_BACK
from bridge.telephony.keys import KeyPress
from bridge.telephony.leg import Leg, LegState, TransferProgress
from bridge.telephony.lines import Line
from bridge.telephony.microphone import Microphone
from bridge.telephony.ports import Samples
from bridge.telephony.pump import Pump

_EAR_PREFILL_MS = 40
"""Both lines step with the same clock: what comes late is late by a tick."""


class Wish(enum.StrEnum):
    """A request that a supervisor's keys make; the value is the keys."""

    LISTEN = "*1"
    TAKE_OVER = "*3"
    LEAVE = "*0"


class SupervisorPhoneListener(Protocol):
    """The interface of whatever follows a supervisor's phone."""

    def on_phone_ready(self, phone: "SupervisorPhone") -> None:
        """Learn that it was answered, and hears what :meth:`SupervisorPhone.hear` is given."""
        ...

    def on_phone_wish(self, phone: "SupervisorPhone", wish: Wish) -> None:
        """Learn what its keys ask for."""
        ...

    def on_phone_audio(self, phone: "SupervisorPhone", frame: TalkFrame) -> None:
        """Take what is said into it."""
        ...

    def on_phone_gone(self, phone: "SupervisorPhone") -> None:
        """Learn that its call is over, or never came to be."""
        ...


@dataclass(frozen=True, slots=True)
class PhoneUse:
    """The purpose of a supervisor's phone, with the rights of its supervisor.

    Attributes:
        by: its supervisor.
        may_take_over: whether ``*3`` is theirs.
        private: that they listen stands in the audit alone.
        accepts: it is there for a caller out of the queue, and leaves when they are given back.
    """

    by: str
    may_take_over: bool = False
    private: bool = False
    accepts: bool = False


class SupervisorPhone:
    """A supervisor's phone that rings, or is on the call.

    Args:
        use: whose it is, and what for.
        leg: outbound, just dialled; or inbound, not answered yet.
        pump: moves its audio.
        listener: hears of it.

    Attributes:
        by, may_take_over, private, accepts: as of its use.
        ready: it was answered, and hears the call.
        gone: its call is over.
        without_agent, without_guest, deaf: as of :class:`bridge.telephony.audience.Listener`.
    """

    def __init__(
        self, use: PhoneUse, leg: Leg, pump: Pump, listener: SupervisorPhoneListener
    ) -> None:
        self.by = use.by
        self.may_take_over = use.may_take_over
        self.private = use.private
        self.accepts = use.accepts
        self.ready = False
        self.gone = asyncio.Event()
        self.without_agent = self.without_guest = self.deaf = False
        self._leg = leg
        self._pump = pump
        self._listener = listener
        self._line: Line | None = None
        self._ear: Microphone | None = None
        self._history: Samples = np.zeros(0, dtype=np.int16)
        self._heard = self._said = 0
        self._keys = ""
        leg.listener = self
        leg.before_row_closes(self._let_line_go)

    def hear(self, stereo: Samples) -> None:
        """Have the phone hear both sides of a call, int16 (:func:`in_stereo`)."""
        if self._ear is None or self.deaf:
            return
        stereo = in_stereo(stereo, without_guest=self.without_guest)
        sides = stereo[:, :1] if self.without_agent else stereo
        both = np.clip(sides.astype(np.int32).sum(axis=1), -32768, 32767).astype(np.int16)
        resample = FromRing(AudioFormat.PCM_24KHZ, len(both), self._pump.rate_hz)
        if not self._history.size:
            self._history = np.zeros(resample.history_samples, dtype=np.int16)
        window = np.concatenate([self._history, both])
        self._history = window[-resample.history_samples :]
        self._ear.push(TalkFrame(self._heard, 0, resample(window[np.newaxis])))
        self._heard += 1

    def let_go(self) -> None:
        """End its call, from whatever state it is in."""
        self._leg.hangup(HANDED_BACK)

    # Listener of the leg

    def on_state(self, state: LegState) -> None:
        """Take the call's state."""
        if state is LegState.DISCONNECTED:
            self.gone.set()
            self._listener.on_phone_gone(self)
        else:
            self._confirm()

    def on_media(self, flowing: bool) -> None:
        """Take up the audio, or learn of a hold."""
        if self._line is None and self._leg.row is not None:
            self._line = self._pump.add(self._leg.row, self)
            self._ear = Microphone(self._pump, self._leg.row, prefill_ms=_EAR_PREFILL_MS)
            self._confirm()
        elif self._line is not None:
            self._line.playout.paused = not flowing

    def on_digit(self, press: KeyPress) -> None:
        """Take a key; two make a wish."""
        if press.repeated:
            return
        self._keys = (self._keys + press.digit)[-2:]
        if self._keys in set(Wish):
            wish, self._keys = Wish(self._keys), ""
            self._listener.on_phone_wish(self, wish)

    def on_transfer(self, progress: TransferProgress) -> None:
        """Nobody transfers a supervisor."""

    def on_replaced(self) -> None:
        """Nobody takes a supervisor's place."""

    # Listener of the line

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Pass on what the supervisor says, 24 kHz."""
        self._listener.on_phone_audio(self, TalkFrame(self._said, 0, audio))
        self._said += 1

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """What the phone has heard is of no interest."""

    def _confirm(self) -> None:
        if self._line is None or self._leg.state is not LegState.CONFIRMED or self.ready:
            return
        self.ready = True
        self._listener.on_phone_ready(self)

    def _let_line_go(self, row: int) -> None:
        self._pump.remove(row)
        self._line = self._ear = None
