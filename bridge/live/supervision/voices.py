"""A supervisor's open microphone in one call: in the agent's place, or beside it.

In its place the voice goes the agent's way into the call. Beside it the voice has a row of its own
that PJSIP mixes into the call, so that neither waits for the other, and the agent hears it, too.
Loop's thread.
"""

import asyncio
from typing import Protocol

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.supervisor_frames import TalkFrame
from bridge.telephony.microphone import Microphone
from bridge.telephony.ports import JoinablePorts
from bridge.telephony.pump import Pump

_FADED_S = 0.1
"""A guest's row stays in the call until PJSIP has taken the fade of what was cut."""


class Voice(Protocol):
    """The voice of a supervisor in a call, from a phone or a browser."""

    def push(self, frame: TalkFrame) -> None:
        """Take what is said."""
        ...

    def hush(self) -> None:
        """Have what was not heard yet not be heard."""
        ...

    def close(self, *, at_once: bool = False) -> None:
        """Have nothing more be heard; ``at_once``: the call's audio is over."""
        ...


class VoiceInPlace:
    """A voice that is heard in the agent's place.

    Args:
        row: the call's.
    """

    def __init__(self, pump: Pump, row: int) -> None:
        self._pump = pump
        self._row = row
        self._microphone = Microphone(pump, row)

    def push(self, frame: TalkFrame) -> None:
        """Take what is said."""
        self._microphone.push(frame)

    def hush(self) -> None:
        """Have what was not heard yet not be heard."""
        self._pump.downlink.flush(self._row)

    def close(self, *, at_once: bool = False) -> None:
        """Have nothing more be heard."""
        if not at_once:
            self.hush()


class VoiceBeside:
    """A voice that is heard beside the agent's, by the caller and by the agent.

    Args:
        row: the call's.

    Raises:
        RingsExhausted: no row is free.
        TelephonyError: PJSIP refused one.
    """

    def __init__(self, pump: Pump, ports: JoinablePorts, row: int) -> None:
        self._pump = pump
        self._ports = ports
        self._host = row
        self._row: int | None = ports.open_row()
        pump.add(self._row, self)
        ports.seat(row, self._row)
        self._microphone = Microphone(pump, self._row)
        self._closing: asyncio.TimerHandle | None = None

    def push(self, frame: TalkFrame) -> None:
        """Take what is said."""
        if self._row is not None and self._closing is None:
            self._microphone.push(frame)

    def hush(self) -> None:
        """Have what was not heard yet not be heard."""
        if self._row is not None:
            self._pump.downlink.flush(self._row)

    def close(self, *, at_once: bool = False) -> None:
        """Have nothing more be heard, and give the row back once that has faded out."""
        if at_once:
            self._leave()
        elif self._row is not None and self._closing is None:
            self.hush()
            self._closing = asyncio.get_running_loop().call_later(_FADED_S, self._leave)

    def _leave(self) -> None:
        row, self._row = self._row, None
        if self._closing is not None:
            self._closing.cancel()
        if row is not None:
            self._ports.unseat(self._host)
            self._pump.remove(row)
            self._ports.close_row(row)

    # Listener of its own line, in which there is nobody

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Take silence."""

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Learn that the voice is heard."""
