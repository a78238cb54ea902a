"""The words of a dialplan that are rendered before any call, and what a call makes of them."""

from collections.abc import Collection

import pytest

from bridge.engine.policy import policy_of
from bridge.live.phrases import spoken_by
from bridge.routing.barge_in import farewell
from bridge.routing.consent import ConsentPolicy
from bridge.routing.models import Dialplan

TOLD, ASK = "An AI listens.", "Press 1."
QUEUE = {"targets": {"queue": {"to": "sip:queue@pbx.example"}}}


def dialplan(consent: dict[str, object], **agent: object) -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "test",
            "match": [{"called": "*"}],
            "arm": "local",
            "agent": {"instructions": "Be brief.", "language": "en", **agent},
            "handoff": QUEUE,
            "consent": consent,
        }
    )


def with_voice_for(plan: Dialplan, spoken: Collection[str]) -> ConsentPolicy:
    language = plan.agent.language
    made = plan.consent.policy(language, lambda text: text if text in spoken else None)
    assert made is not None
    return made


def test_dialplan_without_a_disclosure_tells_nothing() -> None:
    assert policy_of(dialplan({}), lambda text: text).consent is None


def test_text_is_said_only_if_the_question_can_be_said_too() -> None:
    asks = dialplan({"disclosure": TOLD, "consent": "ask", "ask": ASK})
    assert with_voice_for(asks, [TOLD, ASK]).disclosure == TOLD
    assert with_voice_for(asks, [TOLD]).disclosure is None
    assert with_voice_for(asks, [ASK]).disclosure is None
    tells = dialplan({"disclosure": TOLD})
    assert with_voice_for(tells, [TOLD]).disclosure == TOLD


def test_all_that_may_be_said_is_rendered_before_any_call() -> None:
    transcribed = {"transcription": {"model": "gpt-transcribe"}}
    asks = dialplan({"disclosure": TOLD, "consent": "ask", "ask": ASK}, **transcribed)
    phrases = list(spoken_by(asks))
    made = with_voice_for(asks, [text for text in phrases if text])
    assert {made.disclosure, made.question, made.refused, made.nobody} <= set(phrases)
    assert made.refused is not None
    emergency = policy_of(asks, lambda text: None).emergency
    assert emergency is not None
    assert emergency.instruction in phrases
    assert emergency.by_model  # nothing was rendered here
    assert emergency.instruction not in spoken_by(dialplan({}))  # nobody could hear the words


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "Goodbye."), ("de-DE", "Auf Wiederhören."), ("es", "Adiós."), ("fr-CA", "Au revoir.")],
)
def test_goodbye_of_a_supervisor_is_in_the_dialplans_language(language: str, says: str) -> None:
    plan = dialplan({}, language=language)
    goodbye = policy_of(plan, lambda text: text).goodbye
    assert goodbye is not None
    assert goodbye.endswith(says)
    assert goodbye in list(spoken_by(plan))  # rendered before any call


def test_no_goodbye_is_better_than_one_in_another_language() -> None:
    assert policy_of(dialplan({}, language="fi"), lambda text: text).goodbye is None
    assert farewell(None) == farewell("en")
