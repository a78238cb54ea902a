"""What dialplans say about consent and emergencies."""

import pytest
from pydantic import ValidationError

from bridge.routing.consent import Consent
from bridge.routing.emergency import Emergency
from bridge.routing.models import Dialplan
from bridge.routing.wording import WordList

TOLD = "You speak with an AI. This call is recorded, and may be listened to."
QUEUE = {"targets": {"queue": {"to": "sip:queue@pbx.example"}}}


def dialplan(language: str | None = "en", **parts: object) -> Dialplan:
    agent = {"instructions": "Be brief.", "language": language}
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "test",
            "match": [{"called": "*"}],
            "arm": "local",
            "agent": agent,
            **parts,
        }
    )


@pytest.mark.parametrize(
    "said",
    [
        "Please call an ambulance!",
        "I think she's having a stroke.",
        "I can\u2019t breathe",
        "there is a fire in my kitchen",
        "CALL 911",
    ],
)
def test_emergency_is_heard(said: str) -> None:
    assert Emergency().words("en").find(said) is not None


@pytest.mark.parametrize(
    "said",
    [
        "I ordered an ambulance toy.",
        "I need an ambulance toy for my son.",
        "My order number is 911.",
        "Do you sell fireplaces? Call me back.",
        "There is a fire sale on your site.",
        "I'm dying to know when it comes.",
        "That was a strokeof luck, she is having a strokes book",
        "",
    ],
)
def test_no_emergency_is_heard_in_what_only_sounds_like_one(said: str) -> None:
    assert Emergency().words("en").find(said) is None


def test_phrase_outside_of_the_words_that_excuse_it_counts() -> None:
    words = Emergency().words("en")
    assert words.find("I bought an ambulance toy, and now I need an ambulance") is not None


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de-AT", "Rufen Sie einen Krankenwagen"),
        ("es", "No puedo respirar"),
        ("fr", "Il n'arrive pas à respirer"),
    ],
)
def test_words_are_those_of_the_agents_language(language: str, said: str) -> None:
    assert Emergency().words(language).find(said) is not None
    assert Emergency().words("en").find(said) is None


def test_lists_are_added_to_replaced_and_turned_off() -> None:
    assert Emergency(also=("code red",)).words("en").find("this is Code Red") == "code red"
    assert not Emergency(phrases=("code red",)).words("en").find("heart attack")
    assert not Emergency(enabled=False, also=("code red",)).words("en").find("code red")
    assert not Emergency().words("tlh")
    assert Emergency().instruction("tlh") is None


def test_answer_is_made_of_words_of_consent_alone() -> None:
    yes, no = Consent(disclosure=TOLD, consent="ask").answers("en")
    assert yes.is_all_of("Yes, I agree.")
    assert not yes.is_all_of("Yes, but who listens?")
    assert not yes.is_all_of("I do not agree")
    assert no.find("No, I do not agree") == "i do not agree"
    assert not yes.is_all_of("")


def test_question_names_the_keys() -> None:
    asked = Consent(disclosure=TOLD, consent="ask", agree="5", refuse="9")
    assert asked.question("en") == "Press 5 to agree, or 9 for a person."
    own = Consent(disclosure=TOLD, consent="ask", ask="Press {1}?")
    assert own.question("en") == "Press {1}?"
    assert Consent(disclosure=TOLD).question("en") is None


def test_version_of_the_text_changes_with_it() -> None:
    one = Consent(disclosure=TOLD)
    assert one.text_version("en") == Consent(disclosure=TOLD).text_version("en")
    assert one.text_version("en") != Consent(disclosure=TOLD + "!").text_version("en")
    assert one.text_version("en") != Consent(disclosure=TOLD, consent="ask").text_version("en")
    assert Consent(disclosure=TOLD, version="2026-03").text_version("en") == "2026-03"


def test_nothing_is_said_without_a_disclosure() -> None:
    assert list(Consent().phrases("en")) == []
    assert not Consent().asks
    assert not Consent().heard_before_audio


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"consent": {"consent": "ask"}}, "should have 'disclosure'"),
        ({"consent": {"disclosure": TOLD, "agree": "2"}}, "the same key, 2"),
        ({"consent": {"disclosure": TOLD, "agree": "0"}}, "always a person"),
        ({"consent": {"disclosure": TOLD, "consent": "ask"}}, "'handoff.targets' or 'fallback.to'"),
        ({"emergency": {"then": "transfer"}}, "to whom"),
    ],
)
def test_what_is_not_whole_is_refused(parts: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        dialplan("en", **parts)


def test_asking_needs_words_in_the_agents_language() -> None:
    asked = {"disclosure": TOLD, "consent": "ask"}
    with pytest.raises(ValidationError, match="no words of its own in 'tlh'"):
        dialplan("tlh", consent=asked, handoff=QUEUE)
    words = {"ask": "1?", "refused": "ok", "nobody": "bye"}
    assert dialplan("tlh", consent={**asked, **words}, handoff=QUEUE).consent.asks


def test_service_that_decides_about_turns_can_ask_only_before_audio() -> None:
    asked = {"disclosure": TOLD, "consent": "ask", "when": "with_greeting"}
    agent = {"instructions": "Be brief.", "barge_in": {"decided_by": "service"}}
    with pytest.raises(ValidationError, match="'when: before_audio'"):
        dialplan(agent=agent, consent=asked, handoff=QUEUE)


def test_phrase_is_found_word_by_word() -> None:
    assert WordList(["fire"]).find("the fireplace") is None
    assert WordList(["fire", "big fire"]).find("a big FIRE!") == "big fire"
    assert not WordList(["...", ""])
