"""The policy of a call's keys: menus, collected digits, the way to a person. Times in ms."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.routing.human_words import HumanWords


@dataclass(frozen=True, slots=True)
class ChoicePolicy:
    """The effect of one key of a menu; in this order, where it is more than one thing.

    Attributes:
        say: the caller is told.
        tell: the model is told, and answers.
        transfer: to whom the call is handed, by name.
        menu: the menu that follows; its own, to hear it again.
    """

    say: str | None = None
    tell: str | None = None
    transfer: str | None = None
    menu: str | None = None


@dataclass(frozen=True, slots=True)
class MenuPolicy:
    """Keys and what they do.

    Attributes:
        prompt: what the caller is told of them; None: they are good all the same.
        invalid: said about another key while a choice is awaited.
        timeout_ms: from the prompt's end, without a key or a word.
        prompts: how often the prompt is said in all.
        then_person: who makes no choice gets a person; else the agent goes on.
    """

    name: str
    prompt: str | None = None
    choices: Mapping[str, ChoicePolicy] = field(default_factory=dict)
    invalid: str | None = None
    timeout_ms: int = 6_000
    prompts: int = 2
    then_person: bool = False


@dataclass(frozen=True, slots=True)
class DigitsPolicy:
    """One collection of digits: its prompt, its bounds, its secrecy.

    Attributes:
        prompt: what the caller is told; None where the model asks for them.
        wrong: said before the prompt where it is said again.
        terminator: the key that ends them; None for none.
        first_ms: for the first, from the prompt's end; ``between_ms``: for each after it.
        prompts: how often the prompt is said in all.
        sensitive: no model, recording, log or record gets them.
        last_told: so many of the last digits the model is told, of sensitive ones.
    """

    name: str = "digits"
    prompt: str | None = None
    wrong: str | None = None
    min_digits: int = 1
    max_digits: int = 32
    terminator: str | None = "#"
    first_ms: int = 10_000
    between_ms: int = 4_000
    prompts: int = 2
    sensitive: bool = False
    last_told: int = 0


@dataclass(frozen=True, slots=True)
class KeypadPolicy:
    """The menus and collections of a call, and the words by which its caller asks for a person.

    Attributes:
        menus: by name.
        start: the one whose keys are good from the answer on.
        digits: what may be collected, by name.
        asked: how digits are collected that the model describes itself.
        human_words: by which the caller asks for a person; None where words are not known.
        nobody: what the caller is told where there is no person; None leaves it to the agent.
        by_model: the bridge has no voice for all this, so the agent says it.
    """

    menus: Mapping[str, MenuPolicy] = field(default_factory=dict)
    start: str | None = None
    digits: Mapping[str, DigitsPolicy] = field(default_factory=dict)
    asked: DigitsPolicy = DigitsPolicy()
    human_words: HumanWords | None = None
    nobody: str | None = None
    by_model: bool = False
