"""The recorder: exact content, a clock that dropped blocks don't move, and a disk that may fail."""

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.resample import PHONE_HZ
from bridge.audio.rings import FRAME_SAMPLES
from bridge.audio.wav import WavWriter, read_wav
from bridge.clock import ManualClock
from bridge.realtime.ids import ItemId
from bridge.telephony import recorder as recorder_module
from bridge.telephony.pump import Pump
from bridge.telephony.recorder import Recorder, StopReason
from tests.audio.signals import noise, tone
from tests.support.no_files import no_descriptor_left
from tests.telephony.fake_ports import AGENT_HZ, Ear, FakePorts, Sound

WITHIN_S = 5.0


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def stereo(samples: int, seed: int) -> Sound:
    return noise(samples * 2, seed).reshape(-1, 2)


def close(recorder: Recorder) -> None:
    """Close within a bound: a close that hangs must fail the test, not stop it."""
    closing = threading.Thread(target=recorder.close, daemon=True)
    closing.start()
    closing.join(WITHIN_S)
    assert not closing.is_alive(), "close() hangs"


def use_writer(monkeypatch: pytest.MonkeyPatch, writer: type[WavWriter]) -> None:
    monkeypatch.setattr(recorder_module, "WavWriter", writer)


def test_the_file_holds_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "call.wav"
    recorder = Recorder(path)
    blocks = [stereo(n, seed=n) for n in (80, 160, 1, 4000)]
    for block in blocks:
        recorder.append(block)
    close(recorder)
    samples, rate_hz = read_wav(path)
    assert rate_hz == 8000
    np.testing.assert_array_equal(samples, np.concatenate(blocks))
    assert recorder.samples == len(samples)
    assert not recorder.failed


def test_an_empty_recording_is_a_valid_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.wav")
    close(recorder)
    assert read_wav(recorder.path)[0].shape == (0, 2)


@pytest.mark.parametrize("blocks_after", [0, 1])
def test_a_slow_disk_drops_blocks_and_keeps_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks_after: int
) -> None:
    """Dropped blocks are silent in the file, also when nothing comes after them."""
    writing, disk_goes_on = threading.Event(), threading.Event()

    class SlowWriter(WavWriter):
        def append(self, samples: Sound) -> None:
            writing.set()
            assert disk_goes_on.wait(WITHIN_S)
            super().append(samples)

    use_writer(monkeypatch, SlowWriter)
    recorder = Recorder(tmp_path / "call.wav")
    blocks = [stereo(FRAME_SAMPLES * 100, seed=n) for n in range(7)]
    monkeypatch.setattr(recorder_module, "_QUEUED_BYTES", 3 * blocks[0].nbytes)
    recorder.append(blocks[0])
    assert writing.wait(WITHIN_S)  # the first is in the writer's hands, three more find room
    for block in blocks[1:]:
        recorder.append(block)
    assert recorder.dropped_blocks == 3
    disk_goes_on.set()
    while recorder.desk.queued_bytes:
        threading.Event().wait(0.001)
    for block in blocks[:blocks_after]:
        recorder.append(block)
    close(recorder)
    samples, _ = read_wav(recorder.path)
    silent = [np.zeros_like(block) for block in blocks[4:]]
    np.testing.assert_array_equal(
        samples, np.concatenate([*blocks[:4], *silent, *blocks[:blocks_after]])
    )
    assert recorder.samples == len(samples)


def folder_is_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


def file_is_a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("spoil", [folder_is_a_file, file_is_a_folder])
def test_a_file_that_cannot_be_opened_fails_the_recording_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(recorder_module, "_QUEUED_BYTES", 3 * 640)
    path = tmp_path / "calls" / "call.wav"
    path.parent.mkdir()
    spoil(path)
    recorder = Recorder(path)
    for seed in range(20):
        recorder.append(stereo(160, seed))
    close(recorder)
    assert recorder.failed
    recorder.append(stereo(160, seed=0))


class FullDisk(WavWriter):
    def append(self, samples: Sound) -> None:
        raise OSError(28, "No space left on device")


class FullDiskAtTheEnd(WavWriter):
    def close(self) -> None:
        self._file.close()
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("writer", [FullDisk, FullDiskAtTheEnd])
def test_a_disk_that_fills_up_fails_the_recording_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: type[WavWriter]
) -> None:
    use_writer(monkeypatch, writer)
    recorder = Recorder(tmp_path / "call.wav")
    recorder.append(stereo(160, seed=1))
    close(recorder)
    assert recorder.failed


