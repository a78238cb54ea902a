"""Shipping to S3: a real server that keeps files and checks signatures, and hostile ones."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config.archive import BucketSettings, RecordingsSettings
from bridge.errors import ConfigError
from bridge.recordings.age_keys import read_recipients
from bridge.recordings.archive import Archive
from bridge.recordings.bucket import BucketError, RecordingBucket
from bridge.recordings.deletion import delete_of_caller, hold, release, sweep
from bridge.recordings.encryption import encrypt_recording
from bridge.recordings.files import CallFiles, find_call, read_call
from bridge.recordings.notes import RecordingNote
from bridge.recordings.playback import NotReadableHereError, open_recording, opened_recording
from bridge.recordings.shipping import Shipping, check_archive, fetch_recording
from bridge.recordings.states import RecordingState, finished_recordings
from tests.recordings.test_archive import record
from tests.recordings.test_deletion import ALICE, DAY_MS
from tests.support.age import AgeKey, decrypt_with_age, make_key
from tests.support.breakages import fill, small_disk
from tests.support.s3 import (
    BUCKET,
    Fault,
    S3Server,
    answer,
    error,
    hostile_s3,
    s3_server,
    sha256_of,
)

HOUR_S = 3600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def s3(server: S3Server) -> S3Server:
    """The server with an empty bucket."""
    for each in server.objects.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    return server


@pytest.fixture
def key(tmp_path: Path) -> AgeKey:
    return make_key(tmp_path)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    place = tmp_path / "calls"
    place.mkdir()
    return place


def bucket_at(url: str, place: Path, **more: object) -> RecordingBucket:
    settings = S3Server(url, place).settings(place, **more)
    return RecordingBucket(BucketSettings(**json.loads(settings)), {})


def shipping(calls: Path, url: str, keep_local_s: int = 0) -> Shipping:
    return Shipping(calls, bucket_at(url, calls.parent), keep_local_s)


def sealed(calls: Path, key: AgeKey, call_id: str = "c_1") -> tuple[CallFiles, bytes]:
    """Write a call's encrypted recording; return its files, and the encrypted content."""
    files, _ = record(calls, call_id)
    encrypt_recording(files, read_recipients(key.recipients))
    return files, files.encrypted.read_bytes()


def states(calls: Path) -> dict[str, RecordingState]:
    return {each.files.call_id: each.state for each in finished_recordings(calls)}


def test_a_recording_goes_to_the_bucket_and_only_then_from_the_disk(
    s3: S3Server, calls: Path, key: AgeKey
) -> None:
    files, content = sealed(calls, key)
    way = shipping(calls, s3.url, HOUR_S)
    now_s = time.time()
    assert way.run(now_s) == (1, None)
    assert (s3.objects / "c_1.wav.age").read_bytes() == content
    assert states(calls) == {"c_1": RecordingState.SHIPPED}
    assert way.run(now_s + HOUR_S - 60) == (0, None)
    assert files.encrypted.exists()
    assert way.run(now_s + HOUR_S + 60) == (1, None)
    assert states(calls) == {"c_1": RecordingState.REMOTE}
    assert not files.encrypted.exists()
    note = RecordingNote.read(files)
    assert note is not None
    assert (note.bucket, note.key, note.recipients) == (BUCKET, "c_1.wav.age", (key.public,))
    assert decrypt_with_age(s3.objects / "c_1.wav.age", key.identities)
    assert Archive(calls, key.recipients).keys_in_use() == {key.public: 1}
    with pytest.raises(NotReadableHereError, match="bridge recordings fetch c_1"):
        open_recording(files, key.identities)


def test_a_shipped_recording_is_fetched_and_played_and_goes_again(
    s3: S3Server, calls: Path, key: AgeKey
) -> None:
    files, content = sealed(calls, key)
    way = shipping(calls, s3.url)
    way.run(time.time())
    way.run(time.time() + 1)
    assert files.is_remote
    os.utime(files.shipped, (1, 1))  # long ago
    fetch_recording(files, way.bucket)
    assert files.encrypted.read_bytes() == content
    with opened_recording(files, key.identities) as path:
        assert path.read_bytes()[:4] == b"RIFF"
    way.keep_local_s = HOUR_S
    assert way.run(time.time()) == (0, None)
    assert way.run(time.time() + HOUR_S + 60) == (1, None)
    assert files.is_remote


