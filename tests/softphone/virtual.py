"""A softphone's call without SIP: its audio clock ticks as fast as Python runs.

Fakes stand where PJSIP would: the leg never leaves this process, and the pump is a loop that feeds
20 ms of the agent's audio and takes 20 ms of the caller's, round by round.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from bridge.clock import ManualClock
from bridge.realtime.ids import ItemId
from bridge.softphone.background import Background, NoiseLoop
from bridge.softphone.call import PhoneCall
from bridge.softphone.ear import PIECE_MS
from bridge.softphone.events import PhoneEvent, Spoke
from bridge.telephony.end_reasons import EndReason
from bridge.telephony.leg import Leg, LegState
from bridge.telephony.lines import Line, LineListener
from bridge.telephony.ports import MediaPorts
from bridge.telephony.pump import Pump
from bridge.telephony.recorder import Recorder
from tests.softphone.far_end import tone

T = TypeVar("T")

_FRAME_SAMPLES = 160
_LOUD = tone(1000, PIECE_MS).tobytes()
_QUIET = bytes(len(_LOUD))
_MOST_ROUNDS = 20_000
"""400 s of call: a test that needs more hangs."""


class _Leg(Leg):
    """A leg that does what it is told at once."""

    def __init__(self, *, answers_bye: bool) -> None:
        ports = cast(MediaPorts, None)  # nothing here has media
        super().__init__(ports, called="support", from_uri="", to_uri="")
        self.sent_digits: list[str] = []
        self.sent_by_info = False
        self._answers_bye = answers_bye
        self.state = LegState.CALLING
        self.row = 0

    def hangup(self, reason: EndReason | None = None) -> None:
        self.ended_by_far_end = False
        if self._answers_bye:
            self.end()

    def send_digits(self, digits: str, *, by_info: bool = False) -> None:
        self.sent_digits.append(digits)
        self.sent_by_info = by_info

    def hold(self) -> None:
        self.held = True
        self.listener.on_media(False)

    def resume(self) -> None:
        self.held = False
        self.listener.on_media(True)

    def end(self) -> None:
        if self.state is not LegState.DISCONNECTED:
            self.state = LegState.DISCONNECTED
            self._closing_row(0)
            self.listener.on_state(self.state)


class _Pump:
    """Keeps the one line; its downlink is itself."""

    def __init__(self) -> None:
        self.downlink = self
        self.line: Line | None = None

    def add(self, row: int, listener: LineListener, recorder: Recorder | None = None) -> Line:
        self.line = Line(row, listener, recorder, lambda ns: None)
        return self.line

    def play(self, row: int, item_id: ItemId, content_index: int, audio: bytes) -> None:
        assert self.line is not None
        self.line.playout.queue(item_id, content_index, audio, 0)

    def remove(self, row: int) -> None:
        self.line = None


class VirtualCall:
    """An answered call whose agent says what ``agent`` decides, 20 ms at a time.

    It decides for sound, for silence, or gives 24 kHz samples of its own.
    """

    def __init__(
        self,
        agent: Callable[["VirtualCall"], bool | bytes] = lambda call: False,
        *,
        answers_bye: bool = True,
        recording: Path | None = None,
        noise: NDArray[np.int16] | None = None,
        background: Background | None = None,
        keys_by_info: bool = False,
    ) -> None:
        self.sent: list[tuple[int, bytes]] = []  # 20 ms of the caller's, and when
        self.events: list[PhoneEvent] = []  # in order
        self.leg = _Leg(answers_bye=answers_bye)
        self.now_ms = 0
        self.caller_speaks = False
        self._agent = agent
        self._pump = _Pump()
        self._position = 0
        pump = cast(Pump, self._pump)  # the part of it that a phone call uses
        self.call = PhoneCall(
            self.leg,
            pump,
            ManualClock(),
            self.events.append,
            recording,
            keys_by_info=keys_by_info,
            background=background
            or (Background(NoiseLoop(noise), None) if noise is not None else None),
        )
        self.leg.state = LegState.CONFIRMED
        self.leg.listener.on_state(self.leg.state)

    @property
    def said(self) -> list[tuple[str, int]]:
        """What the caller said, and when it began."""
        spoke = [event for event in self.events if isinstance(event, Spoke) and event.started]
        return [(event.text, event.at_ms) for event in spoke]

    async def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Let the call go on until ``doing`` is done."""
        task = asyncio.create_task(doing)
        for _ in range(_MOST_ROUNDS):
            for _ in range(4):
                await asyncio.sleep(0)
            if task.done():
                return task.result()
            self._round()
        task.cancel()
        raise AssertionError("it did not come to an end")

    def _round(self) -> None:
        line = self._pump.line
        if line is None:
            return
        self.now_ms += PIECE_MS
        self._position += _FRAME_SAMPLES
        block = None if line.playout.paused else line.playout.take_block(_FRAME_SAMPLES)
        self.sent.append((self.now_ms, b"" if block is None else block.audio))
        self.caller_speaks = block is not None and any(block.audio)
        if block is not None:
            line.playout.laid(block, self._position, _FRAME_SAMPLES)
        for event in line.playout.advance(self._position):
            line.listener.on_playout(event)
        sound = self._agent(self)
        if isinstance(sound, bool):
            sound = _LOUD if sound else _QUIET
        line.listener.on_caller_audio(sound, 0)