def test_a_disk_that_is_full_from_the_start_fails_the_recording_alone(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.symlink_to("/dev/full")  # the kernel's: opens, and has no room for a byte
    stopped: list[StopReason] = []
    recorder = Recorder(path, on_stopped=stopped.append)
    recorder.mark(b"{}\n")
    for seed in range(3):
        recorder.append(stereo(PHONE_HZ, seed))
    close(recorder)
    assert stopped == [StopReason.DISK_FULL]
    assert (tmp_path / "call.markers.jsonl").read_bytes() == b"{}\n"


@pytest.fixture
def room_for() -> Iterator[Callable[[int], None]]:
    """Give a function that lets no file of this process grow past so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_leaves_what_was_recorded_and_takes_markers(
    tmp_path: Path, room_for: Callable[[int], None]
) -> None:
    stopped: list[StopReason] = []
    recorder = Recorder(tmp_path / "call.wav", on_stopped=stopped.append)
    blocks = [stereo(PHONE_HZ, seed) for seed in range(4)]
    room_for(100_000)  # three seconds and a bit
    for block in blocks:
        recorder.append(block)
    recorder.mark(b"after\n")
    recorder.append(blocks[0])
    close(recorder)
    assert stopped == [StopReason.DISK_FULL]
    samples, _ = read_wav(recorder.path)
    assert len(samples) >= 3 * PHONE_HZ
    np.testing.assert_array_equal(samples[: 3 * PHONE_HZ], np.concatenate(blocks[:3]))
    assert (tmp_path / "call.markers.jsonl").read_bytes() == b"after\n"


def test_a_recording_that_no_descriptor_is_left_for_is_not_the_disks_fault(
    tmp_path: Path,
) -> None:
    stopped: list[StopReason] = []
    with no_descriptor_left():
        recorder = Recorder(tmp_path / "call.wav", on_stopped=stopped.append)
        recorder.append(stereo(PHONE_HZ, 1))
        close(recorder)
    assert stopped == [StopReason.NO_DESCRIPTORS]


RECORDED_THEN_KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from bridge.telephony.recorder import Recorder
recorder = Recorder(Path(sys.argv[1]))
recorder.append(np.ones((24_000, 2), dtype=np.int16))
recorder.mark(b"marked\\n")
recorder.mark(b"last\\n")
markers = Path(sys.argv[1]).with_suffix(".markers.jsonl")
while not (markers.exists() and markers.read_bytes().endswith(b"last\\n")):
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_recording_and_markers(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    done = subprocess.run([sys.executable, "-c", RECORDED_THEN_KILLED, str(path)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert path.with_suffix(".markers.jsonl").read_bytes() == b"marked\nlast\n"
    samples, _ = read_wav(path)
    assert samples.shape == (24_000, 2)
    assert samples.all()


# With the pump: both channels on one clock


def test_a_pause_is_silence_of_its_length_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    ports = FakePorts(clock, first_position=16_000)
    pump = Pump(ports, clock, append_ms=20, ahead_ms=200)
    row = ports.open_row()
    recorder = Recorder(tmp_path / "call.wav")
    pump.add(row, Ear(), recorder)
    said = noise(FRAME_SAMPLES * 100, seed=9)
    ports.say(row, said)
    ports.step(20, then=pump.tick)
    ports.step(3)  # three frames that no tick took: they came before the pause
    pump.pause_recording(row, paused=True)
    assert pump.recorded_ms(row, clock.now_ns()) == 23 * 20
    ports.step(30, then=pump.tick)
    ports.step(4)  # and four that came before its end
    pump.pause_recording(row, paused=False)
    ports.step(20, then=pump.tick)
    assert pump.recorded_ms(row, clock.now_ns() - 100_000_000) == 77 * 20 - 100
    pump.remove(row)
    close(recorder)
    left = read_wav(recorder.path)[0][:, 0]
    kept = said[: 77 * FRAME_SAMPLES].copy()
    kept[23 * FRAME_SAMPLES : 57 * FRAME_SAMPLES] = 0
    np.testing.assert_array_equal(left, kept)


def test_a_recording_that_begins_paused_and_ends_so_is_silent(tmp_path: Path) -> None:
    clock = ManualClock()
    ports = FakePorts(clock)
    pump = Pump(ports, clock, append_ms=20, ahead_ms=200)
    row = ports.open_row()
    recorder = Recorder(tmp_path / "call.wav")
    recorder.paused = True
    pump.add(row, Ear(), recorder)
    ports.say(row, noise(FRAME_SAMPLES * 50, seed=9))
    ports.step(50, then=pump.tick)
    pump.remove(row)
    close(recorder)
    samples, _ = read_wav(recorder.path)
    assert len(samples) == 50 * FRAME_SAMPLES
    assert not samples.any()


def test_both_channels_lie_where_they_were_heard(tmp_path: Path) -> None:
    clock = ManualClock()
    ports = FakePorts(clock, first_position=32_000)
    pump = Pump(ports, clock, append_ms=20, ahead_ms=200)
    row = ports.open_row()
    ports.step(5, then=pump.tick)
    before = len(ports.taken(row))
    recorder = Recorder(tmp_path / "call.wav")
    pump.add(row, Ear(), recorder)
    said = tone(300, 8000, FRAME_SAMPLES * 50)
    ports.say(row, said)
    ports.step(10, then=pump.tick)
    pump.downlink.play(
        row, ItemId("item"), 0, tone(900, AGENT_HZ, AGENT_HZ // 2).astype("<i2").tobytes()
    )
    ports.step(20, then=pump.tick)
    ports.step(7)  # a stall, and then the end: the rest is recorded by remove
    pump.remove(row)
    close(recorder)
    samples, _ = read_wav(recorder.path)
    heard = ports.taken(row)[before:]
    np.testing.assert_array_equal(samples[:, 0], said[: len(samples)])
    np.testing.assert_array_equal(samples[:, 1], heard)
    assert heard.any()


def test_a_stall_longer_than_the_ring_is_silent_and_keeps_the_clock(tmp_path: Path) -> None:
    clock = ManualClock()
    ports = FakePorts(clock)
    pump = Pump(ports, clock, append_ms=20, ahead_ms=200)
    row = ports.open_row()
    recorder = Recorder(tmp_path / "call.wav")
    pump.add(row, Ear(), recorder)
    said = noise(FRAME_SAMPLES * 300, seed=3)
    ports.say(row, said)
    ports.step(10, then=pump.tick)
    ports.step(250)
    ports.step(40, then=pump.tick)
    pump.remove(row)
    close(recorder)
    left = read_wav(recorder.path)[0][:, 0]
    assert len(left) == len(said)
    differs = np.flatnonzero(left != said)
    assert not left[differs].any()  # lost, not wrong
    assert differs[0] >= 10 * FRAME_SAMPLES
    assert differs[-1] < (10 + 250 - 97) * FRAME_SAMPLES


def test_one_thread_writes_the_files_of_all_calls(tmp_path: Path) -> None:
    """Rows that were at different positions, one of them recorded not at all."""
    clock = ManualClock()
    ports = FakePorts(clock)
    pump = Pump(ports, clock, append_ms=20, ahead_ms=200)
    said: dict[int, Sound] = {}
    recorders: dict[int, Recorder] = {}
    threads = threading.active_count()
    for seed in range(4):
        row = ports.open_row()
        said[row] = noise(FRAME_SAMPLES * 130, seed)
        if seed != 1:
            recorders[row] = Recorder(tmp_path / f"{seed}.wav", outgoing_first=seed == 2)
        pump.add(row, Ear(), recorders.get(row))
        ports.say(row, said[row])
        ports.step(3)
    assert threading.active_count() == threads + 1
    ports.step(100, then=pump.tick)
    for row, recorder in recorders.items():
        pump.remove(row)
        close(recorder)
        caller = 1 if row == 2 else 0
        samples, _ = read_wav(recorder.path)
        assert len(samples) >= 100 * FRAME_SAMPLES
        np.testing.assert_array_equal(samples[:, caller], said[row][: len(samples)])
        assert not samples[:, 1 - caller].any()


def test_a_disk_that_refuses_one_file_spares_the_others(tmp_path: Path) -> None:
    spoilt, good = tmp_path / "spoilt.wav", tmp_path / "good.wav"
    file_is_a_folder(spoilt)
    recorders = [Recorder(spoilt), Recorder(good)]
    both = np.stack([stereo(PHONE_HZ, seed=1), stereo(PHONE_HZ, seed=2)])
    recorders[0].desk.append(recorders, both)
    for recorder in recorders:
        close(recorder)
    assert [recorder.failed for recorder in recorders] == [True, False]
    np.testing.assert_array_equal(read_wav(good)[0], both[1])
