"""The checks of what a caller heard: what is clean passes, and each planted fault is seen."""

from collections.abc import Callable

import numpy as np
import pytest

from bridge.audio import g711
from tests.audio.signals import tone
from tests.support.caller_sound import (
    Sound,
    assert_same_sound,
    assert_tones,
    from_first_loud,
    whole_sound,
)
from tests.support.rtp_caller import FRAME_SAMPLES, Heard

AGENT_HZ, VOICE_HZ, AMPLITUDE = 1010.0, 1630.0, 8_000.0
PITCHES = (AGENT_HZ, VOICE_HZ)
ORDER = (AGENT_HZ, VOICE_HZ, AGENT_HZ)


def faded(hz: float, ms: int) -> Sound:
    sound = tone(hz, 8_000, ms * 8, amplitude=AMPLITUDE).astype(np.float64)
    sound[:40] *= np.linspace(0, 1, 40)
    sound[-40:] *= np.linspace(1, 0, 40)
    return np.rint(sound).astype(np.int16)


def over_the_wire(sound: Sound) -> Sound:
    return g711.decode(g711.Law.PCMU, g711.encode(g711.Law.PCMU, sound))


@pytest.fixture(scope="module")
def clean() -> Sound:
    """An agent, a supervisor, and the agent again."""
    quiet = np.zeros(8 * 120, np.int16)
    parts = [faded(AGENT_HZ, 700), quiet, faded(VOICE_HZ, 900), quiet, faded(AGENT_HZ, 500)]
    return np.concatenate(parts)


def test_clean_sound_passes_both_checks(clean: Sound) -> None:
    sound = over_the_wire(clean)
    assert_same_sound(sound, over_the_wire(clean))
    found = assert_tones(sound, PITCHES, AMPLITUDE, ORDER)
    assert max(each.worst for each in found) < 200


def step(at_ms: int, by: int) -> Callable[[Sound], Sound]:
    """One sample stands out."""

    def plant(sound: Sound) -> Sound:
        planted = sound.copy()
        planted[at_ms * 8] += by
        return planted

    return plant


def gap(at_ms: int, ms: int) -> Callable[[Sound], Sound]:
    """Silence instead of sound."""

    def plant(sound: Sound) -> Sound:
        planted = sound.copy()
        planted[at_ms * 8 : (at_ms + ms) * 8] = 0
        return planted

    return plant


def skip(at_ms: int, ms: int) -> Callable[[Sound], Sound]:
    """Sound is left out, and what follows comes earlier."""
    return lambda sound: np.delete(sound, np.arange(at_ms * 8, (at_ms + ms) * 8))


def repeat(at_ms: int, ms: int) -> Callable[[Sound], Sound]:
    """Sound comes twice."""
    place, samples = at_ms * 8, ms * 8
    return lambda sound: np.insert(sound, place, sound[place - samples : place])


def level(from_ms: int, to_ms: int, db: float) -> Callable[[Sound], Sound]:
    """Louder or softer for a while."""

    def plant(sound: Sound) -> Sound:
        planted = sound.astype(np.float64)
        planted[from_ms * 8 : to_ms * 8] *= 10 ** (db / 20)
        return np.rint(planted).astype(np.int16)

    return plant


FAULTS = {
    "a step up": step(300, 500),
    "a step down, into the supervisor's voice": step(1_100, -500),
    "a step into silence": step(760, 300),
    "a gap of 40 ms": gap(400, 40),
    "a gap of a frame": gap(1_200, 20),
    "a gap of 5 ms": gap(1_200, 5),
    "a frame left out": skip(420, 20),
    "a frame twice": repeat(1_300, 20),
    "1 dB less for a while": level(200, 500, -1.0),
    "1 dB more in all of one tone": level(820, 1_720, 1.0),
    "1 dB less from a moment on": level(2_000, 2_340, -1.0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_seen(clean: Sound, fault: str) -> None:
    sound = over_the_wire(FAULTS[fault](clean))
    with pytest.raises(AssertionError):
        assert_tones(sound, PITCHES, AMPLITUDE, ORDER)
    with pytest.raises(AssertionError):
        assert_same_sound(sound, over_the_wire(clean))


def packets(sound: Sound) -> list[Heard]:
    frames = sound.reshape(-1, FRAME_SAMPLES)
    return [
        Heard(0, number, number * FRAME_SAMPLES, frame, loud=bool(frame.any()))
        for number, frame in enumerate(frames)
    ]


def test_packet_lost_on_its_way_is_a_fault_and_one_never_sent_is_a_gap(clean: Sound) -> None:
    heard = packets(np.concatenate([np.zeros(320, np.int16), clean[: 700 * 8]]))
    assert from_first_loud(heard)[0].sequence == 2
    assert from_first_loud(heard[:2]) == []
    assert_same_sound(whole_sound(from_first_loud(heard)), clean[: 700 * 8])
    with pytest.raises(AssertionError, match="missing before number 11"):
        whole_sound(heard[:10] + heard[11:])
    late = [
        Heard(0, each.sequence, each.timestamp + (number > 10) * 320, each.samples, each.loud)
        for number, each in enumerate(heard)
    ]
    with pytest.raises(AssertionError, match="a gap of 40 ms"):
        whole_sound(late)
