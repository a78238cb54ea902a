"""A supervisor's voice on its way into a call: what the caller hears of a network's frames."""

import numpy as np
import pytest

from bridge.audio.supervisor_frames import TALK_BYTES, TalkFrame
from bridge.clock import ManualClock
from bridge.realtime.ids import ItemId
from bridge.telephony.microphone import PREFILL_MS, Microphone
from bridge.telephony.pump import Pump
from tests.audio.signals import level_at_db, tone
from tests.telephony.fake_ports import AGENT_HZ, RATE_HZ, Ear, FakePorts, Sound

HZ = 1000.0
FRAME_MS = 20


class Booth:
    """A call whose supervisor says a tone, a frame a step unless told otherwise."""

    def __init__(self, amplitude: float = 8_000) -> None:
        self.ports = FakePorts(ManualClock())
        self.pump = Pump(self.ports, ManualClock(), append_ms=20, ahead_ms=200)
        self.row = self.ports.open_row()
        self.pump.add(self.row, Ear())
        self.microphone = Microphone(self.pump, self.row)
        self.voice = tone(HZ, AGENT_HZ, AGENT_HZ * 20, amplitude=amplitude).astype("<i2").tobytes()
        self.said = 0

    def say(self, frames: int = 1) -> None:
        for _ in range(frames):
            start = self.said * TALK_BYTES
            audio = self.voice[start : start + TALK_BYTES]
            self.microphone.push(TalkFrame(self.said, self.said * FRAME_MS, audio))
            self.said += 1

    def hear(self, frames: int = 1) -> None:
        self.ports.step(frames, then=self.pump.tick)

    @property
    def heard(self) -> Sound:
        taken = self.ports.taken(self.row)
        loud = np.flatnonzero(np.abs(taken) > 100)
        return taken[loud[0] : loud[-1] + 1] if loud.size else taken[:0]

    def is_whole(self) -> bool:
        """Whether what was heard is one tone without a gap, a repeat or a jump."""
        sound = self.heard.astype(np.float64)[80:-80]
        steps = np.abs(np.diff(sound))
        return bool(steps.max() < 1.1 * 8_000 * 2 * np.pi * HZ / RATE_HZ)


def test_voice_is_heard_whole_after_the_prefill() -> None:
    booth = Booth()
    for number in range(100):
        booth.say()
        if number * FRAME_MS < PREFILL_MS - FRAME_MS:
            assert booth.pump.downlink.queued_ms(booth.row) == 0
        booth.hear()
    assert booth.is_whole()
    assert len(booth.heard) / RATE_HZ > 1.8
    assert level_at_db(booth.heard[800:8800], HZ, RATE_HZ) == pytest.approx(78, abs=0.2)
    assert booth.microphone.lost_frames == 0


@pytest.mark.parametrize("late_frames", [1, 2, 3])
def test_frames_that_come_late_in_a_bunch_leave_no_gap(late_frames: int) -> None:
    booth = Booth()
    for number in range(120):
        if number % 20 == 19:
            booth.say(1 + late_frames)
        elif number % 20 < 19 - late_frames:
            booth.say()
        booth.hear()
    assert booth.is_whole()
    assert booth.microphone.lost_frames == 0


def test_after_a_long_stall_it_waits_anew_and_begins_softly() -> None:
    booth = Booth()
    for _ in range(20):
        booth.say()
        booth.hear()
    booth.hear(30)
    assert booth.pump.downlink.queued_ms(booth.row) == 0
    booth.said += 7  # a part of a wave, so that it would begin with a jump
    booth.say()
    booth.hear(2)
    assert booth.pump.downlink.queued_ms(booth.row) == 0
    before = len(booth.ports.taken(booth.row))
    for _ in range(20):
        booth.say()
        booth.hear()
    again = booth.ports.taken(booth.row)[before:].astype(np.int64)
    begins = int(np.flatnonzero(again)[0])
    assert np.abs(again[begins : begins + 4]).max() < 3_000
    assert booth.pump.stats.underruns == 0  # it is no fault of ours


def test_a_burst_after_a_stall_of_the_network_does_not_delay_the_voice_for_good() -> None:
    booth = Booth()
    for _ in range(10):
        booth.say()
        booth.hear()
    booth.say(60)
    assert booth.pump.downlink.queued_ms(booth.row) <= 300
    assert booth.microphone.lost_frames > 40


def test_silence_is_left_out_when_the_browsers_clock_is_fast() -> None:
    booth = Booth(amplitude=50)
    for number in range(400):
        booth.say(2 if number % 20 == 0 else 1)
        booth.hear()
        assert booth.pump.downlink.queued_ms(booth.row) <= 200
    assert booth.microphone.lost_frames >= 10


def test_a_frame_that_comes_again_is_left_alone() -> None:
    booth = Booth()
    booth.say(10)
    queued = booth.pump.downlink.queued_ms(booth.row)
    booth.said -= 3
    booth.say(3)
    assert booth.pump.downlink.queued_ms(booth.row) == queued


def test_voice_that_runs_dry_fades_out() -> None:
    booth = Booth()
    booth.said = 3
    for _ in range(25):
        booth.say()
        booth.hear()
    booth.hear(10)
    sound = booth.ports.taken(booth.row).astype(np.int64)
    ends = int(np.flatnonzero(sound)[-1])
    assert np.abs(sound[ends - 3 : ends + 1]).max() < 1_500
    steps = np.abs(np.diff(sound[ends - 400 : ends + 2]))
    assert steps.max() < 1.1 * 8_000 * 2 * np.pi * HZ / RATE_HZ
    assert np.abs(sound[ends - 160 : ends - 50]).max() > 7_000  # and no sooner than it has to


def test_faded_end_is_put_back_when_more_comes_in_time() -> None:
    booth = Booth()
    for number in range(100):
        if number % 10 == 8:  # two late: an end is in sight, and faded
            booth.hear(2)
            booth.say(3)
        else:
            booth.say()
        booth.hear()
    assert booth.is_whole()
    waves = np.abs(booth.heard.astype(np.int64))[80:-80]
    waves = waves[: len(waves) // 16 * 16].reshape(-1, 16)  # two waves each
    assert waves.max(axis=1).min() > 7_000


def test_agents_audio_is_left_as_it_is() -> None:
    booth = Booth()
    booth.pump.downlink.play(booth.row, ItemId("item_1"), 0, booth.voice[: 10 * TALK_BYTES])
    booth.hear(15)
    sound = booth.ports.taken(booth.row).astype(np.int64)
    ends = int(np.flatnonzero(sound)[-1])
    assert np.abs(sound[ends - 8 : ends + 1]).max() > 7_000
