"""Sounds of callers by level: begin, lengths, end, and the guard against the agent's echo."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.audio.g711 import Law, decode, encode
from bridge.audio.resample import resample_rational
from bridge.audio.sounds import CallerSounds, SoundChange, SoundEdge, SoundSettings
from bridge.speech.synthesis import Synthesizer

SETTINGS = SoundSettings(threshold_dbfs=-45.0, echo_guard_db=20.0, milestones_ms=(120, 420))
QUIET, LOUD = -60.0, -25.0


def listen(
    caller: list[float], agent: list[float] | None = None, settings: SoundSettings = SETTINGS
) -> list[tuple[int, SoundChange]]:
    """Feed one row frame by frame; return (number of the frame, change)."""
    sounds = CallerSounds(4)
    sounds.begin(2, settings)
    rows = np.array([2])
    heard = agent or [-120.0] * len(caller)
    return [
        (number, change)
        for number, levels in enumerate(zip(caller, heard, strict=True))
        for change in sounds.feed(rows, *(np.array([level], np.float32) for level in levels))
    ]


def kinds(found: list[tuple[int, SoundChange]]) -> list[tuple[int, SoundEdge]]:
    return [(number, change.change) for number, change in found]


def test_sound_is_told_once_confirmed_with_where_it_began() -> None:
    found = listen([QUIET] * 5 + [LOUD] * 4)
    assert found == [(7, SoundChange(0, SoundEdge.STARTED, ago_ms=60, lasted_ms=60))]


def test_click_never_happened() -> None:
    assert listen([LOUD, LOUD] + [QUIET] * 20) == []


def test_lengths_are_told_when_they_are_reached() -> None:
    found = listen([LOUD] * 30)
    assert kinds(found) == [(2, SoundEdge.STARTED), (5, SoundEdge.LASTED), (20, SoundEdge.LASTED)]
    assert [change.lasted_ms for _, change in found] == [60, 120, 420]


def test_sound_of_400_ms_never_reaches_420_ms() -> None:
    found = listen([LOUD] * 20 + [QUIET] * 20)
    assert [change.lasted_ms for _, change in found] == [60, 120, 400]
    assert found[-1] == (34, SoundChange(0, SoundEdge.STOPPED, ago_ms=300, lasted_ms=400))


def test_pause_within_a_sound_counts_by_its_last_loud_frame() -> None:
    found = listen([LOUD] * 8 + [QUIET] * 6 + [LOUD] * 10)
    assert kinds(found) == [(2, SoundEdge.STARTED), (5, SoundEdge.LASTED), (20, SoundEdge.LASTED)]


def test_sound_goes_on_a_little_below_the_threshold() -> None:
    found = listen([LOUD] * 4 + [-50.0] * 20)
    assert SoundEdge.STOPPED not in [change.change for _, change in found]
    assert listen([-50.0] * 20) == []


def test_echo_of_the_agent_is_no_sound() -> None:
    agent = [-15.0] * 10 + [-120.0] * 15
    echo = [QUIET] * 5 + [-36.0] * 15 + [QUIET] * 5  # 21 dB below, 100 ms later
    assert listen(echo, agent) == []
    assert listen(echo) != []


def test_echo_does_not_prolong_a_cough() -> None:
    agent = [-15.0] * 60
    echo = [-36.0] * 50  # 21 dB below, and within what a sound may drop to while it goes on
    found = listen([-25.0] * 10 + echo, agent)
    assert [change.lasted_ms for _, change in found] == [60, 120, 200]
    assert found[-1][1].change is SoundEdge.STOPPED


@pytest.mark.speech
@pytest.mark.parametrize("gain_db", [0.0, 6.0, 10.0])
def test_echo_of_speech_is_no_sound_however_its_frames_lie(gain_db: float) -> None:
    """An echo's frames begin anywhere within the agent's, and its loudest can be louder."""
    settings = SoundSettings(echo_guard_db=30.0, milestones_ms=(360, 460))
    said = Synthesizer("en-us+f3", 175).say("Please keep the original packaging.")
    agent = resample_rational(said, 24_000, 8_000).astype(np.float64) * 10 ** (gain_db / 20)
    levels = rms_dbfs(agent)
    for delay_samples in range(0, 3_000, 37):
        echo = np.pad(agent, (delay_samples, 0))[: agent.size] * 10 ** (-30 / 20)
        assert listen(rms_dbfs(echo), levels, settings) == [], f"{delay_samples} samples late"


def rms_dbfs(samples: NDArray[np.float64]) -> list[float]:
    """Return the level of each whole frame of 20 ms, at 8 kHz, as it comes through mu-law."""
    heard = decode(Law.PCMU, encode(Law.PCMU, np.clip(samples, -32768, 32767).astype(np.int16)))
    frames = heard[: heard.size // 160 * 160].reshape(-1, 160).astype(np.float64)
    power = np.maximum(np.square(frames).mean(axis=1) / 32768**2, 1e-12)
    return [float(level) for level in 10 * np.log10(power)]


def test_caller_louder_than_the_echo_is_heard() -> None:
    assert listen([-25.0] * 10, [-15.0] * 10) != []


def test_echo_is_forgotten_once_it_cannot_come_any_more() -> None:
    agent = [-15.0] * 2 + [-120.0] * 40
    late = [QUIET] * 22 + [-40.0] * 20
    assert kinds(listen(late, agent))[0] == (24, SoundEdge.STARTED)


def test_rows_are_independent() -> None:
    sounds = CallerSounds(3)
    for row in (0, 2):
        sounds.begin(row, SETTINGS)
    rows, agent = np.array([2, 0]), np.full(2, -120.0, np.float32)
    found = [
        change
        for _ in range(3)
        for change in sounds.feed(rows, np.array([QUIET, LOUD], np.float32), agent)
    ]
    assert found == [SoundChange(1, SoundEdge.STARTED, 60, 60)]


@pytest.mark.parametrize("loud", [2, 40])
def test_row_that_begins_anew_is_silent(loud: int) -> None:
    sounds, rows = CallerSounds(1), np.array([0])
    sounds.begin(0, SETTINGS)
    quiet, level = np.full(1, -120.0, np.float32), np.full(1, LOUD, np.float32)
    for _ in range(loud):
        sounds.feed(rows, level, quiet)
    sounds.begin(0, SETTINGS)
    found = [change for _ in range(3) for change in sounds.feed(rows, level, quiet)]
    assert found == [SoundChange(0, SoundEdge.STARTED, 60, 60)]
