"""The call to the person who gets the caller: its announcement, their keys, their voice.

Everything runs in the loop's thread. The person's line is in the pump until the two calls are
joined: then their audio flows within PJSIP.
"""

import asyncio
from collections.abc import Callable

import numpy as np

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.levels import SpeechGate, Started
from bridge.engine.inputs import (
    AnnouncementHeard,
    Input,
    PersonAnswered,
    PersonHeld,
    PersonLeft,
    PersonPressed,
    PersonSpoke,
)
from bridge.realtime.ids import ItemId
from bridge.telephony.end_reasons import HANDED_BACK
from bridge.telephony.keys import KeyPress
from bridge.telephony.leg import Leg, LegState, Lost, TransferProgress
from bridge.telephony.lines import Line
from bridge.telephony.ports import JoinablePorts, Samples
from bridge.telephony.pump import Pump
from bridge.telephony.taps import AGENT, CALLER

_ANNOUNCEMENT = ItemId("bridge_announcement")
_PIECE_HZ = 24_000


class Person:
    """The call to a person whom the bridge has dialled for a hand-off.

    Args:
        leg: outbound, just dialled.
        feed: takes what is to be fed to the call's core.
        silent_ms: without a packet of RTP for so long after the answer the call is lost; None: as
            any other.
    """

    def __init__(
        self,
        leg: Leg,
        pump: Pump,
        ports: JoinablePorts,
        feed: Callable[[Input], None],
        *,
        silent_ms: int | None = None,
    ) -> None:
        self._leg = leg
        self._pump = pump
        self._ports = ports
        self._feed = feed
        self._line: Line | None = None
        self._answered = False
        self._joined = False
        self._announcing = False
        self._gate: SpeechGate | None = None
        self._silent_ms = silent_ms
        self._silent: asyncio.TimerHandle | None = None
        leg.listener, leg.replaceable = self, True
        leg.before_row_closes(self._let_line_go)

    def announce(self, audio: bytes) -> None:
        """Play the announcement, 24 kHz 16-bit PCM; AnnouncementHeard follows."""
        if self._line is not None:
            self._announcing = True
            self._pump.downlink.play(self._line.row, _ANNOUNCEMENT, 0, audio)

    def join(self, row: int) -> None:
        """Have the call of ``row`` and the person hear each other.

        Raises:
            TelephonyError: PJSIP refused it.
        """
        if self._leg.row is None:
            return
        if self._line is not None:
            self._pump.downlink.flush(self._line.row)
            self._let_line_go(self._line.row)
        self._joined = True
        self._ports.join(row, self._leg.row)

    def press(self, digits: str) -> None:
        """Press keys towards the person.

        Raises:
            TelephonyError: their phone takes none.
        """
        self._leg.send_digits(digits)

    def let_go(self) -> None:
        """End the call, from whatever state it is in; nothing more of it is reported."""
        self._feed = _nobody
        self._stop_waiting()
        if self._joined and self._leg.row is not None:
            self._ports.part(self._leg.row)
        self._leg.hangup(HANDED_BACK)

    # Listener of the leg

    def on_state(self, state: LegState) -> None:
        """Take the call's state."""
        if state is LegState.DISCONNECTED:
            self._stop_waiting()
            self._feed(PersonLeft(self._leg.last_code, lost=self._leg.lost is not None))
        elif state is LegState.CONFIRMED:
            self._confirm()

    def on_media(self, flowing: bool) -> None:
        """Take up the audio, or learn of a hold."""
        if self._joined:
            self._feed(PersonHeld(not flowing))
        elif self._line is None and self._leg.row is not None:
            self._line = self._pump.add(self._leg.row, self)
            self._confirm()
        elif self._line is not None:
            self._line.playout.paused = not flowing

    def on_digit(self, press: KeyPress) -> None:
        """Take a key."""
        if not press.repeated:
            self._feed(PersonPressed(press.digit))

    def on_transfer(self, progress: TransferProgress) -> None:
        """Nobody transfers the person."""

    def on_replaced(self) -> None:
        """Go on with whom the person has handed the call to, or who took it up for them."""

    # Listener of the line

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Listen for a voice after the announcement."""
        if self._gate is None:
            return
        samples = np.frombuffer(audio, dtype="<i2")
        for frame in samples.reshape(-1, self._gate.frame_samples):
            if isinstance(self._gate.feed(frame), Started):
                self._feed(PersonSpoke())

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Learn that the announcement was heard."""
        if isinstance(event, PlayoutDrained) and self._announcing:
            self._announcing = False
            self._gate = SpeechGate(_PIECE_HZ)
            self._feed(AnnouncementHeard())

    def _confirm(self) -> None:
        """Report the answer when it is confirmed and media flows, whatever is last."""
        if self._line is not None and self._leg.state is LegState.CONFIRMED and not self._answered:
            self._answered = True
            if self._silent_ms is not None:
                loop = asyncio.get_running_loop()
                self._silent = loop.call_later(self._silent_ms / 1000, self._look_for_audio)
            self._feed(PersonAnswered())

    def _look_for_audio(self) -> None:
        """Take a far end for lost that has answered, and sends nothing."""
        self._silent = None
        if not self._leg.held and self._leg.packets_heard == 0:
            self._leg.lose(Lost.NO_MEDIA)

    def _stop_waiting(self) -> None:
        silent, self._silent = self._silent, None
        if silent is not None:
            silent.cancel()

    def _let_line_go(self, row: int) -> None:
        self._pump.remove(row)
        self._line = None


def _nobody(given: Input) -> None:
    """Take what is fed about a person who was let go."""


_EMPTY: Samples = np.empty((0, 2), dtype=np.int16)


class FirstVoice:
    """Waits for the first sound on the agent's side.

    Args:
        rate_hz: of the rings.
        on_heard: called once, with whether the caller had not spoken before.
    """

    def __init__(self, rate_hz: int, on_heard: Callable[[bool], None]) -> None:
        self._gates = {side: SpeechGate(rate_hz) for side in (CALLER, AGENT)}
        self._on_heard: Callable[[bool], None] | None = on_heard
        self._unasked = True
        self._rest: Samples = _EMPTY

    def hear(self, sound: Samples) -> None:
        """Take what is said, shape (n, 2) or more int16: caller, agent as heard."""
        if self._on_heard is None:
            return
        size = self._gates[AGENT].frame_samples
        sound = np.concatenate([self._rest, sound[:, : AGENT + 1]])
        whole = len(sound) // size * size
        self._rest = sound[whole:]
        for frame in sound[:whole].reshape(-1, size, AGENT + 1):
            starts = {
                side: isinstance(gate.feed(np.ascontiguousarray(frame[:, side])), Started)
                for side, gate in self._gates.items()
            }
            if starts[AGENT]:
                on_heard, self._on_heard = self._on_heard, None
                on_heard(self._unasked)
                return
            self._unasked = self._unasked and not starts[CALLER]
