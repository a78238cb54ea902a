"""Call scripts as people write them."""

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.replay.script import (
    HangUp,
    Interruption,
    KeyPresses,
    Saying,
    Silence,
    load_script,
)

HEAD = "schema: callscript/v1\nid: test\nhears: [Hello.]\ncaller:\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "script.yaml"


def complaint(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_script(path)
    return str(caught.value)


def test_every_action_is_understood(path: Path) -> None:
    path.write_text(
        HEAD
        + """
  - say: Where is my order?
  - say: {text: Hello, audio: hello.wav}
  - interrupt: Wait, please.
  - interrupt:
      text: Stop.
      after: {event: agent_audio_started, delay_ms: 2500}
  - dtmf: {digits: "12#"}
  - silence: {ms: 700}
  - expect: {text_contains: hello}
  - hangup: true
"""
    )
    script = load_script(path)

    assert [step.action for step in script.caller] == [
        Saying(text="Where is my order?"),
        Saying(text="Hello", audio=Path("hello.wav")),
        Interruption(text="Wait, please."),
        Interruption.model_validate({"text": "Stop.", "after": {"delay_ms": 2500}}),
        KeyPresses(digits="12#"),
        Silence(ms=700),
        None,
        HangUp(),
    ]
    assert (script.called, script.end.by) == ("support", "caller")


@pytest.mark.parametrize(
    ("steps", "line", "what"),
    [
        ("  - {say: one, hangup: true}", 5, "a step does one thing"),
        ("  - hangup: false", 5, "should be True"),
        ("  - say: one\n    expect: {}", 6, "expects nothing"),
        ("  - say: one\n    expect: {agent_silent_within_ms: 5}", 5, "a step with interrupt"),
        ("  - hangup: true\n    expect: {within_ms: 5}", 5, "nothing can be expected"),
        ("  - hangup: true\n  - say: one", 1, "no step can follow hangup"),
        ("  - dtmf: {digits: 12x}", 5, "digits"),
        ("  - sing: la la", 5, "sing"),
    ],
)
def test_a_mistake_is_told_with_its_line(path: Path, steps: str, line: int, what: str) -> None:
    told = complaint(path, HEAD + steps)

    assert told.startswith(f"{path}:{line}: ")
    assert what in told


def test_words_cannot_be_expected_of_a_caller_who_hears_nothing(path: Path) -> None:
    text = HEAD.replace("hears: [Hello.]\n", "") + "  - expect: {text_contains: hello}"

    assert "without hears" in complaint(path, text)
