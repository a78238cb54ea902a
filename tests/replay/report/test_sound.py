"""A call's audio as the report carries it."""

import json
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.audio.stdlib_audioop import audioop
from bridge.audio.wav import write_wav
from bridge.replay.report.sound import (
    AudioBudget,
    as_path,
    make_sound,
    outline,
    pack,
    read_recording,
    sounding,
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


def test_a_path_is_mirrored_and_closed_and_what_stays_the_same_is_one_step() -> None:
    assert as_path([0, 0, 100]) == "M0,100V99h2V0h1V200h-1V101h-2Z"
    assert as_path([]) == ""


def _unpacked(packed: str) -> NDArray[np.int16]:
    told = json.loads(packed)
    lanes = np.zeros((told["samples"] + 1, len(told["lanes"])), dtype=np.int16)
    for lane, pieces in enumerate(told["lanes"]):
        for start, data in pieces:
            decoded, _ = audioop.adpcm2lin(b64decode(data), 2, None)
            samples = np.frombuffer(decoded, dtype=np.int16)
            lanes[start : start + samples.size, lane] = samples
    return lanes[: told["samples"]]


@pytest.mark.parametrize("seconds", [0.0, 0.25, 1.0001])
def test_what_is_packed_says_what_the_call_said(seconds: float) -> None:
    lanes = _lanes(seconds)
    heard = _unpacked(pack(lanes, 8000))
    assert heard.shape == lanes.shape
    noise = heard.astype(np.float64) - lanes
    assert np.square(noise).sum() <= 0.01 * np.square(lanes.astype(np.float64)).sum()  # 20 dB
    assert not heard[:, 1].any()


def test_silence_takes_no_room_and_nothing_moves() -> None:
    lane = np.zeros(80_000, dtype=np.int16)
    lane[8_000:8_300], lane[8_900:9_000], lane[79_000:] = 5, 7, 9
    assert sounding(lane) == [(8_000, 9_120), (78_880, 80_000)]
    assert sounding(np.zeros(0, dtype=np.int16)) == []
    both = np.stack([lane, np.zeros_like(lane)], axis=1)
    assert len(pack(both, 8000)) < 1_700


def test_audio_that_has_no_room_is_left_out_and_counted(tmp_path: Path) -> None:
    write_wav(tmp_path / "call.wav", _lanes(1), 8000)
    recording = read_recording(tmp_path / "call.wav", "runs/x/call.wav")
    budget = AudioBudget(4_000)
    sounds = [make_sound(recording, 50, budget) for _ in range(2)]
    assert [sound.data is not None for sound in sounds] == [True, False]
    assert budget.left_out == 1
    assert sounds[1].link == "runs/x/call.wav"
    assert (sounds[1].width_px, sounds[1].bins) == (50, 25)
