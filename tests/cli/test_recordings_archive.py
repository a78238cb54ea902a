"""`bridge recordings archive`, `status` and `decrypt`, as an operator types them."""

import json
import stat
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner, Result

from bridge.cli.main import main
from bridge.recordings.files import CallFiles
from bridge.recordings.shipping import Shipping
from tests.recordings.test_archive import record
from tests.support.age import AgeKey, make_key
from tests.support.s3 import S3Server

RECIPIENTS, IDENTITIES = "BRIDGE_RECORDINGS_RECIPIENTS_FILE", "BRIDGE_RECORDINGS_IDENTITIES_FILE"


@pytest.fixture
def key(tmp_path: Path) -> AgeKey:
    return make_key(tmp_path)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    place = tmp_path / "calls"
    place.mkdir()
    return place


def run(calls: Path, *arguments: str, **environ: str) -> Result:
    command = ["recordings", *arguments, "--directory", str(calls)]
    return CliRunner().invoke(main, command, env=environ)


def test_what_lies_there_is_encrypted_counted_and_written_plain_again(
    tmp_path: Path, calls: Path, key: AgeKey
) -> None:
    _, plain = record(calls, "c_1")
    record(calls, "c_2")
    before = json.loads(run(calls, "status", "--json").stdout)
    assert (before["counts"]["plain"], before["counts"]["encrypted"]) == (2, 0)
    assert before["keys"] == {}
    done = run(calls, "archive", **{RECIPIENTS: str(key.recipients)})
    assert done.exit_code == 0, done.output
    shown = run(calls, "status")
    assert "2  encrypted" in shown.stdout
    assert f"2  opened by {key.public}" in shown.stdout
    out = tmp_path / "out.wav"
    keys = ("--identities", str(key.identities))
    written = run(calls, "decrypt", "c_1", *keys, "--out", str(out))
    assert written.exit_code == 0, written.output
    assert out.read_bytes() == plain
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    again = run(calls, "decrypt", "c_1", "--out", str(out), **{IDENTITIES: str(key.identities)})
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)


def test_nobody_to_encrypt_to_is_bad_input_and_a_failure_exits_with_1(
    calls: Path, key: AgeKey
) -> None:
    files, _ = record(calls, "c_1")
    nobody = run(calls, "archive")
    assert (nobody.exit_code, "recordings.recipients_file" in nobody.stderr) == (2, True)
    files.audio.unlink()
    files.audio.mkdir()
    failed = run(calls, "archive", **{RECIPIENTS: str(key.recipients)})
    assert (failed.exit_code, "left: c_1.wav" in failed.stderr) == (1, True)


def test_a_recording_that_can_not_be_opened_leaves_no_file(
    tmp_path: Path, calls: Path, key: AgeKey
) -> None:
    record(calls, "c_1")
    run(calls, "archive", **{RECIPIENTS: str(key.recipients)})
    out = tmp_path / "out.wav"
    other = make_key(tmp_path, "other")
    sealed = run(calls, "decrypt", "c_1", "--identities", str(other.identities), "--out", str(out))
    assert (sealed.exit_code, key.public in sealed.stderr) == (2, True)
    encrypted = CallFiles(calls, "c_1").encrypted
    encrypted.write_bytes(encrypted.read_bytes()[:-1])
    keys = ("--identities", str(key.identities))
    damaged = run(calls, "decrypt", "c_1", *keys, "--out", str(out))
    assert (damaged.exit_code, "damaged or cut off" in damaged.stderr) == (3, True)
    assert not out.exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_shipping_that_ends_by_a_fault_ends_the_archive_which_is_started_again(
    tmp_path: Path, calls: Path, key: AgeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(_shipping: Shipping, _now_s: float) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(Shipping, "run", break_off)
    monkeypatch.setattr("os.nice", lambda _by: 0)
    bucket = S3Server("http://127.0.0.1:9", tmp_path).settings(tmp_path)
    settings = {RECIPIENTS: str(key.recipients), "BRIDGE_RECORDINGS_S3": bucket}
    ended = run(calls, "archive", "--every", "0.1", **settings)
    assert ended.exit_code == 3
    assert "shipping" in ended.stderr
    assert "ended by a fault" in ended.stderr
