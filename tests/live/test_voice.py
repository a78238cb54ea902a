"""What the bridge itself says in a call, also a sentence that nobody knew before it."""

import asyncio

import numpy as np
import pytest

from bridge.clock import ManualClock
from bridge.engine.effects import PlayPhrase
from bridge.live.filler import filler_audio
from bridge.live.phrases import Phrases
from bridge.live.voice import BridgeVoice
from bridge.realtime.ids import ItemId
from bridge.telephony.pump import Pump
from tests.support.waiting import wait_until
from tests.telephony.fake_ports import Ear, FakePorts

pytestmark = [pytest.mark.speech]

SENTENCE = "Your caller wants to know where her parcel is."


class Booth:
    """A voice that speaks into a row that nobody takes from."""

    def __init__(self, language: str | None = None) -> None:
        ports = FakePorts(ManualClock())
        pump = Pump(ports, ManualClock(), append_ms=20, ahead_ms=200)
        self.line = pump.add(ports.open_row(), Ear())
        self.phrases = Phrases()
        self.voice = BridgeVoice(pump, lambda: self.line, self.phrases, language, lambda *_: None)

    def say(self, number: int) -> None:
        item_id = ItemId(f"bridge_say_{number}")
        self.voice.effects[PlayPhrase](PlayPhrase(item_id, SENTENCE))

    @property
    def queued_samples(self) -> int:
        """24 kHz samples that wait or are laid."""
        return int(self.line.playout.waiting_ms * 24) + 3 * self.line.playout.written

    async def heard(self) -> int:
        await wait_until(lambda: self.queued_samples, "nothing was said")
        return self.queued_samples


async def test_sentence_that_nobody_knew_is_rendered_off_the_loop() -> None:
    booth = Booth()
    booth.say(1)
    assert booth.queued_samples == 0  # the loop was not held
    first = await booth.heard()
    assert first / 24 > 1_500
    await booth.voice.aclose()


async def test_sentence_that_cannot_be_rendered_is_a_tone() -> None:
    booth = Booth("tlh-Piqd")
    booth.say(1)
    tone = np.frombuffer(filler_audio(pause=False), dtype="<i2")
    assert await booth.heard() == pytest.approx(tone.size, abs=1_000)
    await booth.voice.aclose()


async def test_call_that_ends_gives_its_rendering_up() -> None:
    booth = Booth()
    booth.say(1)
    await booth.voice.aclose()
    assert not [each for each in asyncio.all_tasks() if each.get_name().startswith("render-")]
