"""`bridge check --convert-session`, as a person and as a program use it."""

import json
from pathlib import Path

import pytest
import yaml
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


CLIENT = {
    "type": "session.update",
    "session": {
        "modalities": ["text", "audio"],
        "instructions": "Be brief.",
        "voice": "sage",
        "speed": 1.1,
        "input_audio_format": "pcm16",
        "output_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "en"},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.4,
            "silence_duration_ms": 300,
            "create_response": True,
            "interrupt_response": True,
        },
        "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}}],
        "tool_choice": "find",
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
        "tracing": None,
    },
}


def test_template_is_good_as_it_is_and_what_belongs_elsewhere_is_named(tmp_path: Path) -> None:
    path = tmp_path / "beta.json"
    path.write_text(json.dumps(CLIENT), encoding="utf-8")
    result = convert(path, "--template")
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout) == {
        "audio": {
            "output": {"voice": "sage", "speed": 1.1},
            "input": {
                "transcription": {"model": "whisper-1", "language": "en"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.4,
                    "silence_duration_ms": 300,
                },
            },
        },
        "max_output_tokens": "inf",
        "tracing": None,
    }
    for line in (
        "dropped session.instructions: they are `agent.instructions` of a dialplan",
        "dropped session.tools: functions are `agent.tools` of a dialplan, each with its webhook",
        "dropped session.tool_choice: it is good once `agent.tools` has the function",
        "dropped session.audio.input.turn_detection.create_response: `agent.barge_in` decides it",
        "dropped session.audio.output.format: the bridge says it itself",
    ):
        assert line in result.stderr.splitlines()
    assert json.loads(convert(path, "--template", "--json").stdout)["ga"] == yaml.safe_load(
        result.stdout
    )
    settings = {"arms": {"live": {"url": "ws://x/v1/realtime", "session": "TEMPLATE"}}}
    written = yaml.safe_dump({**settings, "dialplans_dir": str(tmp_path / "dialplans")})
    template = json.dumps(yaml.safe_load(result.stdout))
    (tmp_path / "bridge.yaml").write_text(written.replace("TEMPLATE", template))
    (tmp_path / "dialplans").mkdir()
    (tmp_path / "dialplans" / "a.yaml").write_text(
        "schema: dialplan/v1\nname: a\narm: live\nmatch: [{called: '*'}]\n"
        "agent: {instructions: Be brief.}\n"
    )
    checked = CliRunner().invoke(check, ["--config", str(tmp_path / "bridge.yaml")])
    assert (checked.exit_code, checked.output.splitlines()[-1]) == (0, "all good")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"type": "transcription_session.update", "session": {"include": []}},
            "the session only transcribes",
        ),
        (
            {"turn_detection": {"type": "server_vad", "silence_duration_ms": 50_000}},
            "audio.input.turn_detection.silence_duration_ms should be less than or equal to 10000",
        ),
    ],
)
def test_session_that_makes_no_template_is_refused(
    tmp_path: Path, content: object, told: str
) -> None:
    path = tmp_path / "beta.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    result = convert(path, "--template")
    assert result.exit_code == 2
    assert f"{path}: {told}" in result.output
    assert convert(path).exit_code == 0
