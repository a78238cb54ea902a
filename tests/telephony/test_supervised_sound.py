"""What a caller hears while supervisors come and go, every sample of it; the test is the clock.

Two calls get the same audio from the model, and one of them has no supervisor.
"""

from collections.abc import Callable
from itertools import cycle

import numpy as np
import pytest

from bridge.audio.supervisor_frames import TALK_BYTES, TalkFrame
from bridge.clock import ManualClock
from bridge.realtime.ids import ItemId
from bridge.telephony.audience import Listener
from bridge.telephony.microphone import Microphone
from bridge.telephony.pump import Pump
from tests.audio.signals import noise, tone
from tests.support.caller_sound import Sound, Tone, assert_same_sound, assert_tones
from tests.telephony.fake_ports import AGENT_HZ, Ear, FakePorts

AGENT_TONE_HZ, VOICE_HZ, AMPLITUDE = 1010.0, 1630.0, 8_000.0
PITCHES = (AGENT_TONE_HZ, VOICE_HZ)
FRAMES = 150
EXACT = 2
"""Nothing is rounded to G.711 here, so a whole tone is off its sine by a sample's own rounding."""


class Calls:
    """Two calls that hear the same; what supervisors do is done to the first."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.ports = FakePorts(clock)
        self.pump = Pump(self.ports, clock, append_ms=20, ahead_ms=200)
        self.row, self.alone = self.ports.open_row(), self.ports.open_row()
        for row in (self.row, self.alone):
            self.pump.add(row, Ear())
            self.ports.say(row, noise(160 * FRAMES, seed=3, peak=4_000))

    def play(self, sound: Sound, name: str) -> None:
        for row in (self.row, self.alone):
            self.pump.downlink.play(row, ItemId(name), 0, sound.astype("<i2").tobytes())

    def hear(self, frames: int) -> None:
        self.ports.step(frames, then=self.pump.tick)

    def check(self) -> None:
        assert_same_sound(self.ports.taken(self.row), self.ports.taken(self.alone))


def test_listeners_come_and_go_and_the_caller_hears_the_same_bits() -> None:
    calls = Calls()
    calls.play(noise(AGENT_HZ * 2, seed=1, peak=12_000), "speech")
    crowd = [Listener(0, f"s{number}") for number in range(12)]
    for frame, listener in zip(range(FRAMES), cycle(crowd), strict=False):
        if frame % 3 == 0:
            calls.pump.admit(calls.row, listener.take)
        if frame % 5 == 0:
            calls.pump.dismiss(calls.row, crowd[frame % 7].take)
        listener.without_agent = frame % 2 == 0
        if frame == 60:  # what is said over listening comes and goes, too
            calls.pump.downlink.flush(calls.row)
            calls.pump.downlink.flush(calls.alone)
            calls.play(tone(AGENT_TONE_HZ, AGENT_HZ, AGENT_HZ, amplitude=AMPLITUDE), "more")
        calls.hear(1)
    assert sum(listener.queued_frames for listener in crowd) > FRAMES
    calls.check()
    assert np.count_nonzero(calls.ports.taken(calls.row)) > FRAMES * 100


def test_listener_who_changes_what_is_heard_changes_nothing_for_the_caller() -> None:
    calls = Calls()
    calls.play(noise(AGENT_HZ * 2, seed=1, peak=12_000), "speech")
    calls.pump.admit(calls.row, lambda stereo: stereo.fill(32_000))
    calls.hear(FRAMES)
    calls.check()


def plant_step(calls: Calls) -> None:
    """One sample of what lies ahead of the caller stands out."""
    place = int(calls.ports.tx_positions[calls.row]) + 3
    calls.ports.arena.tx[calls.row, place % calls.ports.arena.length_samples] += 40


def plant_gap(calls: Calls) -> None:
    """40 ms of what lies ahead of the caller are silent."""
    start = int(calls.ports.tx_positions[calls.row]) % calls.ports.arena.length_samples
    calls.ports.arena.tx[calls.row, start : start + 320] = 0


def plant_level(calls: Calls) -> None:
    """What the caller hears is softer by 1 dB from now on."""
    calls.pump.downlink.duck(calls.row, 1.0)


@pytest.mark.parametrize("plant", [plant_step, plant_gap, plant_level])
def test_listening_that_did_harm_would_be_seen(plant: Callable[[Calls], None]) -> None:
    calls = Calls()
    calls.play(noise(AGENT_HZ, seed=1, peak=12_000), "speech")
    calls.hear(20)
    calls.pump.admit(calls.row, Listener(0).take)
    plant(calls)
    calls.hear(20)
    with pytest.raises(AssertionError, match="samples are others"):
        calls.check()


class Barged(Calls):
    """A supervisor takes the first call over and gives it back; the caller hears three tones."""

    def __init__(self) -> None:
        super().__init__()
        self.voice = tone(VOICE_HZ, AGENT_HZ, AGENT_HZ * 4, amplitude=AMPLITUDE)

    def run(self, plant: Callable[[Calls], None] = lambda _: None) -> None:
        agent = tone(AGENT_TONE_HZ, AGENT_HZ, AGENT_HZ * 4, amplitude=AMPLITUDE)
        self.play(agent, "first")
        self.hear(33)
        self.pump.downlink.flush(self.row)  # as the core has it done at "take over"
        microphone = Microphone(self.pump, self.row)
        for said in range(60):
            if said == 30:
                plant(self)
            audio = self.voice.astype("<i2").tobytes()[said * TALK_BYTES : (said + 1) * TALK_BYTES]
            microphone.push(TalkFrame(said, said * 20, audio))
            self.hear(1)
        self.pump.downlink.flush(self.row)  # and at "hand back"
        self.hear(2)
        self.pump.downlink.play(self.row, ItemId("second"), 0, agent.astype("<i2").tobytes())
        self.hear(40)
        self.pump.downlink.flush(self.row)
        self.hear(10)

    @property
    def sound(self) -> Sound:
        return self.ports.taken(self.row)


def assert_three_tones(sound: Sound) -> list[Tone]:
    order = (AGENT_TONE_HZ, VOICE_HZ, AGENT_TONE_HZ)
    found = assert_tones(sound, PITCHES, AMPLITUDE, order)
    assert max(each.worst for each in found) < EXACT
    for each in found:  # cut short, it fades: no jump into silence
        last = np.abs(sound[each.end - 4 : each.end].astype(np.int32))
        assert last.max() < AMPLITUDE / 8
    return found


def test_caller_who_is_taken_over_and_given_back_hears_three_whole_tones() -> None:
    barged = Barged()
    barged.run()
    first, *_ = assert_three_tones(barged.sound)
    until = first.end - 40  # the fade of 5 ms
    assert_same_sound(barged.sound[:until], barged.ports.taken(barged.alone)[:until])


@pytest.mark.parametrize("plant", [plant_step, plant_gap, plant_level])
def test_barging_that_did_harm_would_be_seen(plant: Callable[[Calls], None]) -> None:
    barged = Barged()
    barged.run(plant)
    with pytest.raises(AssertionError):
        assert_three_tones(barged.sound)


class Conference(Calls):
    """A supervisor talks beside the agent in the first call; the second call has none."""

    def __init__(self) -> None:
        super().__init__()
        self.said = tone(VOICE_HZ, AGENT_HZ, AGENT_HZ * 4, amplitude=AMPLITUDE / 2)

        speaker, other = Listener(0, "eve"), Listener(0, "ann")
        speaker.without_guest = True
        self.listeners = speaker, other
        for listener in self.listeners:
            self.pump.admit(self.row, listener.take)
        self.guest = self.ports.open_row()
        self.pump.add(self.guest, Ear())
        self.ports.seat(self.row, self.guest)
        self.microphone = Microphone(self.pump, self.guest)

    def talk(self, first: int, frames: int) -> None:
        audio = self.said.astype("<i2").tobytes()
        for said in range(first, first + frames):
            piece = audio[said * TALK_BYTES : (said + 1) * TALK_BYTES]
            self.microphone.push(TalkFrame(said, said * 20, piece))
            self.hear(1)


def amplitude_of(sound: Sound, hz: float, rate_hz: int = 8_000) -> float:
    turns = np.exp(-2j * np.pi * hz / rate_hz * np.arange(len(sound)))
    return float(abs(sound @ turns) * 2 / len(sound))


def frames_of(listener: Listener) -> Sound:
    return np.concatenate([each.stereo for each in listener._frames])


def test_supervisor_beside_the_agent_changes_no_bit_of_what_the_caller_hears_of_it() -> None:
    conference = Conference()
    agent = tone(AGENT_TONE_HZ, AGENT_HZ, AGENT_HZ * 3, amplitude=AMPLITUDE)
    conference.play(agent, "speech")
    conference.hear(20)
    conference.talk(0, 30)
    conference.pump.downlink.flush(conference.guest)
    conference.ports.unseat(conference.row)
    conference.hear(20)
    conference.check()
    voice = conference.ports.taken(conference.guest)
    (whole,) = assert_tones(voice, [VOICE_HZ], AMPLITUDE / 2, [VOICE_HZ])
    assert whole.worst < EXACT


def test_agent_hears_caller_and_supervisor_and_the_supervisor_hears_both_but_not_themselves() -> (
    None
):
    conference = Conference()
    ear = conference.pump._lines[conference.row].listener
    assert isinstance(ear, Ear)
    caller = tone(440.0, 8_000, 8_000 * 3, amplitude=AMPLITUDE / 4)
    conference.ports._said[conference.row].clear()
    conference.ports.say(conference.row, caller)
    conference.play(tone(AGENT_TONE_HZ, AGENT_HZ, AGENT_HZ * 3, amplitude=AMPLITUDE / 2), "speech")
    conference.talk(0, 60)
    up = ear.sound[-24_000 // 2 :]
    assert amplitude_of(up, 440.0, AGENT_HZ) == pytest.approx(AMPLITUDE / 4, rel=0.02)
    assert amplitude_of(up, VOICE_HZ, AGENT_HZ) == pytest.approx(AMPLITUDE / 2, rel=0.02)
    assert amplitude_of(up, AGENT_TONE_HZ, AGENT_HZ) < 50  # or it would answer itself
    own, other = (frames_of(each)[-4_000:] for each in conference.listeners)
    for stereo, voice in ((own, 0), (other, AMPLITUDE / 2)):
        assert amplitude_of(stereo[:, 0], 440.0) == pytest.approx(AMPLITUDE / 4, rel=0.02)
        assert amplitude_of(stereo[:, 1], AGENT_TONE_HZ) == pytest.approx(AMPLITUDE / 2, rel=0.02)
        assert amplitude_of(stereo[:, 1], VOICE_HZ) == pytest.approx(voice, rel=0.02, abs=50)


def test_muted_microphone_fades_out_and_in() -> None:
    conference = Conference()
    conference.talk(0, 30)
    conference.pump.downlink.flush(conference.guest)
    conference.hear(20)
    conference.talk(30, 30)
    voice = conference.ports.taken(conference.guest)
    found = assert_tones(voice, [VOICE_HZ], AMPLITUDE / 2, [VOICE_HZ, VOICE_HZ])
    assert max(each.worst for each in found) < EXACT
