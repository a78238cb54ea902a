"""Scripts that are valid, and prove less than they seem to."""

from pathlib import Path

import pytest

from bridge.replay.checks.advice import advise
from bridge.replay.script import CallScript, load_script

_RIGHT, _WRONG = "You owe forty two dollars.", "You owe forty three dollars."


def _advice(**changed: object) -> list[str]:
    document = {
        "schema": "callscript/v1",
        "id": "test",
        "hears": [_RIGHT],
        "caller": [{"say": "What?", "expect": {"text_contains": "forty two"}}],
    }
    return list(advise(CallScript.model_validate(document | changed)))


def test_a_number_with_one_candidate_is_warned_of() -> None:
    (warning,) = _advice()

    assert warning.startswith('step 1 expects the number of "forty two", and hears has only')
    assert _RIGHT in warning


@pytest.mark.parametrize("expect", [{"numbers": [42]}, {"contains_all": ["owe", "$42"]}])
def test_each_way_to_expect_a_number_is_warned_of(expect: dict[str, object]) -> None:
    assert len(_advice(caller=[{"say": "What?", "expect": expect}])) == 1
    assert _advice(caller=[{"say": "What?", "expect": expect}], hears=[_RIGHT, _WRONG]) == []


def test_another_sentence_with_a_number_is_no_other_choice() -> None:
    assert len(_advice(hears=[_RIGHT, "We close at five."])) == 1


def test_words_without_a_number_need_no_other_choice() -> None:
    assert _advice(caller=[{"say": "What?", "expect": {"text_contains": "dollars"}}]) == []


@pytest.mark.parametrize(
    ("voice", "warned"), [("de", True), ("en-gb-x-rp", False), ("fr+f3", True)]
)
def test_a_voice_without_english_is_warned_of(voice: str, warned: bool) -> None:
    found = _advice(voice=voice, hears=[_RIGHT, _WRONG])
    assert [f"the voice '{voice}' speaks no English" in each for each in found] == [True] * warned


def test_the_library_needs_no_advice() -> None:
    scripts = sorted(Path("call_scripts").glob("*.yaml"))
    assert {
        path.name: found for path in scripts if (found := list(advise(load_script(path))))
    } == {}
    assert len(scripts) > 30
