from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.routing.fallback import Fallback, Recovery
from bridge.routing.matching import load_dialplans
from bridge.routing.models import Dialplan
from tests.support.policies import recovery_policy

HEAD = """\
schema: dialplan/v1
name: a
match:
  - called: "*"
arm: local
agent:
  instructions: Be brief.
"""
"""Seven lines: what is added begins at line 8."""


def load(directory: Path, text: str) -> Dialplan:
    (directory / "a.yaml").write_text(HEAD + text)
    (dialplan,) = load_dialplans(directory)
    return dialplan


def error_lines(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(directory, text)
    return str(raised.value).replace(f"{directory}/", "").splitlines()


def test_what_is_not_said_is_as_it_was(tmp_path: Path) -> None:
    dialplan = load(tmp_path, "")
    assert dialplan.recovery.policy(dialplan.fallback) == recovery_policy(
        max_failures=5,
        max_outage_ms=15_000,
        attempt_ms=5_000,
        filler_after_ms=1_200,
        kept_audio_ms=30_000,
        fallback="hang_up",
    )
    assert dialplan.recovery.phrase is None
    assert (dialplan.fallback.say, dialplan.fallback.before_answer) == (None, "reject")


def test_everything_that_is_said_is_taken(tmp_path: Path) -> None:
    dialplan = load(
        tmp_path,
        "fallback:\n"
        "  say: One.\n"
        "  then: transfer\n"
        '  to: "sip:queue@127.0.0.1:5070"\n'
        "  say_if_failed: Two.\n"
        "  before_answer: answer\n"
        "recovery: {max_failures: 3, max_outage_s: 8, attempt_s: 2.5, filler_after_s: 0.8,"
        " kept_audio_s: 4, filler: Three.}\n",
    )
    policy = dialplan.recovery.policy(dialplan.fallback)
    assert (policy.max_failures, policy.max_outage_ms, policy.attempt_ms) == (3, 8_000, 2_500)
    assert (policy.filler_after_ms, policy.kept_audio_ms) == (800, 4_000)
    assert policy.fallback == "transfer"
    assert dialplan.recovery.phrase == "Three."
    assert list(dialplan.fallback.phrases("en")) == ["One.", "Two."]


def test_filler_tone_is_no_phrase() -> None:
    assert Recovery(filler="tone").phrase is None


@pytest.mark.parametrize("language", ["en", "de-AT", "es", "fr", None])
def test_nobody_is_hung_up_on_without_a_word(language: str | None) -> None:
    [sorry] = Fallback().phrases(language)
    assert Fallback().first_words(language) == sorry
    transfer = Fallback(then="transfer", to="sip:queue@pbx.example")
    assert transfer.first_words(language) is None
    assert transfer.words_if_failed(language) == sorry


def test_tone_and_languages_without_words_are_a_tone() -> None:
    assert list(Fallback(say="tone").phrases("en")) == []
    assert list(Fallback().phrases("pl")) == []


def test_mistakes_are_told_at_their_lines(tmp_path: Path) -> None:
    text = (
        "fallback:\n"
        "  say: ''\n"
        "  then: tranfer\n"
        "  to: queue\n"
        "  befor_answer: answer\n"
        "recovery:\n"
        "  max_failures: 0\n"
        "  max_outage_s: 0\n"
        "  filler_after_s: 2.5\n"
        "  filler: 7\n"
        "  kept_audio: 3\n"
    )
    assert error_lines(tmp_path, text) == [
        "a.yaml:9: fallback.say should have at least 1 character",
        "a.yaml:10: fallback.then should be one of hang_up, transfer, not 'tranfer';"
        " did you mean 'transfer'?",
        "a.yaml:11: fallback.to should be a SIP or tel URI, like 'sip:queue@pbx.example'",
        "a.yaml:12: fallback.befor_answer is not known; did you mean 'before_answer'?",
        "a.yaml:14: recovery.max_failures should be greater than or equal to 1, not 0",
        "a.yaml:15: recovery.max_outage_s should be greater than 0, not 0",
        "a.yaml:16: recovery.filler_after_s should be less than or equal to 2, not 2.5",
        "a.yaml:17: recovery.filler should be text, and YAML reads it as a number:"
        " put it in quotes",
        "a.yaml:18: recovery.kept_audio is not known; did you mean 'kept_audio_s'?",
    ]


@pytest.mark.parametrize(
    ("fallback", "complaint"),
    [
        ("then: transfer", "should have 'to', where 'then: transfer' sends the call"),
        ('to: "tel:+15550100"', "should have 'then: transfer' with 'to' or 'say_if_failed'"),
        ("say_if_failed: No.", "should have 'then: transfer' with 'to' or 'say_if_failed'"),
        (
            "before_answer: answer",
            "should have 'say' or 'then: transfer' with 'before_answer: answer'",
        ),
    ],
)
def test_fallback_that_makes_no_sense_is_refused(
    tmp_path: Path, fallback: str, complaint: str
) -> None:
    text = f"limits:\n  max_call_s: 60\nfallback:\n  {fallback}\n"
    assert error_lines(tmp_path, text) == [f"a.yaml:10: fallback {complaint}"]


@pytest.mark.parametrize(
    "target",
    [
        "sip:",
        "http://x",
        "sip:a b@x",
        '"X" <sip:a@x>',
        "sip:a@x\r\nEvil: 1",
        "sip:a@x>",
    ],
)
def test_target_that_is_no_uri_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="should be a SIP or tel URI"):
        Fallback(then="transfer", to=target)
