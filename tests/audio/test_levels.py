"""Levels and the speech gate."""

import numpy as np
import pytest

from bridge.audio.levels import (
    FLOOR_DBFS,
    SpeechGate,
    Started,
    Stopped,
    find_speech,
    peak_dbfs,
    rms_dbfs,
)
from tests.audio.signals import noise, tone

LOUD, SOFT, QUIET = -20.0, -48.0, -60.0


def run(gate: SpeechGate, levels: list[float]) -> list[Started | Stopped]:
    return [event for event in map(gate.feed_level, levels) if event is not None]


def test_levels_of_known_signals() -> None:
    square = np.where(np.arange(800) % 2, 32767, -32768).astype(np.int16)
    sine = tone(1000, 8_000, 800, 32767.0)
    tenth = tone(1000, 8_000, 800, 3276.7)
    silence = np.zeros(800, np.int16)
    levels = rms_dbfs(np.stack([square, sine, tenth, silence]))
    assert levels.dtype == np.float32
    np.testing.assert_allclose(levels, [0.0, -3.01, -23.01, FLOOR_DBFS], atol=0.02)


def test_peaks_of_known_signals() -> None:
    lowest = np.array([0, -32768, 0, 5], np.int16)
    half = np.array([16384, -100, 3, 4], np.int16)
    peaks = peak_dbfs(np.stack([lowest, half, np.zeros(4, np.int16)]))
    assert peaks.dtype == np.float32
    np.testing.assert_allclose(peaks, [0.0, -6.02, FLOOR_DBFS], atol=0.01)


@pytest.mark.parametrize("shape", [(0, 160), (3, 0)])
def test_level_of_nothing_is_the_floor(shape: tuple[int, int]) -> None:
    assert rms_dbfs(np.zeros(shape, np.int16)).tolist() == [FLOOR_DBFS] * shape[0]
    assert peak_dbfs(np.zeros(shape, np.int16)).tolist() == [FLOOR_DBFS] * shape[0]


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000])
def test_gate_reports_where_speech_began_and_ended(rate_hz: int) -> None:
    gate = SpeechGate(rate_hz, min_speech_ms=60, hangover_ms=100)
    frame = gate.frame_samples
    assert frame == rate_hz // 50
    events = run(gate, [QUIET] * 5 + [LOUD] * 10 + [QUIET] * 5)
    assert events == [Started(5 * frame), Stopped(15 * frame)]
    assert not gate.speaking


def test_gate_decides_at_the_frame_that_completes_the_time() -> None:
    gate = SpeechGate(8_000, min_speech_ms=60, hangover_ms=100)
    answers = [gate.feed_level(level) for level in [LOUD] * 3 + [QUIET] * 5]
    assert answers == [None, None, Started(0), None, None, None, None, Stopped(480)]


def test_gate_ignores_a_click() -> None:
    gate = SpeechGate(8_000, min_speech_ms=60, hangover_ms=100)
    assert run(gate, [QUIET, LOUD, LOUD, QUIET, LOUD, LOUD] + [QUIET] * 20) == []


def test_gate_bridges_pauses_shorter_than_the_hangover() -> None:
    gate = SpeechGate(8_000, min_speech_ms=60, hangover_ms=100)
    assert run(gate, ([LOUD] * 4 + [QUIET] * 4) * 3) == [Started(0)]
    assert gate.speaking


def test_gate_has_hysteresis() -> None:
    gate = SpeechGate(8_000, threshold_dbfs=-45, hysteresis_db=6, min_speech_ms=40, hangover_ms=40)
    assert run(gate, [SOFT] * 10) == []
    assert run(gate, [LOUD] * 2 + [SOFT] * 10) == [Started(1600)]


def test_gate_measures_frames_itself() -> None:
    gate = SpeechGate(8_000, min_speech_ms=20, hangover_ms=20)
    assert gate.feed(tone(500, 8_000, 160)) == Started(0)
    assert gate.feed(np.zeros(160, np.int16)) == Stopped(160)


def test_flush_closes_open_speech_and_forgets_a_short_run() -> None:
    gate = SpeechGate(8_000, min_speech_ms=60)
    run(gate, [LOUD] * 4 + [QUIET])
    assert gate.flush() == Stopped(640)
    assert gate.flush() is None
    run(gate, [LOUD])
    assert gate.flush() is None
    assert run(gate, [LOUD] * 2) == []


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        SpeechGate(8_000).feed(np.zeros(80, np.int16))


def test_a_rate_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="no 20 ms frame"):
        SpeechGate(10)


@pytest.mark.parametrize("rate_hz", [8_000, 24_000])
def test_find_speech_in_a_noisy_signal(rate_hz: int) -> None:
    x = noise(3 * rate_hz, seed=1, peak=40)
    spoken = [(rate_hz // 2, rate_hz), (2 * rate_hz, 3 * rate_hz - 100)]
    for start, end in spoken:
        x[start:end] += tone(300, rate_hz, end - start, 4000.0)
    found = find_speech(x, rate_hz)
    assert len(found) == 2
    for (start, end), (found_start, found_end) in zip(spoken, found, strict=True):
        assert abs(found_start - start) <= rate_hz // 50
        assert abs(found_end - end) <= rate_hz // 50
        assert found_end <= x.size


def test_find_speech_in_silence_or_nothing_finds_none() -> None:
    assert find_speech(np.zeros(8_000, np.int16), 8_000) == []
    assert find_speech(np.zeros(0, np.int16), 8_000) == []
