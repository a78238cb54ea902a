"""A call's audio as the report carries it."""

from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import read_wav, write_wav
from bridge.replay.report.sound import (
    Budget,
    as_mulaw_wav,
    as_path,
    make_sound,
    outline,
    read_recording,
)


def _lanes(seconds: float) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    times = np.arange(int(8000 * seconds))
    caller = 8000 * np.sin(times * 0.3) * (times < times.size // 2)
    return np.stack([caller, np.zeros(times.size)], axis=1).astype(np.int16)


def test_an_outline_is_loud_where_the_call_is() -> None:
    caller, agent = outline(_lanes(2), 100)
    assert min(caller[:50]) > 90
    assert max(caller[51:]) == 0
    assert set(agent) == {0}


def test_quiet_noise_is_not_blown_up() -> None:
    assert max(outline(np.full((800, 2), 30, dtype=np.int16), 10)[0]) == 1


def test_a_path_is_mirrored_and_closed() -> None:
    assert as_path([0, 100], 100) == "M0,49.5L1,0.0L1,100.0L0,50.5Z"


@pytest.mark.parametrize("seconds", [0.0, 0.25, 1.0001])
def test_mulaw_says_what_the_call_said(tmp_path: Path, seconds: float) -> None:
    lanes = _lanes(seconds)
    (tmp_path / "call.wav").write_bytes(as_mulaw_wav(lanes, 8000))
    heard, rate_hz = read_wav(tmp_path / "call.wav")
    assert (heard.shape, rate_hz) == (lanes.shape, 8000)
    assert np.abs(heard.astype(int) - lanes).max(initial=0) < 300


def test_audio_that_has_no_room_is_left_out_and_counted(tmp_path: Path) -> None:
    write_wav(tmp_path / "call.wav", _lanes(1), 8000)
    recording = read_recording(tmp_path / "call.wav", "runs/x/call.wav")
    budget = Budget(30_000)
    sounds = [make_sound(recording, 50, budget) for _ in range(2)]
    assert [sound.data is not None for sound in sounds] == [True, False]
    assert budget.left_out == 1
    assert sounds[1].link == "runs/x/call.wav"
    assert (sounds[1].width_px, sounds[1].bins) == (50, 25)
