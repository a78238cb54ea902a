"""The demo's script fits the agent that it calls."""

from pathlib import Path

import pytest

from bridge.config.yaml_source import load_yaml_model
from bridge.replay.call.preparation import prepare
from bridge.replay.script import CallScript, Utterance, load_script
from bridge.routing.models import Dialplan
from bridge.simulator.scenario import default_scenario
from bridge.speech.words import sentences_of, words_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> CallScript:
    return load_script(ROOT / "call_scripts" / "support_demo.yaml")


def test_all_that_the_agent_can_answer_is_among_what_the_caller_hears(script: CallScript) -> None:
    dialplan = load_yaml_model(ROOT / "dialplans" / "support.yaml", Dialplan)
    scenario = default_scenario()
    spoken = [dialplan.agent.greeting or "", scenario.fallback]
    for rule in scenario.rules:
        spoken += [rule.without_tool or rule.say or ""]
    hears = {words_of(sentence) for sentence in script.hears}

    missing = [
        sentence
        for text in spoken
        for sentence in sentences_of(text)
        if words_of(sentence) not in hears
    ]
    assert missing == []


def test_the_agent_has_an_answer_to_all_that_the_caller_says(script: CallScript) -> None:
    actions = [step.action for step in script.caller]
    said = [action.text for action in actions if isinstance(action, Utterance)]

    assert len(said) == 4
    assert all(default_scenario().rule_for(text) for text in said)


def test_what_is_expected_can_be_heard(script: CallScript) -> None:
    hears = [" ".join(words_of(sentence)) for sentence in script.hears]
    expects = [step.expect for step in script.caller if step.expect is not None]
    wanted = [" ".join(words_of(each.text_contains)) for each in expects if each.text_contains]
    assert wanted
    assert [each for each in wanted if not any(each in sentence for sentence in hears)] == []


@pytest.mark.speech
def test_it_can_be_prepared(script: CallScript) -> None:
    assert prepare(script).recognizer is not None
