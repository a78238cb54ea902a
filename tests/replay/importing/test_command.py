"""`bridge replay import`: what it refuses with which remedy, and a phone's own recording."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bridge.audio.wav import write_wav
from bridge.cli.replay import replay
from bridge.replay.script import load_script
from tests.replay.importing.calls import RATE_HZ, sound
from tests.replay.importing.test_gateway_call import write

EVENTS = (
    {"event": "answered", "at_ms": 0},
    {"event": "keys_pressed", "at_ms": 2_500, "digits": "12"},
    {"event": "caller_started", "at_ms": 6_000, "text": "I am Jo Miller."},
    {"event": "caller_stopped", "at_ms": 7_500, "text": "I am Jo Miller."},
    {"event": "held", "at_ms": 12_000},
    {"event": "resumed", "at_ms": 14_000},
    {"outcome": "answered", "ended_by": "caller", "turns": []},
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(replay, ["import", *map(str, arguments)])


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """A recording of a phone, and its events."""
    sides = np.stack([sound((6_000, 7_500)), sound((500, 2_000), (9_000, 11_000))], axis=1)
    write_wav(tmp_path / "own.wav", sides, RATE_HZ)
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, EVENTS)))
    return tmp_path / "own.wav", tmp_path / "own.jsonl"


def test_a_call_without_consent_leaves_nothing_behind(tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    write(recordings, consent=None)
    out = tmp_path / "out" / "a.yaml"
    ran = run("c_1", "--directory", recordings, "--out", out)
    assert ran.exit_code == 2
    assert "nothing says that the caller of c_1 agreed" in ran.output
    assert "bridge call URI --record" in ran.output
    assert not out.parent.exists()


def test_there_is_no_way_around_consent() -> None:
    options = {name for each in replay.commands["import"].params for name in each.opts}
    assert not any("consent" in name for name in options)


def test_a_call_whose_words_nobody_knows_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    ran = run("c_1", "--directory", tmp_path, "--out", tmp_path / "a.yaml")
    assert ran.exit_code == 2
    assert "agent.transcription" in ran.output


def test_a_script_that_is_there_is_not_written_over(own: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "a.yaml"
    out.write_text("mine")
    assert run(*own, "--out", out).exit_code == 2
    assert out.read_text() == "mine"
    assert run(*own, "--out", out, "--replace").exit_code == 0


def test_a_recording_alone_is_not_enough(own: tuple[Path, Path], tmp_path: Path) -> None:
    ran = run(own[0], "--out", tmp_path / "a.yaml")
    assert ran.exit_code == 2
    assert "give the events, too" in ran.output


def test_a_phones_own_recording_becomes_a_script(own: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "My call.yaml"
    ran = run(*own, "--out", out, "--name", "Miller", "--name", "Jo", "--json")
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.output)
    script = load_script(out)
    assert told["id"] == script.id == "my-call"
    assert told["audio"] == []
    greeting, keys, says, hold = script.caller
    assert greeting.expect is not None
    assert keys.dtmf is not None
    assert keys.dtmf.digits == "12"
    assert says.interrupt is not None
    assert says.interrupt.text == "I am Robin Robin."
    assert hold.hold is not None
    assert hold.hold.ms == 2_000
    assert script.end.by == "caller"
    assert "Miller" not in out.read_text()
