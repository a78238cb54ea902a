"""What is deleted of calls: by time, by caller, never of held ones; and what is put down of it."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bridge.audio.markers import decode, encode_header, encode_marker
from bridge.errors import ConfigError
from bridge.recordings.deletion import Deletion, audit, delete_of_caller, hold, release, sweep
from bridge.recordings.files import CDR_FILE, DELETIONS_FILE, CallFiles, find_call, read_call
from bridge.recordings.retention import is_of
from bridge.recordings.writing import append_line, blank_lines, write_json

DAY_MS = 24 * 3600 * 1000
ALICE = "sip:+15550100@trunk.example"
BOB = '"Bob" <sip:15550199@trunk.example>'
SAID = "my dog is called Rex"


def store(
    directory: Path,
    call_id: str,
    *,
    caller: str = ALICE,
    days: dict[str, int | None] | None = None,
    record: bool = True,
) -> CallFiles:
    """Write the files of a call that began at 0; without a record, as a kill leaves them."""
    files = CallFiles(directory, call_id)
    about = {"call_id": call_id, "caller": caller, "started_at_ms": 0, "keep_days": days or {}}
    files.audio.write_bytes(b"RIFF")
    turn = encode_marker(20, "turn", {"speaker": "caller", "text": SAID})
    files.markers.write_bytes(encode_header(about) + turn)
    if record:
        turns = [{"speaker": "caller", "text": SAID, "latency_ms": None}]
        callbacks = [{"when": "tomorrow", "number": "+15550100", "reason": SAID}]
        write_json(files.record, {**about, "turns": turns, "callbacks": callbacks, "mos": {}})
        write_json(files.figures, {"call_id": call_id, "turns": 1})
        append_line(directory / CDR_FILE, {"call_id": call_id, "from": caller})
    return files


def grow_old(files: CallFiles) -> None:
    for path in (files.audio, files.markers):
        os.utime(path, (time.time() - 3600,) * 2)


def left(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def cdr(directory: Path) -> list[dict[str, Any]]:  # Any: a line's values
    return [json.loads(line) for line in (directory / CDR_FILE).read_text().splitlines()]


def test_audio_goes_when_its_time_is_over_and_the_rest_stays(tmp_path: Path) -> None:
    files = store(tmp_path, "c_1", days={"audio": 2})
    assert not sweep(tmp_path, 2 * DAY_MS).deleted
    before = left(tmp_path)
    assert sweep(tmp_path, 2 * DAY_MS + 1).audio == ["c_1"]
    assert before - left(tmp_path) == {files.audio.name}
    assert not sweep(tmp_path, 3 * DAY_MS).deleted


def test_words_go_when_their_time_is_over_and_the_rest_stays(tmp_path: Path) -> None:
    files = store(tmp_path, "c_1", days={"transcript": 1})
    before = left(tmp_path)
    assert sweep(tmp_path, 2 * DAY_MS).transcripts == ["c_1"]
    assert left(tmp_path) == before
    for path in (files.record, files.markers):
        assert SAID not in path.read_text()
    record = json.loads(files.record.read_text())
    assert record["turns"] == [{"speaker": "caller", "text": None, "latency_ms": None}]
    assert decode(files.markers.read_bytes()).markers[0]["at_ms"] == 20
    assert not sweep(tmp_path, 3 * DAY_MS).deleted


def test_a_call_goes_whole_with_its_events(tmp_path: Path) -> None:
    store(tmp_path, "c_1", days={"events": 1})
    kept = store(tmp_path, "c_2")
    assert sweep(tmp_path, 2 * DAY_MS).events == ["c_1"]
    assert left(tmp_path) == {
        *(CDR_FILE, kept.audio.name, kept.markers.name, kept.record.name),
        "metrics/session_c_2.json",
    }
    assert cdr(tmp_path) == [
        {"call_id": "c_1", "deleted": True},
        {"call_id": "c_2", "from": ALICE},
    ]


def test_nothing_is_deleted_for_lack_of_a_word_about_it(tmp_path: Path) -> None:
    store(tmp_path, "c_1")
    (tmp_path / "c_2.json").write_text('{"keep_days": {"audio": "soon"}}')
    (tmp_path / "c_3.wav").touch()
    assert not sweep(tmp_path, 10_000 * DAY_MS).deleted


def test_all_of_a_caller_goes_also_what_a_kill_left(tmp_path: Path) -> None:
    store(tmp_path, "c_1")
    grow_old(store(tmp_path, "c_2", record=False))
    store(tmp_path, "c_3", caller=BOB)
    before = left(tmp_path)
    planned = delete_of_caller(tmp_path, "+1 (555) 0100", dry_run=True)
    assert planned.events == ["c_1", "c_2"]
    assert left(tmp_path) == before
    assert delete_of_caller(tmp_path, "15550100").events == ["c_1", "c_2"]
    assert {name for name in left(tmp_path) if "c_3" not in name} == {CDR_FILE}
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert ALICE.encode() not in everything
    assert b"15550199" in everything


def test_a_call_that_goes_on_is_left_and_told(tmp_path: Path) -> None:
    files = store(tmp_path, "c_1", days={"events": 1}, record=False)
    assert not sweep(tmp_path, 2 * DAY_MS).deleted
    done = delete_of_caller(tmp_path, "+15550100")
    assert (done.events, done.going_on, done.left) == ([], ["c_1"], True)
    assert files.audio.exists()


def test_a_held_call_outlives_everything_until_it_is_released(tmp_path: Path) -> None:
    files = store(tmp_path, "c_1", days={"events": 1})
    hold(find_call(tmp_path, "c_1"), "case 7")
    assert json.loads(files.hold.read_text())["reason"] == "case 7"
    assert not sweep(tmp_path, 9 * DAY_MS).deleted
    assert delete_of_caller(tmp_path, "+15550100").held == ["c_1"]
    release(read_call(files))
    assert sweep(tmp_path, 9 * DAY_MS).events == ["c_1"]
    assert left(tmp_path) == {CDR_FILE, DELETIONS_FILE}
    put_down = [json.loads(line) for line in (tmp_path / DELETIONS_FILE).read_text().splitlines()]
    assert [line["why"] for line in put_down] == ["hold", "release"]


def test_a_call_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    store(tmp_path, "c_11")
    store(tmp_path, "c_12")
    assert find_call(tmp_path, "c_11").caller == ALICE
    with pytest.raises(ConfigError, match=r"2 calls in .* known by 'c_1'"):
        find_call(tmp_path, "c_1")
    with pytest.raises(ConfigError, match=r"no call in .* known by 'c_9'"):
        find_call(tmp_path, "c_9")


def test_what_was_deleted_is_put_down_without_the_number(tmp_path: Path) -> None:
    store(tmp_path, "c_1")
    audit(delete_of_caller(tmp_path, "+15550100", dry_run=True))
    assert not (tmp_path / DELETIONS_FILE).exists()
    audit(delete_of_caller(tmp_path, "+15550100"))
    audit(Deletion(tmp_path, "retention"))  # nothing went: nothing to put down
    (line,) = (tmp_path / DELETIONS_FILE).read_text().splitlines()
    told = json.loads(line)
    assert (told["why"], told["events"], told["counts"]["events"]) == ("caller ***00", ["c_1"], 1)
    assert "@" in told["by"]
    assert "5550100" not in line


@pytest.mark.parametrize(
    ("caller", "number", "same"),
    [
        (ALICE, "+15550100", True),
        (ALICE, "1 555 0100", True),
        (BOB, "+15550199", True),
        ("tel:+1-555-0100", "15550100", True),
        (ALICE, "+1555010", False),
        (ALICE, "5550100", False),
        ("", "", False),
        ("sip:anonymous@anonymous.invalid", "", False),
    ],
)
def test_a_caller_is_known_by_the_number(caller: str, number: str, same: bool) -> None:
    assert is_of(caller, number) is same


def test_lines_are_blanked_while_others_are_added(tmp_path: Path) -> None:
    path = tmp_path / CDR_FILE
    for number in range(200):
        append_line(path, {"call_id": f"c_{number}", "from": ALICE})

    def add_more() -> None:
        for number in range(300):
            append_line(path, {"call_id": f"n_{number}"})

    adding = threading.Thread(target=add_more)
    adding.start()
    for number in range(0, 200, 20):
        blank_lines(path, {f"c_{number}", f"c_{number + 10}"})
    adding.join()
    lines = cdr(tmp_path)
    assert sum("deleted" in line for line in lines) == 20
    assert sum("from" in line for line in lines) == 180
    assert [line["call_id"] for line in lines if line["call_id"][0] == "n"] == [
        f"n_{n}" for n in range(300)
    ]


def test_calls_that_the_network_says_are_the_callers_are_deleted_too(tmp_path: Path) -> None:
    files = store(tmp_path, "c_1", caller="<sip:100@pbx.example>")
    record = json.loads(files.record.read_text())
    write_json(files.record, {**record, "asserted": '"Ann" <sip:+15550177@trunk.example>'})
    assert delete_of_caller(tmp_path, "+15550177").events == ["c_1"]


def test_sip_messages_go_with_the_events_and_with_the_caller(tmp_path: Path) -> None:
    about = {"caller": ALICE, "started_at_ms": 0, "keep_days": {"events": 3}}
    kept = store(tmp_path, "c_1", days={"audio": 1, "events": 3})
    alone = CallFiles(tmp_path, "c_2")  # of a call whose record is gone already
    for files in (kept, alone):
        files.sip.write_text(json.dumps({**about, "call_id": files.call_id}) + "\n")
        os.utime(files.sip, (time.time() - 3600,) * 2)
    sweep(tmp_path, 2 * DAY_MS)
    assert kept.sip.exists()
    hold(read_call(kept), "a lawsuit")
    assert sweep(tmp_path, 4 * DAY_MS).events == ["c_2"]
    assert (kept.sip.exists(), alone.sip.exists()) == (True, False)
    release(read_call(kept))
    alone.sip.write_text(json.dumps({**about, "call_id": "c_2"}) + "\n")
    os.utime(alone.sip, (time.time() - 3600,) * 2)
    assert set(delete_of_caller(tmp_path, "+15550100").events) == {"c_1", "c_2"}
    assert left(tmp_path) == {CDR_FILE, DELETIONS_FILE}
