"""Yesterday's recorded calls as scripts: those that may be played, and why the others may not."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.replay.importing.gateway_call import shadow_calls, yesterday_of
from bridge.replay.script import load_script
from tests.replay.importing.test_gateway_call import BEGAN_MS, turn, write

_BEGAN = datetime.fromtimestamp(BEGAN_MS / 1000, UTC)
_NOW = _BEGAN + timedelta(days=1)
_WORDS = [
    turn(4_700, "caller", "i_1", "Where is my order?"),
    turn(9_200, "caller", "i_2", "Thank you."),
]


def _write_two(directory: Path) -> Path:
    """Write c_1, whose caller agreed, and c_2, whose caller did not."""
    write(directory, consent=None)
    for path in list(directory.iterdir()):
        path.rename(directory / path.name.replace("c_1", "c_2"))
    return write(directory, _WORDS)


def test_calls_whose_callers_agreed_become_scripts(tmp_path: Path) -> None:
    found = shadow_calls(_write_two(tmp_path), yesterday_of(_NOW), _NOW, tmp_path)
    (path,) = found.scripts
    script = load_script(path)
    assert script.source.kind == "recorded"
    assert script.source.call == "c_1"


def test_the_others_are_left_out_with_the_reason(tmp_path: Path) -> None:
    found = shadow_calls(_write_two(tmp_path), yesterday_of(_NOW), _NOW, tmp_path)
    (why,) = found.left_out
    assert why.startswith("c_2: ")
    assert "agreed" in why


def test_a_call_over_its_time_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, keep=1)
    later = _BEGAN + timedelta(days=3)
    found = shadow_calls(tmp_path, _BEGAN.date(), later, tmp_path)
    assert found.scripts == ()
    assert "was to be kept until" in found.left_out[0]


def test_calls_of_another_day_are_not_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no call of 2026-12-24"):
        shadow_calls(write(tmp_path), date(2026, 12, 24), _NOW, tmp_path)
