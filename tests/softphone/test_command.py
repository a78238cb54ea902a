"""`bridge call` on bad input: one line, exit code 2, nobody dialled."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.audio.wav import write_wav
from bridge.cli import call as call_module
from bridge.cli.call import call
from bridge.cli.call_report import event_fields
from bridge.replay.call.player import CallLine
from bridge.replay.script import CallScript
from bridge.softphone.events import AgentSpeech, CallProgress
from tests.softphone.far_end import tone


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[CallScript, CallLine]]:
    """What would be played; nothing is."""
    taken: list[tuple[CallScript, CallLine]] = []

    class Dialled(Exception):
        pass

    def replay(prepared: object, line: CallLine, *_: object) -> object:
        taken.append((prepared, line))  # type: ignore[arg-type]  # what the fake prepare gave
        raise Dialled

    def run(main: object) -> object:
        main.send(None)  # type: ignore[attr-defined]  # the command's coroutine
        raise AssertionError("it should have dialled")

    monkeypatch.setattr(call_module, "prepare", lambda script, folder: script)
    monkeypatch.setattr(call_module, "Replay", replay)
    monkeypatch.setattr(call_module, "run", run)
    return taken


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(call, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["tel:+15550100"], "no SIP URI"),
        (["sips:support@127.0.0.1"], "no SIP URI"),
        (["sip:127.0.0.1", "--dtmf", "12x"], "--dtmf takes"),
        (["sip:127.0.0.1", "--say", " "], "--say has no words"),
        (["sip:127.0.0.1", "--play", "missing.wav"], "missing.wav"),
        (["sip:127.0.0.1", "--duration", "0"], "--duration"),
        (["sip:127.0.0.1", "--from", "+1 555"], "--from +1 555 is no number"),
        (["sip:127.0.0.1", "--record", "/dev/null/call.wav"], "/dev/null/call.wav"),
        ([], "URI"),
    ],
)
def test_bad_input_is_told_in_a_line(arguments: Sequence[str], what: str) -> None:
    exit_code, output = invoke(*arguments)

    assert exit_code == 2
    assert what in output
    assert "Traceback" not in output


def test_a_script_with_a_mistake_names_file_and_line(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("schema: callscript/v1\nid: test\ncaller:\n  - sing: la\n")
    exit_code, output = invoke("sip:127.0.0.1", "--script", str(script))

    assert exit_code == 2
    assert output.startswith(f"error: {script}:4: ")


def test_a_script_takes_no_other_instructions(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("")

    assert invoke("sip:127.0.0.1", "--script", str(script), "--say", "hello")[0] == 2


def test_options_are_played_in_the_order_given(
    dialled: list[tuple[CallScript, CallLine]], tmp_path: Path
) -> None:
    sound = tmp_path / "sound.wav"
    write_wav(sound, tone(500, 100), 24_000)
    invoke(
        *("--say", "one", "sip:127.0.0.1", "--dtmf", "1", "--say", "two"),
        *("--play", str(sound), "--dtmf=2", "--duration", "20"),
    )

    ((script, _),) = dialled
    done = [step.model_dump(exclude_defaults=True) for step in script.caller]
    assert done == [
        {"say": {"text": "one"}},
        {"dtmf": {"digits": "1"}},
        {"say": {"text": "two"}},
        {"say": {"text": "[sound.wav]", "audio": sound}},
        {"dtmf": {"digits": "2"}},
    ]
    assert (script.end.by, script.end.after_s) == ("anyone", 20)


def test_with_nothing_to_do_it_listens_until_told(
    dialled: list[tuple[CallScript, CallLine]],
) -> None:
    invoke("sip:127.0.0.1")

    ((script, _),) = dialled
    assert script.caller == ()
    assert script.end.after_s == 3600


@pytest.mark.parametrize(
    ("uri", "dialled_uri", "host"),
    [
        ("sip:127.0.0.1:5070", "sip:support@127.0.0.1:5070", "127.0.0.1"),
        ("sip:bob@127.0.0.1", "sip:bob@127.0.0.1", "127.0.0.1"),
        ("sip:localhost;transport=tcp", "sip:support@localhost;transport=tcp", "127.0.0.1"),
        ("SIP:+1555@pbx.example.com", "SIP:+1555@pbx.example.com", "0.0.0.0"),
        ("sip:192.0.2.7", "sip:support@192.0.2.7", "0.0.0.0"),
    ],
)
def test_it_dials_from_where_the_far_end_can_be_reached(
    dialled: list[tuple[CallScript, CallLine]], uri: str, dialled_uri: str, host: str
) -> None:
    invoke(uri)

    assert dialled[0][1] == CallLine(dialled_uri, host, None)


def test_checking_the_recordings_place_leaves_nothing_behind(
    dialled: list[tuple[CallScript, CallLine]], tmp_path: Path
) -> None:
    invoke("sip:127.0.0.1", "--record", str(tmp_path / "new" / "call.wav"))

    assert dialled[0][1].recording == tmp_path / "new" / "call.wav"
    assert list((tmp_path / "new").iterdir()) == []


def test_sentences_to_hear_are_read_one_a_line(
    dialled: list[tuple[CallScript, CallLine]], tmp_path: Path
) -> None:
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("Hello.\n\n  How are you? \n")
    invoke("sip:127.0.0.1", "--hears", str(sentences))
    assert dialled[0][0].hears == ("Hello.", "How are you?")

    sentences.write_text("\n")
    assert invoke("sip:127.0.0.1", "--hears", str(sentences))[0] == 2


def test_help_shows_how() -> None:
    exit_code, output = invoke("--help")

    assert exit_code == 0
    assert "bridge call sip:support@127.0.0.1:5060 --say" in output


def test_events_have_a_name_and_a_time() -> None:
    assert event_fields(CallProgress("early", 180, 0)) == {
        "event": "ringing",
        "at_ms": 0,
        "sip_code": 180,
    }
    assert event_fields(AgentSpeech(False, 1200)) == {
        "event": "agent_stopped",
        "at_ms": 1200,
    }


def test_call_is_from_the_number_that_is_given_by_script_too(
    dialled: list[tuple[CallScript, CallLine]], tmp_path: Path
) -> None:
    script = tmp_path / "hello.yaml"
    script.write_text(
        "schema: callscript/v1\nid: hello\nsetup: {from: '+15550100', vars: {a: 1}}\n"
        "caller: [{say: Hello}]\n"
    )
    invoke("sip:127.0.0.1", "--from", "+15550199", "--duration", "1")
    invoke("sip:127.0.0.1", "--from", "+15550199", "--script", str(script))
    assert [each.setup.from_ for each, _ in dialled] == ["+15550199", "+15550199"]
    assert dialled[1][0].setup.vars == {"a": 1}
