"""Words that ask for a person, and those that only name one."""

import pytest

from bridge.routing.human_words import HumanWords

ASKS = [
    ("en", "Can I talk to a person, please?"),
    ("en", "agent"),
    ("en", "Agent, please."),
    ("en", "no, a person"),
    ("en", "I'd like to speak with a real human being"),
    ("en", "I\u2019d like a representative"),
    ("en", "Could you put me through to your manager?"),
    ("en", "Is there someone I can talk to?"),
    ("en", "I want to speak to a human."),
    ("en-GB", "Give me a human!"),
    (None, "operator"),
    ("de", "Ich möchte mit einem Menschen sprechen."),
    ("de", "Kann ich bitte mit einem Mitarbeiter sprechen?"),
    ("de", "Mitarbeiter, bitte!"),
    ("fr", "Je voudrais parler à quelqu'un."),
    ("fr", "un conseiller s'il vous plaît"),
    ("es", "Quiero hablar con una persona."),
    ("it", "Vorrei parlare con un operatore."),
    ("pt-BR", "Quero falar com um atendente."),
]
DO_NOT = [
    ("en", "My travel agent booked it."),
    ("en", "I don't want to talk to a person."),
    ("en", "I am a person who likes hiking."),
    ("en", "The tour operator cancelled."),
    ("en", "I would rather not speak to an agent."),
    ("en", "I talked to an agent yesterday."),
    ("en", "There is no need to talk to anyone."),
    ("en", "How many people can sleep in it?"),
    ("en", ""),
    ("de", "Ich habe gestern mit einem Mitarbeiter gesprochen."),
    ("es", "No quiero hablar con un agente."),
    ("sw", "agent"),
]


@pytest.mark.parametrize(("language", "text"), ASKS)
def test_person_is_asked_for(language: str | None, text: str) -> None:
    assert HumanWords(language).ask(text)


@pytest.mark.parametrize(("language", "text"), DO_NOT)
def test_person_is_not_asked_for(language: str | None, text: str) -> None:
    assert not HumanWords(language).ask(text)


def test_dialplan_adds_phrases_in_any_language() -> None:
    words = HumanWords("sw", ["mtu halisi"])
    assert words.ask("Nataka mtu halisi tafadhali")
    assert not words.ask("mtu")
