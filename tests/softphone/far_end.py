"""The far end of a softphone's call, in this process: a SIP endpoint that the test plays with."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import numpy as np
from numpy.typing import NDArray

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.levels import SpeechGate, Started
from bridge.clock import SystemClock
from bridge.config.sip import SipSettings
from bridge.realtime.ids import ItemId
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.keys import KeyPress
from bridge.telephony.leg import Leg, LegState, TransferProgress
from bridge.telephony.lines import Line
from bridge.telephony.pump import Pump
from bridge.telephony.tick import Ticker

RATE_HZ = 24_000
PIECE_MS = 20


def tone(hz: float, ms: int, amplitude: int = 6000) -> NDArray[np.int16]:
    """A sine, (n,) int16 at 24 kHz."""
    at = np.arange(RATE_HZ * ms // 1000) / RATE_HZ
    wave: NDArray[np.int16] = np.rint(amplitude * np.sin(2 * np.pi * hz * at)).astype(np.int16)
    return wave


def loudest_hz(samples: NDArray[np.int16], rate_hz: int) -> float:
    """The frequency with the most energy, to the nearest 5 Hz or so."""
    windowed = samples * np.hanning(samples.size)
    return float(np.argmax(np.abs(np.fft.rfft(windowed))) * rate_hz / samples.size)


def loud_part(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """From the first to the last loud sample."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 1000)
    assert loud.size, "silence"
    return samples[loud[0] : loud[-1]]


class FarCall:
    """One call at the far end. Times are ms since its audio began, on its own audio clock."""

    def __init__(self, leg: Leg, pump: Pump) -> None:
        self.leg = leg
        self.presses: list[KeyPress] = []
        self.states: list[LegState] = []
        self.media: list[bool] = []
        self.playing_from_ms: list[int] = []
        self.caller_speech: list[tuple[bool, int]] = []
        self.on_caller_speech: Callable[[], None] = lambda: None
        self._pump = pump
        self._line: Line | None = None
        self._pieces: list[NDArray[np.int16]] = []
        self._gate = SpeechGate(RATE_HZ)
        self._numbers = count(1)
        leg.listener = self
        leg.before_row_closes(self._let_go)

    @property
    def heard(self) -> NDArray[np.int16]:
        return np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.int16)

    @property
    def digits(self) -> list[str]:
        return [press.digit for press in self.presses]

    @property
    def talking(self) -> bool:
        return self._line is not None and self.leg.state is LegState.CONFIRMED

    @property
    def over(self) -> bool:
        return self.leg.state is LegState.DISCONNECTED

    @property
    def position_ms(self) -> int:
        return len(self._pieces) * PIECE_MS

    def play(self, samples: NDArray[np.int16]) -> None:
        assert self._line is not None
        item = ItemId(f"far-{next(self._numbers)}")
        self._pump.downlink.play(self._line.row, item, 0, samples.tobytes())

    def hush(self) -> None:
        assert self._line is not None
        self._pump.downlink.flush(self._line.row)

    def on_state(self, state: LegState) -> None:
        self.states.append(state)

    def on_media(self, flowing: bool) -> None:
        self.media.append(flowing)
        if self._line is None and self.leg.row is not None:
            self._line = self._pump.add(self.leg.row, self)

    def on_digit(self, press: KeyPress) -> None:
        self.presses.append(press)

    def on_transfer(self, progress: TransferProgress) -> None:
        raise AssertionError("the far end transfers nobody")

    def on_replaced(self) -> None:
        raise AssertionError("nobody takes the far end's place")

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        piece = np.frombuffer(audio, dtype="<i2")
        self._pieces.append(piece)
        change = self._gate.feed(piece)
        if change is not None:
            started = isinstance(change, Started)
            self.caller_speech.append((started, change.at_samples * 1000 // RATE_HZ))
            if started:
                self.on_caller_speech()

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        if isinstance(event, PlayoutStarted):
            self.playing_from_ms.append(self.position_ms)

    def _let_go(self, row: int) -> None:
        self._pump.remove(row)
        self._line = None


class FarEnd:
    """A SIP endpoint that hands every call to ``take``."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[FarCall] = asyncio.Queue()
        self.take: Callable[[Leg], None] = Leg.answer
        self._endpoint = SipEndpoint(
            SipSettings(host="127.0.0.1", port=0), on_incoming=self._on_incoming
        )
        self._ticker: Ticker | None = None
        self._pump: Pump | None = None

    @property
    def uri(self) -> str:
        return f"sip:127.0.0.1:{self._endpoint.port}"

    async def call(self) -> FarCall:
        return await asyncio.wait_for(self.calls.get(), 15)

    def _on_incoming(self, leg: Leg) -> None:
        assert self._pump is not None
        self.calls.put_nowait(FarCall(leg, self._pump))
        self.take(leg)

    def _tick(self) -> None:
        assert self._pump is not None
        self._endpoint.poll()
        self._pump.tick()

    def start(self) -> None:
        clock = SystemClock()
        self._endpoint.start()
        self._pump = Pump(self._endpoint.ports, clock, append_ms=PIECE_MS, ahead_ms=100)
        self._ticker = Ticker(self._tick, period_ms=10, clock=clock, on_lag=lambda ns: None)
        self._ticker.start()

    async def stop(self) -> None:
        for leg in list(self._endpoint.legs):
            leg.hangup()
        await self._endpoint.idle(1.0)
        if self._ticker is not None:
            self._ticker.stop()
        self._endpoint.stop()


@asynccontextmanager
async def far_end() -> AsyncIterator[FarEnd]:
    """A started far end; Python's cycle collector rests (PJSIP's threads run Python)."""
    gc.collect()
    gc.disable()
    end = FarEnd()
    try:
        end.start()
        yield end
    finally:
        await end.stop()
        gc.collect()
        gc.enable()