def test_what_was_changed_in_the_bucket_is_noticed_and_not_played(
    s3: S3Server, calls: Path, key: AgeKey
) -> None:
    files, content = sealed(calls, key)
    way = shipping(calls, s3.url)
    way.run(time.time())
    way.run(time.time() + 1)
    note = RecordingNote.read(files)
    assert note is not None
    way.bucket.check(note)
    for there, said in (
        (content[:-1] + b"?", "is not what was put there"),
        (content[:-1], "can't be read: .* read, but total bytes expected"),
    ):
        (s3.objects / "c_1.wav.age").write_bytes(there)
        with pytest.raises(BucketError, match=said):
            fetch_recording(files, way.bucket)
        with pytest.raises(BucketError, match=said):
            way.bucket.check(note)
    assert not files.encrypted.exists()
    assert not files.unfinished.exists()


def test_deleted_calls_are_deleted_in_the_bucket_too(
    s3: S3Server, calls: Path, key: AgeKey
) -> None:
    way = shipping(calls, s3.url)
    for call_id in ("c_1", "c_2"):
        sealed(calls, key, call_id)
    way.run(time.time())
    way.run(time.time() + 1)
    assert set(states(calls).values()) == {RecordingState.REMOTE}
    assert delete_of_caller(calls, ALICE).events == ["c_1", "c_2"]
    assert set(states(calls).values()) == {RecordingState.UNWANTED}
    assert not any(calls.glob("c_*.json"))
    assert way.run(time.time()) == (2, None)
    assert not list(s3.objects.glob("*.age"))
    assert not list(calls.glob("c_*"))


def test_deletion_waits_for_a_storage_that_is_away(s3: S3Server, calls: Path, key: AgeKey) -> None:
    files, _ = sealed(calls, key)
    shipping(calls, s3.url).run(time.time())
    delete_of_caller(calls, ALICE)
    away = shipping(calls, "http://127.0.0.1:9")
    _, why = away.run(time.time())
    assert why is not None
    assert "can't be deleted" in why
    assert files.unwanted.exists()
    assert shipping(calls, s3.url).run(time.time()) == (1, None)
    assert not list(s3.objects.glob("*.age"))


def test_audio_over_its_time_goes_from_the_bucket(s3: S3Server, calls: Path, key: AgeKey) -> None:
    files, _ = record(calls)
    about = json.loads(files.record.read_text())
    files.record.write_text(json.dumps({**about, "keep_days": {"audio": 2}}))
    encrypt_recording(files, read_recipients(key.recipients))
    way = shipping(calls, s3.url)
    way.run(time.time())
    way.run(time.time() + 1)
    assert sweep(calls, 3 * DAY_MS).audio == ["c_1"]
    assert not sweep(calls, 3 * DAY_MS).audio
    way.run(time.time())
    assert not list(s3.objects.glob("*.age"))
    assert files.record.exists()


def test_a_held_calls_copy_stays(s3: S3Server, calls: Path, key: AgeKey) -> None:
    files, _ = sealed(calls, key)
    hold(read_call(files), "a court's")
    way = shipping(calls, s3.url)
    assert way.run(time.time()) == (1, None)
    assert way.run(time.time() + DAY_MS) == (0, None)
    assert files.encrypted.exists()
    release(find_call(calls, "c_1"))
    assert way.run(time.time() + DAY_MS) == (1, None)


