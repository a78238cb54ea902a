"""A supervisor of a call in the test's own loop: gives orders, says a tone, listens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import numpy as np
import numpy.typing as npt

from bridge.audio.supervisor_frames import FRAME_MS, TALK_BYTES, TALK_HZ, ListenFrame, TalkFrame
from bridge.live.call import CallRunner
from bridge.store.control import Answer, Command
from bridge.telephony.microphone import PREFILL_MS
from tests.audio.signals import tone
from tests.support.rtp_caller import FRAME_SAMPLES, Heard

RATE_HZ = 8_000
VOICE_HZ = 1630.0
"""No whole number of waves in 20 ms, so that a frame's edge is anywhere on the wave."""
AMPLITUDE = 8_000

_LATE_S = (PREFILL_MS - 2 * FRAME_MS) / 1000

_numbers = count(1)


class Hum:
    """What a microphone hears: a tone without an end.

    Attributes:
        late_frames: that came so late that the voice may have run dry: the machine's doing.
    """

    def __init__(self) -> None:
        self.late_frames = 0
        self._said = 0

    async def frames(self) -> AsyncIterator[TalkFrame]:
        """Yield a frame each 20 ms, for ever; to begin anew goes on where it was."""
        voice = tone(VOICE_HZ, TALK_HZ, TALK_HZ, amplitude=AMPLITUDE).astype("<i2").tobytes()
        loop = asyncio.get_running_loop()
        start_s, first = loop.time(), self._said
        while True:
            place = self._said * TALK_BYTES % len(voice)
            yield TalkFrame(self._said, self._said * FRAME_MS, voice[place : place + TALK_BYTES])
            self._said += 1
            due_s = start_s + (self._said - first) * FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            self.late_frames += loop.time() - due_s > _LATE_S


class Supervisor:
    """One person at a call."""

    def __init__(self, call: CallRunner, name: str = "eve") -> None:
        self.name = name
        self._call_id = call.call_id
        self._supervision = call.supervision  # which outlives the call
        self.hum = Hum()
        self._talking: asyncio.Task[None] | None = None

    def orders(self, action: str, **params: object) -> Answer:
        """Give an order; return what came of it."""
        command = Command(
            f"order-{next(_numbers)}", self._call_id, action, params, self.name, 0, 10**13
        )
        return self._supervision.act(command)

    def connects(self) -> None:
        """Connect the microphone, which hums from now on, a frame each 20 ms."""
        self._supervision.connect(self.name)
        self._talking = asyncio.create_task(self._keep_humming(), name="microphone")

    async def disconnects(self) -> None:
        """Lose the connection."""
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.gather(self._talking, return_exceptions=True)
            self._talking = None
            self._supervision.disconnect(self.name)

    @asynccontextmanager
    async def at_the_microphone(self) -> AsyncIterator[None]:
        """Have it connected while the block runs."""
        self.connects()
        try:
            yield
        finally:
            await self.disconnects()

    async def hears(self, frames: int) -> list[ListenFrame]:
        """Listen to so many frames."""
        listener = self._supervision.listen(self.name)
        assert listener is not None
        heard = []
        for _ in range(frames):
            frame = await listener.get(within_s=5)
            assert frame is not None
            heard.append(frame)
        self._supervision.stop_listening(listener)
        return heard

    async def _keep_humming(self) -> None:
        async for frame in self.hum.frames():
            self._supervision.push(self.name, frame)


def heard_by(packets: list[Heard]) -> npt.NDArray[np.int16]:
    """Return what a caller heard, (n,) at 8 kHz, by RTP timestamps; lost packets are silence."""
    if not packets:
        return np.zeros(0, dtype=np.int16)
    first = packets[0].timestamp
    length = max(each.timestamp for each in packets) - first + FRAME_SAMPLES
    sound = np.zeros(length, dtype=np.int16)
    for each in packets:
        start = each.timestamp - first
        sound[start : start + len(each.samples)] = each.samples
    return sound


def loudest_click(sound: npt.NDArray[np.int16]) -> float:
    """Return the peak of what a sound holds between 2.5 and 3.9 kHz.

    A tone below has nothing there but the codec's noise; one that is cut from its crest, or begins
    there, has a third of its amplitude. The ends of the sound don't count.
    """
    edge = RATE_HZ // 20
    ends = np.ones(len(sound))
    ends[:edge], ends[-edge:] = np.linspace(0, 1, edge), np.linspace(1, 0, edge)
    spectrum = np.fft.rfft(sound * ends)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    spectrum[(hz < 2_500) | (hz > 3_900)] = 0
    return float(np.abs(np.fft.irfft(spectrum, len(sound))).max())


def amplitudes_of(sound: npt.NDArray[np.int16], hz: float) -> npt.NDArray[np.float64]:
    """Return how loud a tone is in each 20 ms of a sound, as an amplitude."""
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    turns = np.exp(-2j * np.pi * hz / RATE_HZ * np.arange(FRAME_SAMPLES))
    found: npt.NDArray[np.float64] = np.abs(frames @ turns) * 2 / FRAME_SAMPLES
    return found


def has_tone(
    sound: npt.NDArray[np.int16], hz: float, amplitude: float = AMPLITUDE / 4
) -> npt.NDArray[np.bool_]:
    """Return for each 20 ms of a sound whether a tone is in it."""
    found: npt.NDArray[np.bool_] = amplitudes_of(sound, hz) > amplitude
    return found
