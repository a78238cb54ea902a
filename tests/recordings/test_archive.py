"""Recordings at rest: real WAV files, Debian's `age` as the other side, kills and full disks."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import WavWriter, read_wav
from bridge.errors import ConfigError, InfrastructureError
from bridge.recordings import encryption
from bridge.recordings.age_keys import read_identities, read_recipients
from bridge.recordings.archive import Archive
from bridge.recordings.deletion import delete_of_caller, sweep
from bridge.recordings.encryption import StillWrittenError, encrypt_recording, is_whole
from bridge.recordings.files import CallFiles, find_call, stored_calls
from bridge.recordings.notes import RecordingNote
from bridge.recordings.playback import NotReadableHereError, open_recording, opened_recording
from bridge.recordings.states import RecordingState
from tests.recordings.test_deletion import ALICE, DAY_MS, store
from tests.support.age import AgeKey, decrypt_with_age, encrypt_with_age, make_key
from tests.support.breakages import fill, small_disk

CHUNK = 64 * 1024
WAV_HEADER = 44


@pytest.fixture
def key(tmp_path: Path) -> AgeKey:
    return make_key(tmp_path)


def record(directory: Path, call_id: str = "c_1", frames: int = 8_000) -> tuple[CallFiles, bytes]:
    """Write a whole call with noise; return its files, and the bytes of its recording."""
    files = store(directory, call_id)
    noise = np.random.default_rng(frames).integers(-9_000, 9_000, (frames, 2)).astype(np.int16)
    with WavWriter(files.audio, 2, 8_000) as writer:
        writer.append(noise)
    return files, files.audio.read_bytes()


def archive(directory: Path, key: AgeKey) -> Archive:
    directory.mkdir(exist_ok=True)
    return Archive(directory, key.recipients)


@pytest.mark.parametrize(
    "frames",
    [0, 1, (CHUNK - WAV_HEADER) // 4, (CHUNK - WAV_HEADER) // 4 + 1, (3 * CHUNK - WAV_HEADER) // 4],
)
def test_what_is_archived_is_opened_by_age_and_is_nowhere_in_plain(
    tmp_path: Path, key: AgeKey, frames: int
) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    files, plain = record(place, frames=frames)
    report = archive(place, key).run(time.time())
    assert (report.done, report.error) == (1, None)
    assert not files.audio.exists()
    assert not files.unfinished.exists()
    assert decrypt_with_age(files.encrypted, key.identities) == plain
    assert files.encrypted.read_bytes().startswith(b"age-encryption.org/v1\n")
    with opened_recording(files, key.identities) as path:
        assert path.read_bytes() == plain
    note = RecordingNote.read(files)
    assert note is not None
    assert note.recipients == (key.public,)
    assert note.size_bytes == files.encrypted.stat().st_size


def test_recordings_of_age_itself_are_played(tmp_path: Path, key: AgeKey) -> None:
    files, plain = record(tmp_path)
    encrypt_with_age(files.audio, files.encrypted, key.public)
    assert is_whole(files.encrypted, len(plain))
    files.audio.unlink()
    with opened_recording(files, key.identities) as path:
        samples, rate_hz = read_wav(path)
    assert (samples.shape, rate_hz) == ((8_000, 2), 8_000)


def test_any_recipient_opens_it_and_status_says_who(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    old, new = key, make_key(tmp_path, "new")
    record(place, "c_1")
    recordings = archive(place, old)
    recordings.run(time.time())
    old.recipients.write_text(f"{new.public}\n{old.public}\n")
    files, plain = record(place, "c_2")
    recordings.run(time.time())  # the file is read anew
    for each in (old, new):
        assert decrypt_with_age(files.encrypted, each.identities) == plain
    assert recordings.keys_in_use() == {old.public: 2, new.public: 1}
    with pytest.raises(NotReadableHereError, match=old.public):
        open_recording(CallFiles(place, "c_1"), new.identities)


def test_a_node_without_the_identity_says_to_whom_it_is_encrypted(
    tmp_path: Path, key: AgeKey
) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    files, _ = record(place)
    archive(place, key).run(time.time())
    with pytest.raises(NotReadableHereError) as caught:
        open_recording(files, None)
    for said in ("c_1", key.public, "recordings.identities_file"):
        assert said in str(caught.value)


def test_a_damaged_recording_is_an_error_and_no_sound(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    files, _ = record(place, frames=80_000)
    archive(place, key).run(time.time())
    whole = files.encrypted.read_bytes()
    flipped = bytearray(whole)
    flipped[-CHUNK] ^= 1
    descriptors = len(os.listdir("/proc/self/fd"))
    half = whole[: len(whole) // 2]
    for damaged in (whole[:-1], half, whole + b"x", bytes(flipped), b"", b"RIFF"):
        files.encrypted.write_bytes(damaged)
        with pytest.raises(InfrastructureError, match="damaged or cut off"):
            open_recording(files, key.identities)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_recording_that_is_still_written_is_left(tmp_path: Path, key: AgeKey) -> None:
    files, _ = record(tmp_path)
    recipients = read_recipients(key.recipients)
    with WavWriter(files.audio, 2, 8_000) as writer:  # its record is there: the disk hung
        writer.append(np.zeros((10, 2), np.int16))
        with pytest.raises(StillWrittenError):
            encrypt_recording(files, recipients)
        assert archive(tmp_path, key).run(time.time()).done == 0
        assert files.audio.exists()
    encrypt_recording(files, recipients)
    assert not files.audio.exists()


def test_a_call_that_goes_on_is_no_finished_recording(tmp_path: Path, key: AgeKey) -> None:
    store(tmp_path, "c_1", record=False)
    report = archive(tmp_path, key).run(time.time())
    assert not any(report.counts.values())
    assert (tmp_path / "c_1.wav").exists()


def test_what_a_crash_left_is_finished(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    cut, plain = record(place, "c_1")
    cut.unfinished.write_bytes(b"age-encryption.org/v1\n-> X25519")  # killed while it wrote
    both, _ = record(place, "c_2")
    encrypt_with_age(both.audio, both.encrypted, key.public)  # killed before the plain one went
    kept = both.encrypted.read_bytes()
    torn, _ = record(place, "c_3")
    torn.encrypted.write_bytes(b"age-encryption.org/v1\n")  # another's doing: never made so here
    assert archive(place, key).run(time.time()).done == 3
    for files in (cut, both, torn):
        assert not files.audio.exists()
        assert not files.unfinished.exists()
        assert decrypt_with_age(files.encrypted, key.identities) == plain
    assert both.encrypted.read_bytes() == kept


_ENCRYPT = """
import sys
from pathlib import Path
from bridge.recordings.age_keys import read_recipients
from bridge.recordings.encryption import encrypt_recording
from bridge.recordings.files import CallFiles
recipients = read_recipients(Path(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    encrypt_recording(CallFiles(Path(sys.argv[1]), line.strip()), recipients)
"""


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08])
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, key: AgeKey, delay_s: float) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    files, plain = record(place, frames=2_000_000)
    command = [sys.executable, "-c", _ENCRYPT, str(place), str(key.recipients)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(b"c_1\n")
        process.stdin.flush()
        threading.Event().wait(delay_s)  # the moment of the kill is the parameter
        process.send_signal(signal.SIGKILL)
    if files.audio.exists():
        assert files.audio.read_bytes() == plain
    else:
        assert decrypt_with_age(files.encrypted, key.identities) == plain
    assert archive(place, key).run(time.time()).error is None
    assert not files.audio.exists()
    assert decrypt_with_age(files.encrypted, key.identities) == plain


def test_a_full_disk_leaves_the_recording_and_it_is_tried_again(
    tmp_path: Path, key: AgeKey
) -> None:
    with small_disk(tmp_path / "calls", "1m") as place:
        files, plain = record(place, frames=100_000)
        fill(place)
        recordings = archive(place, key)
        now_s = time.time()
        report = recordings.run(now_s)
        assert report.error is not None
        assert "c_1.wav is not encrypted: No space left on device" in report.error
        assert (report.done, report.counts[RecordingState.PLAIN]) == (0, 1)
        assert files.audio.read_bytes() == plain
        assert not files.unfinished.exists()
        (place / "filler").unlink()
        later = recordings.run(now_s + 1)
        assert (later.done, later.error) == (0, "some failed, and are tried again later")
        assert recordings.run(now_s + 60).done == 1
        assert decrypt_with_age(files.encrypted, key.identities) == plain


def test_one_that_can_not_be_read_keeps_no_other_waiting(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    bad = store(place, "c_1")
    bad.audio.unlink()
    bad.audio.mkdir()
    record(place, "c_2")
    report = archive(place, key).run(time.time())
    assert report.done == 1
    assert report.error is not None
    assert "c_1.wav" in report.error


def test_bad_recipients_encrypt_nothing_and_say_so(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    files, _ = record(place)
    key.recipients.write_text("age1nobody\n")
    report = archive(place, key).run(time.time())
    assert report.error is not None
    assert "is no recipient" in report.error
    assert report.counts[RecordingState.PLAIN] == 1
    assert files.audio.exists()


def test_two_processes_are_not_at_it_at_once(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    record(place)
    with (place / "archive.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report = archive(place, key).run(time.time())
        assert (report.busy, report.done) == (True, 0)
    assert archive(place, key).run(time.time()).done == 1


def test_the_oldest_is_first_and_its_age_is_that_of_its_call(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    now_s = time.time()
    for call_id, age_s in (("c_1", 10), ("c_2", 5_000)):
        files, _ = record(place, call_id)
        os.utime(files.audio, (now_s - age_s,) * 2)
    recordings = archive(place, key)
    assert recordings.look(now_s).oldest_s[RecordingState.PLAIN] == 5_000
    report = recordings.run(now_s)
    assert report.oldest_s[RecordingState.PLAIN] == 0
    assert report.oldest_s[RecordingState.ENCRYPTED] == 5_000


def test_deletion_takes_the_encrypted_one_and_its_note(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    kept, _ = record(place, "c_1")
    recordings = archive(place, key)
    recordings.run(time.time())
    assert [call.files.call_id for call in stored_calls(place)] == ["c_1"]
    assert not sweep(place, 10_000 * DAY_MS).deleted
    aged = store(place, "c_2", days={"audio": 2})
    recordings.run(time.time())
    assert sweep(place, 3 * DAY_MS).audio == ["c_2"]
    assert not {path.name for path in place.glob("c_2*")} & {
        aged.encrypted.name,
        aged.note.name,
        aged.audio.name,
    }
    assert not find_call(place, "c_1").files.audio.exists()
    assert kept.has_audio
    assert set(delete_of_caller(place, ALICE).events) == {"c_1", "c_2"}
    assert not list(place.glob("c_*"))


@pytest.mark.parametrize("moment", ["_write_encrypted", "_fits", "_sync_directory"])
def test_what_is_deleted_while_it_is_encrypted_stays_deleted(
    tmp_path: Path, key: AgeKey, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Before its encrypted file is begun, once that is written, and once it has its name."""
    place = tmp_path / "calls"
    place.mkdir()
    files, _plain = record(place, frames=200_000)
    step = getattr(encryption, moment)

    def delete_first(*given: object) -> object:
        delete_of_caller(place, ALICE)
        return step(*given)

    monkeypatch.setattr(encryption, moment, delete_first)
    encrypt_recording(files, read_recipients(key.recipients))
    assert not list(place.glob("c_1*"))


def test_a_recording_that_is_open_outlives_its_file(tmp_path: Path, key: AgeKey) -> None:
    place = tmp_path / "calls"
    place.mkdir()
    files, plain = record(place)
    opened = open_recording(files, None)
    archive(place, key).run(time.time())
    assert not files.audio.exists()
    assert opened.path.read_bytes() == plain
    opened.close()


def test_decrypting_lets_other_threads_run_all_the_time(
    tmp_path: Path, key: AgeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, plain = record(tmp_path, frames=800_000)
    archive(tmp_path, key).run(time.time())
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with opened_recording(files, key.identities) as path:
        assert path.read_bytes() == plain
    assert len(pauses) == len(plain) // (256 * 1024)  # 0.7 ms apart


def test_there_is_nothing_to_open_of_a_call_without_recording(tmp_path: Path, key: AgeKey) -> None:
    with pytest.raises(FileNotFoundError):
        open_recording(CallFiles(tmp_path, "c_1"), key.identities)
    with pytest.raises(ConfigError):
        find_call(tmp_path, "c_1")
    assert read_identities(key.identities).opens