@pytest.mark.parametrize("moment", ["check", "put"])
def test_what_is_deleted_while_it_is_shipped_is_taken_back(
    s3: S3Server, calls: Path, key: AgeKey, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    sealed(calls, key)
    way = shipping(calls, s3.url)
    step = getattr(way.bucket, moment)

    def delete_then(*given: object) -> None:
        if moment == "check":
            delete_of_caller(calls, ALICE)
        step(*given)
        delete_of_caller(calls, ALICE)

    monkeypatch.setattr(way.bucket, moment, delete_then)
    way.run(time.time())
    assert states(calls) == {"c_1": RecordingState.UNWANTED}
    monkeypatch.undo()
    way.run(time.time())
    assert not list(s3.objects.glob("*.age"))
    assert not list(calls.glob("c_*"))


@pytest.mark.parametrize("last", ["archive", "shipping", "both", "shipped"])
def test_what_a_crash_left_on_its_way_is_shipped(
    s3: S3Server, calls: Path, key: AgeKey, last: str
) -> None:
    files, content = sealed(calls, key)
    if last != "archive":
        (s3.objects / "c_1.wav.age").write_bytes(content[:100])  # as a store that keeps parts has
        note = files.note.read_bytes()
        files.shipping.write_bytes(note)
        if last == "shipping":
            files.note.unlink()
    way = shipping(calls, s3.url)
    if last == "shipped":
        way.run(time.time())
        files.shipping.write_bytes(files.shipped.read_bytes())  # killed before it went
    way.run(time.time())
    way.run(time.time() + 1)
    assert (s3.objects / "c_1.wav.age").read_bytes() == content
    assert states(calls) == {"c_1": RecordingState.REMOTE}


def test_a_recording_that_is_damaged_here_is_not_shipped_and_keeps_no_other_waiting(
    s3: S3Server, calls: Path, key: AgeKey
) -> None:
    bad, content = sealed(calls, key, "c_1")
    bad.encrypted.write_bytes(content[:-1] + b"?")
    sealed(calls, key, "c_2")
    done, why = shipping(calls, s3.url).run(time.time())
    assert (done, why is not None and "not as it was written" in why) == (1, True)
    assert [path.name for path in s3.objects.glob("*.age")] == ["c_2.wav.age"]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"bucket": "nowhere"}, "make the bucket"),
        ({"access_key_id": "AKNOBODY"}, "access_key_id"),
        ({"endpoint": "http://127.0.0.1:9"}, "recordings.s3.endpoint"),
    ],
)
def test_settings_that_do_not_fit_are_named_and_nothing_is_lost(
    s3: S3Server, calls: Path, key: AgeKey, spoilt: dict[str, str], said: str
) -> None:
    files, content = sealed(calls, key)
    bucket = bucket_at(s3.url, calls.parent, **spoilt)
    done, why = Shipping(calls, bucket, 0).run(time.time())
    assert done == 0
    assert why is not None
    assert said in why
    assert files.encrypted.read_bytes() == content


def test_a_wrong_secret_is_named_and_never_shown(s3: S3Server, calls: Path, key: AgeKey) -> None:
    sealed(calls, key)
    way = shipping(calls, s3.url)
    wrong = calls.parent / "wrong"
    wrong.write_text("not-the-secret")
    place = {"file": str(wrong)}
    way.bucket = bucket_at(s3.url, calls.parent, secret_access_key=place)
    _, why = way.run(time.time())
    assert why is not None
    assert "correct recordings.s3.secret_access_key" in why
    assert "not-the-secret" not in why


def _content(method: str, body: bytes, stored: bytes, **headers: str) -> bytes:
    """Answer as a storage that keeps ``stored``, whatever was put."""
    if method == "PUT":
        return answer("200 OK", ETag='"0"')
    if method == "HEAD":
        return answer("200 OK", b"", length=str(len(stored)), **headers)
    return answer("200 OK", stored)


