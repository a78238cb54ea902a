"""A SIP phone that speaks and listens: one call at a time, in a process of its own.

It stands where a caller stands: all that it knows of the agent is what comes out of the RTP
stream. Times it reports are ms since its call was answered, on the audio clock of its own ring.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bridge.audio.levels import SpeechGate, Started
from bridge.clock import Clock
from bridge.config.settings import SipSettings
from bridge.engine.inputs import PlayoutDrained, PlayoutStarted
from bridge.errors import TelephonyError
from bridge.realtime.ids import ItemId
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.leg import Leg, LegState
from bridge.telephony.playout import UPSAMPLING
from bridge.telephony.ports import RATE_HZ
from bridge.telephony.pump import Line, Pump
from bridge.telephony.recorder import Recorder
from bridge.telephony.tick import Ticker

_PIECE_MS = 20


@dataclass(frozen=True, slots=True)
class AgentSpeech:
    """The agent began or ceased to be heard, at ``at_ms`` after the answer."""

    started: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Spoke:
    """The caller's own voice began to go out, or had gone out, at ``at_ms`` after the answer."""

    text: str
    started: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class CallProgress:
    """The call's SIP state changed."""

    state: str
    sip_code: int


PhoneEvent = AgentSpeech | Spoke | CallProgress


class PhoneListener(Protocol):
    """Who watches the phone."""

    def __call__(self, event: PhoneEvent) -> None:
        """Take an event, in the loop's thread."""
        ...


class Softphone:
    """A SIP phone. Use as an async context manager; then :meth:`call`.

    Args:
        clock: stamps audio.
        on_event: hears what happens.
        recording: stereo WAV of the call, caller left, agent right; None records nothing.
    """

    def __init__(
        self, clock: Clock, on_event: PhoneListener, *, recording: Path | None = None
    ) -> None:
        self._clock = clock
        self._on_event = on_event
        self._recording = recording
        self._endpoint = SipEndpoint(SipSettings(host="127.0.0.1", port=0))
        self._pump: Pump | None = None
        self._ticker = Ticker(self._tick, period_ms=10, clock=clock, on_lag=lambda ns: None)

    async def __aenter__(self) -> "Softphone":
        self._endpoint.start()
        self._pump = Pump(self._endpoint.ports, self._clock, append_ms=_PIECE_MS, ahead_ms=100)
        self._ticker.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for leg in list(self._endpoint.legs):
            leg.hangup()
        await self._endpoint.idle(timeout_s=1.0)
        self._ticker.stop()
        self._endpoint.stop()

    def _tick(self) -> None:
        self._endpoint.poll()
        if self._pump is not None:
            self._pump.tick()

    def call(self, uri: str) -> "PhoneCall":
        """Send an INVITE.

        Raises:
            TelephonyError: the URI can't be called.
        """
        if self._pump is None:
            raise TelephonyError("the phone is not switched on")
        recorder = None if self._recording is None else Recorder(self._recording)
        return PhoneCall(
            self._endpoint.dial(uri), self._pump, self._clock, self._on_event, recorder
        )


