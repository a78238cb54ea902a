"""Compiles a dialplan's keys into the policy of a call; the model says what the voice lacks."""

from bridge.engine.keypad.policy import ChoicePolicy, DigitsPolicy, KeypadPolicy, MenuPolicy
from bridge.live.turn_policy import AtHand
from bridge.routing import keypad as routing
from bridge.routing.human_words import HumanWords
from bridge.routing.models import Dialplan


def keypad_policy(dialplan: Dialplan, at_hand: AtHand) -> KeypadPolicy:
    """Return what keys lead to, and asking for a person."""
    section, agent = dialplan.keypad, dialplan.agent
    said = [text for text in section.phrases(agent.language) if text is not None]
    words = routing.own_words(agent.language)
    return KeypadPolicy(
        menus={name: _menu(name, menu, words) for name, menu in section.menus.items()},
        start=section.start,
        digits={name: _digits(name, digits, words) for name, digits in section.digits.items()},
        human_words=None
        if agent.transcription is None
        else HumanWords(agent.language, section.human_words),
        nobody=section.nobody or (words.nobody if words else None),
        by_model=any(at_hand(text) is None for text in said),
    )


def _menu(name: str, menu: routing.Menu, words: routing.OwnKeypadWords | None) -> MenuPolicy:
    return MenuPolicy(
        name,
        prompt=menu.prompt,
        choices={
            key: ChoicePolicy(
                choice.say, choice.tell, choice.transfer, name if choice.repeat else choice.menu
            )
            for key, choice in menu.keys.items()
        },
        invalid=menu.invalid or (words.invalid if words else None),
        timeout_ms=round(menu.timeout_s * 1000),
        prompts=menu.prompts,
        then_person=menu.no_choice == "person",
    )


def _digits(
    name: str, digits: routing.Digits, words: routing.OwnKeypadWords | None
) -> DigitsPolicy:
    return DigitsPolicy(
        name,
        prompt=digits.prompt,
        wrong=digits.wrong or (words.wrong if words else None),
        min_digits=digits.min_digits,
        max_digits=digits.max_digits,
        terminator=digits.terminator,
        first_ms=round(digits.first_s * 1000),
        between_ms=round(digits.between_s * 1000),
        prompts=digits.prompts,
        sensitive=digits.sensitive,
        last_told=digits.last_told,
    )