FAULTS: dict[str, Fault] = {
    "slow down": lambda method, body: error("503 Slow Down", "SlowDown"),
    "skewed": lambda method, body: error("403 Forbidden", "RequestTimeTooSkewed"),
    "internal": lambda method, body: error("500 Internal", "InternalError"),
    "no answer": lambda method, body: None,
    "no HTTP": lambda method, body: b"220 smtp.example ready\r\n",
    "html": lambda method, body: answer("200 OK", b"<html>sign in</html>"),
    "not XML": lambda method, body: answer("400 Bad", b"\x00\xff<<<"),
    "wrong sum": lambda method, body: _content(
        method, body, b"x" * 10, x_amz_checksum_sha256=sha256_of(b"x" * 10)
    ),
    "garbled sum": lambda method, body: _content(
        method, body, b"x" * 10, x_amz_checksum_sha256="!\u00b7not base64"
    ),
    "no length": lambda method, body: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    "garbled length": lambda method, body: answer("200 OK", length="many"),
    "garbled date": lambda method, body: answer("200 OK", Last_Modified="the day before"),
    "another size": lambda method, body: _content(method, body, b"x" * 10),
    "never kept": lambda method, body: (
        answer("200 OK", ETag='"0"') if method == "PUT" else error("404 Not Found", "NoSuchKey")
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_hostile_storage_costs_no_recording(calls: Path, key: AgeKey, fault: str) -> None:
    files, content = sealed(calls, key)
    async with hostile_s3(FAULTS[fault]) as hostile:
        way = shipping(calls, hostile.url)
        done, why = await asyncio.to_thread(way.run, time.time())
        assert (done, why is None) == (0, False), hostile.asked
        asked = len(hostile.asked)
        assert await asyncio.to_thread(way.run, time.time()) == (
            0,
            "the storage failed, and is tried again later",
        )
        assert len(hostile.asked) == asked  # it is left alone for a while
    assert files.encrypted.read_bytes() == content
    assert states(calls) == {"c_1": RecordingState.ENCRYPTED}


async def test_a_connection_that_is_cut_in_the_middle_costs_no_recording(
    calls: Path, key: AgeKey
) -> None:
    files, content = sealed(calls, key)
    async with hostile_s3(FAULTS["no answer"], read_bytes=1000) as hostile:
        done, why = await asyncio.to_thread(shipping(calls, hostile.url).run, time.time())
    assert (done, why is None) == (0, False)
    assert files.encrypted.read_bytes() == content


async def test_a_redirect_gets_no_recording(calls: Path, key: AgeKey) -> None:
    files, _ = sealed(calls, key)
    async with hostile_s3(lambda method, body: answer("200 OK")) as elsewhere:
        away = answer("307 Temporary Redirect", Location=f"{elsewhere.url}/calls/c_1.wav.age")
        async with hostile_s3(lambda method, body: away) as hostile:
            done, why = await asyncio.to_thread(shipping(calls, hostile.url).run, time.time())
        assert (done, why is None, elsewhere.asked) == (0, False, [])
    assert files.encrypted.exists()


async def test_a_storage_that_hangs_is_given_up_and_encryption_goes_on(
    calls: Path, key: AgeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, _ = sealed(calls, key)
    monkeypatch.setattr("bridge.recordings.bucket._ANSWER_WITHIN_S", 1.0)
    async with hostile_s3(lambda method, body: b"hang") as hostile:
        way = shipping(calls, hostile.url)
        working = asyncio.create_task(asyncio.to_thread(way.run, time.time()))
        other, _ = record(calls, "c_2")
        await asyncio.to_thread(Archive(calls, key.recipients).run, time.time())
        assert other.encrypted.exists()
        done, why = await working
    assert (done, why is None) == (0, False)
    assert files.encrypted.exists()


def test_a_full_disk_fetches_nothing_and_loses_nothing(
    s3: S3Server, tmp_path: Path, key: AgeKey
) -> None:
    with small_disk(tmp_path / "small", "1m") as place:
        files, _ = sealed(place, key)
        way = Shipping(place, bucket_at(s3.url, tmp_path), 0)
        way.run(time.time())
        way.run(time.time() + 1)
        fill(place)
        with pytest.raises(OSError, match="No space left"):
            fetch_recording(files, way.bucket)
        assert files.is_remote
        assert not files.unfinished.exists()


def test_start_names_what_is_wrong_with_the_settings(tmp_path: Path, key: AgeKey) -> None:
    good = {"bucket": BUCKET, "access_key_id": "A", "secret_access_key": {"env": "S3_SECRET"}}
    settings = RecordingsSettings(recipients_file=key.recipients, s3=BucketSettings(**good))
    check_archive(settings, {"S3_SECRET": "x"})
    with pytest.raises(ConfigError, match="S3_SECRET is not set"):
        check_archive(settings, {})
    with pytest.raises(ValueError, match="only encrypted recordings are shipped"):
        RecordingsSettings(s3=BucketSettings(**good))
    with pytest.raises(ValueError, match="or neither"):
        BucketSettings(bucket=BUCKET, access_key_id="A")