class PhoneCall:
    """A call placed by a :class:`Softphone`."""

    def __init__(
        self,
        leg: Leg,
        pump: Pump,
        clock: Clock,
        on_event: PhoneListener,
        recorder: Recorder | None,
    ) -> None:
        self.leg = leg
        self.agent_heard_ms = 0
        self._pump = pump
        self._clock = clock
        self._on_event = on_event
        self._recorder = recorder
        self._line: Line | None = None
        self._gate = SpeechGate(RATE_HZ * UPSAMPLING)
        self._heard: list[npt.NDArray[np.int16]] = []
        self._heard_ms = 0
        self._changed = asyncio.Event()
        self._agent_speaking = False
        self._agent_changed_ms = 0
        self._agent_starts = 0
        self._saying: list[str] = []
        leg.listener = self
        leg.before_row_closes(self._let_line_go)

    @property
    def elapsed_ms(self) -> int:
        """Audio received since the answer, ms."""
        return self._heard_ms

    @property
    def heard(self) -> npt.NDArray[np.int16]:
        """All that was heard, 24 kHz mono."""
        return np.concatenate(self._heard) if self._heard else np.zeros(0, dtype=np.int16)

    def on_state(self, state: LegState) -> None:
        """Take the leg's state."""
        self._on_event(CallProgress(state.value, self.leg.last_code))
        self._changed.set()

    def on_media(self, flowing: bool) -> None:
        """Begin to move audio at the first media."""
        if self._line is None and self.leg.row is not None:
            self._line = self._pump.add(self.leg.row, self, self._recorder)
        self._changed.set()

    def on_digit(self, digit: str) -> None:
        """Digits from the agent's side are of no use to a caller."""

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Listen to what came in."""
        samples = np.frombuffer(audio, dtype="<i2")
        self._heard.append(samples)
        self._heard_ms += _PIECE_MS
        change = self._gate.feed(samples)
        if change is not None:
            self._agent_speaking = isinstance(change, Started)
            self._agent_changed_ms = change.at_samples * 1000 // (RATE_HZ * UPSAMPLING)
            self._agent_starts += self._agent_speaking
            self._on_event(AgentSpeech(self._agent_speaking, self._agent_changed_ms))
        if self._agent_speaking:
            self.agent_heard_ms += _PIECE_MS
        self._changed.set()

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Learn that our own words go out, or are out."""
        started = isinstance(event, PlayoutStarted)
        text = self._saying[0] if self._saying else ""
        if not started and self._saying:
            self._saying.pop(0)
        self._on_event(Spoke(text, started, self._heard_ms))
        self._changed.set()

    async def answered(self, timeout_s: float) -> bool:
        """Wait until media flows; False when the call was refused or nobody answered."""
        await self._until(
            lambda: self._line is not None or self.leg.state is LegState.DISCONNECTED, timeout_s
        )
        return self._line is not None and self.leg.state is not LegState.DISCONNECTED

    def speak(self, text: str, samples: npt.NDArray[np.int16]) -> None:
        """Send speech, 24 kHz mono; what is being said is not cut."""
        if self._line is None:
            return
        self._saying.append(text)
        name = ItemId(f"say-{id(samples)}-{len(self._saying)}")
        self._line.playout.queue(name, 0, samples.astype("<i2").tobytes(), self._clock.now_ns())

    async def spoken(self, timeout_s: float) -> bool:
        """Wait until all that we said is out."""
        return await self._until(lambda: not self._saying or self._over(), timeout_s)

    async def agent_started(self, timeout_s: float, *, after: int | None = None) -> bool:
        """Wait until the agent is heard (beyond its first ``after`` utterances)."""
        seen = self._agent_starts - self._agent_speaking if after is None else after
        await self._until(lambda: self._agent_starts > seen or self._over(), timeout_s)
        return self._agent_starts > seen

    @property
    def agent_utterances(self) -> int:
        """How often the agent began to be heard."""
        return self._agent_starts

    async def agent_quiet(self, quiet_ms: int, timeout_s: float) -> bool:
        """Wait until the agent has not been heard for ``quiet_ms``."""
        return await self._until(
            lambda: (
                self._over()
                or (
                    not self._agent_speaking and self._heard_ms - self._agent_changed_ms >= quiet_ms
                )
            ),
            timeout_s,
        )

    async def wait_ms(self, ms: int) -> None:
        """Let ``ms`` of call go by, on the audio clock."""
        target_ms = self._heard_ms + ms
        await self._until(lambda: self._heard_ms >= target_ms or self._over(), ms / 1000 + 5)

    async def ended(self, timeout_s: float) -> bool:
        """Wait until the call is over."""
        return await self._until(self._over, timeout_s)

    async def hang_up(self, timeout_s: float = 3.0) -> None:
        """Send BYE and wait until the call is over; the recording is on disk then."""
        self.leg.hangup()
        await self.ended(timeout_s)
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)
            self._recorder = None

    def _over(self) -> bool:
        return self.leg.state is LegState.DISCONNECTED

    def _let_line_go(self, row: int) -> None:
        self._pump.remove(row)

    async def _until(self, condition: "Condition", timeout_s: float) -> bool:
        """Wait for a condition that one of our events makes true; False at the time's end."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Condition(Protocol):
    """Something that is or isn't so."""

    def __call__(self) -> bool:
        """Tell."""
        ...
