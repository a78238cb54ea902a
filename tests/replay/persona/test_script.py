"""`caller: persona` in a script: what is refused, with its line, and what is warned of."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.cli.main import main
from bridge.cli.replay import replay
from bridge.errors import ConfigError
from bridge.replay.checks.advice import advise
from bridge.replay.script import CallScript, load_script
from tests.support.processes import write_yaml

HEAD = "schema: callscript/v1\nid: a\n"


def script_in(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(HEAD + body)
    return path


@pytest.mark.parametrize(
    ("body", "line", "told"),
    [
        ("caller: persona\n", 1, "has caller: persona, and no persona"),
        (
            "caller: []\npersona: {goal: x, script: [{say: a}]}\n",
            1,
            "steps of its own: write caller: persona",
        ),
        ("caller: persona\npersona: {goal: x}\n", 4, "has nothing that makes up its words"),
        (
            "caller: persona\npersona:\n  goal: x\n  temperament: hurried\n  script: [{say: a}]\n",
            6,
            "should be one of patient, hasty, interrupts",
        ),
        (
            "caller: persona\npersona:\n  goal: x\n  model:\n    url: localhost:80\n    model: m\n",
            7,
            "should be a URL that begins with http:// or https://",
        ),
        (
            "caller: persona\npersona:\n  goal: x\n  model:\n    url: http://a:p@h\n    model: m",
            7,
            "holds a password: name its variable in api_key_env",
        ),
        (
            "caller: persona\npersona:\n  goal: x\n  model:\n    url: http://h/v1\n    model: m\n"
            "    api_key_env: BRIDGE_KEY\n",
            9,
            "begins with BRIDGE_, which callers don't get",
        ),
        (
            "caller: persona\npersona:\n  goal: x\n  limits: {cost_usd: 1}\n  script: [{say: a}]\n",
            4,
            "limits.cost_usd needs the prices",
        ),
        (
            "caller: persona\npersona:\n  goal: x\n  script:\n    - {hears: a}\n",
            7,
            "does nothing: give say, press or done",
        ),
        (
            "caller: persona\npersona:\n  goal: about {thing}\n  script: [{say: a}]\n",
            5,
            "names {thing}, which is not in setup.vars",
        ),
        (
            "caller: persona\npersona: {goal: x, limits: {seconds: 200}, script: [{say: a}]}\n",
            1,
            "persona.limits.seconds (200) should be under end.max_duration_s (120)",
        ),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, body: str, line: int, told: str) -> None:
    path = script_in(tmp_path, body)
    with pytest.raises(ConfigError) as caught:
        load_script(path)
    assert told in str(caught.value)
    assert f"{path}:{line}:" in str(caught.value)


def made_up(**fields: Any) -> CallScript:  # Any: YAML
    return CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "a",
            "hears": ["Hello."],
            "caller": "persona",
            "persona": {"goal": "x", "script": [{"say": "a"}]},
            "end": {"must_say": ["hello"]},
            **fields,
        }
    )


def test_a_persona_that_proves_nothing_or_hears_badly_is_warned_of() -> None:
    assert list(advise(made_up())) == []
    (weak,) = advise(made_up(end={}))
    assert weak.startswith("nothing but the persona's own word says that its goal was reached")
    (deaf,) = advise(made_up(hears=[], end={"state": "completed"}))
    assert "gets a third of them wrong: give hears, or persona.transcription" in deaf
    model = {"url": "http://models.example/v1", "model": "m", "api_key_env": "K"}
    (clear,) = advise(made_up(persona={"goal": "x", "model": model}))
    assert "persona.model sends its key over http" in clear
    (foreign,) = advise(made_up(voice="de"))
    assert "speaks no English" in foreign


@pytest.mark.parametrize(
    ("persona", "options", "told"),
    [
        (
            {"goal": "x", "model": {"url": "https://h/v1", "model": "m", "api_key_env": "NO_KEY"}},
            (),
            "persona.model: the environment variable NO_KEY is not set; export NO_KEY with the key",
        ),
        (
            {
                "goal": "x",
                "model": {"url": "https://h/v1", "model": "m", "api_key_file": "nowhere"},
            },
            (),
            "a.yaml: persona.model: the key can't be read: FileNotFoundError; api_key_file names",
        ),
        (
            {"goal": "x", "model": {"url": "https://h/v1", "model": "m"}},
            ("--stand-ins",),
            "a.yaml: --stand-ins: its persona has no script to play; add persona.script",
        ),
    ],
)
def test_what_a_call_would_lack_is_told_before_any_call(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    persona: dict[str, object],
    options: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    document = {"schema": "callscript/v1", "id": "a", "caller": "persona", "persona": persona}
    write_yaml(tmp_path / "a.yaml", document)
    done = CliRunner().invoke(replay, ["a.yaml", *options])
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())


def test_check_tells_the_warnings_of_a_persona(tmp_path: Path) -> None:
    path = script_in(tmp_path, "caller: persona\npersona: {goal: x, script: [{say: a}]}\n")
    done = CliRunner().invoke(main, ["check", str(path), "--json"])
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)["warnings"]) == 2
