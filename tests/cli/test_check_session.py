"""`bridge check --convert-session`, as a person and as a program use it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli.check import check

BETA = {"voice": "sage", "temperature": 0.8, "turn_detection": None}
GA = {"type": "realtime", "audio": {"output": {"voice": "sage"}, "input": {"turn_detection": None}}}


def convert(path: Path, *more: str) -> Result:
    return CliRunner().invoke(check, ["--convert-session", str(path), *more])


@pytest.fixture
def beta(tmp_path: Path) -> Path:
    path = tmp_path / "beta.json"
    path.write_text(json.dumps(BETA), encoding="utf-8")
    return path


def test_ga_form_comes_on_stdout_and_what_changed_on_stderr(beta: Path) -> None:
    result = convert(beta)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == GA
    assert result.stderr.splitlines() == [
        "(none) -> session.type: required in every update",
        "session.voice -> session.audio.output.voice",
        "dropped session.temperature: GA has none; a server refuses the whole update for it",
        "session.turn_detection -> session.audio.input.turn_detection",
    ]


def test_program_gets_one_object(beta: Path) -> None:
    result = convert(beta, "--json")
    told = json.loads(result.stdout)
    assert told["ga"] == GA
    assert {key: told["changes"][2][key] for key in ("beta", "ga")} == {
        "beta": "session.temperature",
        "ga": None,
    }
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("session", "lost"),
    [
        ({"instrctions": "Be brief."}, "session.instrctions"),
        (
            {"turn_detection": {"type": "server_vad", "treshold": 1}},
            "session.turn_detection.treshold",
        ),
    ],
)
def test_mistyped_key_makes_the_last_line_and_the_exit_code(
    tmp_path: Path, session: dict[str, object], lost: str
) -> None:
    path = tmp_path / "beta.json"
    path.write_text(json.dumps({"voice": "sage", "temperature": 0.8, **session}), encoding="utf-8")
    result = convert(path)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["audio"]["output"] == {"voice": "sage"}
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"NOT CONVERTED: {lost}. ")
    asked = convert(path, "--json")
    assert (asked.exit_code, json.loads(asked.stdout)["unknown"]) == (1, [lost])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"voice":\n oops}', ":2: no JSON: "),
        ('{"voice": 3}', ": session.voice is not a text"),
        ("[]", ": the file's content is not an object"),
    ],
)
def test_bad_file_is_named_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "beta.json"
    path.write_text(text, encoding="utf-8")
    result = convert(path)
    assert result.exit_code == 2
    assert f"error: {path}{told}" in result.stderr


def test_missing_file_is_named(tmp_path: Path) -> None:
    result = convert(tmp_path / "none.json")
    assert result.exit_code == 2
    assert "none.json: cannot be read" in result.stderr
