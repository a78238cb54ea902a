"""What the service is told that the caller heard, against what the caller's RTP says.

The agent's voice is a noise that repeats nowhere, so that the last 40 ms before the silence say
which sample of the item was heard last. Packets are read off the caller's socket and expanded here
(ITU-T G.711): nothing of the product judges them.
"""

import asyncio
from contextlib import AsyncExitStack

import numpy as np
import numpy.typing as npt
import pytest

from tests.live.conftest import StartGateway
from tests.live.peer import TonePeer
from tests.live.service import tone_service
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

WITHIN_MS = 40
VOICE_S = 8
_WINDOW = 320
_QUIET = 60


def expand_mulaw(payload: bytes) -> npt.NDArray[np.float64]:
    """Expand G.711 mu-law (ITU-T G.711 table 2b), by its own arithmetic."""
    bits = ~np.frombuffer(payload, dtype=np.uint8)
    sign, segment, step = bits & 0x80, (bits >> 4) & 7, (bits & 15).astype(np.int32)
    size = ((2 * step + 33) << segment.astype(np.int32)) - 33
    return np.where(sign == 0, size, -size).astype(np.float64) * 4


def noise_8k() -> npt.NDArray[np.float64]:
    """Return noise between 200 and 3200 Hz, 8 kHz."""
    spectrum = np.fft.rfft(np.random.default_rng(11).normal(0, 1, VOICE_S * 8_000))
    hz = np.fft.rfftfreq(VOICE_S * 8_000, 1 / 8_000)
    spectrum[(hz < 200) | (hz > 3_200)] = 0
    sound = np.fft.irfft(spectrum)
    return np.asarray(sound / np.abs(sound).max() * 20_000)


def at_24k(sound: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    spectrum = np.fft.rfft(sound)
    wider = np.zeros(3 * len(sound) // 2 + 1, dtype=complex)
    wider[: len(spectrum)] = spectrum
    return (np.fft.irfft(wider) * 3).clip(-32_000, 32_000).astype(np.int16)


def last_heard_ms(caller: RtpCaller, voice: npt.NDArray[np.float64]) -> float:
    """Return which millisecond of the voice was the last that came before the silence."""
    sound = np.concatenate([expand_mulaw(each.payload) for each in caller.heard])
    end = int(np.flatnonzero(np.abs(sound) > _QUIET)[-1]) + 1
    heard = sound[end - _WINDOW : end]
    energy = np.sqrt(np.convolve(voice**2, np.ones(_WINDOW), "valid"))
    match = np.correlate(voice, heard, "valid") / energy
    return (int(match.argmax()) + _WINDOW) / 8


async def interrupt(caller: RtpCaller, peer: TonePeer, after_ms: int) -> None:
    """Speak over the agent, ``after_ms`` into its answer, until it is silent."""
    await caller.until(lambda: any(each.loud for each in caller.heard))
    await hear(caller, after_ms)
    time_s = np.arange(8 * 900) / 8_000
    caller.speak((9_000 * np.sin(2 * np.pi * 300 * time_s)).astype(np.int16))
    await peer.until_sent("conversation.item.truncate")
    await hear(caller, 400)


async def hear(caller: RtpCaller, ms: int) -> None:
    """Wait until the caller has heard so much more."""

    def heard_samples() -> int:
        return sum(len(each.payload) for each in caller.heard)

    samples = heard_samples() + 8 * ms
    await caller.until(lambda: heard_samples() >= samples)


CASES = [
    ([600], [20]),
    ([1_490], [20]),
    ([2_310], [20]),
    ([700, 1_130, 1_950], [20, 20, 20]),
    ([700, 1_130], [10, 40]),
    ([1_150], [60]),
    ([1_310, 1_010], [120, 180]),
    ([650, 1_550], [120, 180]),
]


@pytest.mark.parametrize(("after_ms", "ptimes_ms"), CASES)
async def test_service_is_told_what_was_heard(
    start_gateway: StartGateway, after_ms: list[int], ptimes_ms: list[int]
) -> None:
    voice = noise_8k()
    async with AsyncExitStack() as stack:
        service, url = await stack.enter_async_context(tone_service())
        service.voice = at_24k(voice)
        gateway, port = await start_gateway(url)
        callers, peers = [], []
        for number, ptime_ms in enumerate(ptimes_ms, 1):
            caller = await stack.enter_async_context(RtpCaller(port, ptime_ms=ptime_ms))
            assert await caller.call() == 200
            callers.append(caller)
            peers.append(await service.session(number))
        await asyncio.gather(*map(interrupt, callers, peers, after_ms))
        claimed = [
            (await p.until_sent("conversation.item.truncate"))["audio_end_ms"] for p in peers
        ]
        assert [len(caller.heard[0].payload) for caller in callers] == [8 * ms for ms in ptimes_ms]
        heard = [last_heard_ms(caller, voice) for caller in callers]
        for caller in callers:
            await caller.hang_up()
        await asyncio.gather(*gateway.calls.values())
    too_much = [told - really for told, really in zip(claimed, heard, strict=True)]
    print(f"ptimes {ptimes_ms}, claimed {claimed}, heard {heard}")
    assert max(map(abs, too_much)) <= WITHIN_MS
