"""A dialplan's rules for keys: menus, digits that are collected, and the way to a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, StringConstraints, model_validator

from bridge.config.parts import Part, Text
from bridge.routing.handoff import Key, TargetName
from bridge.routing.human_words import HumanWords
from bridge.routing.parts import AtHand, Phrase, in_ms

MenuName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
MenuKey = Annotated[str, StringConstraints(pattern=r"^[1-9*#]$")]
"""``0`` always leads to a person, so no menu has it."""


class OwnKeypadWords(NamedTuple):
    """The bridge's own words about keys, for dialplans that give none."""

    nobody: str
    invalid: str
    wrong: str


_BUILT_IN: Mapping[str, OwnKeypadWords] = MappingProxyType(
    {
        "en": OwnKeypadWords(
            nobody="I am sorry, nobody can take your call in person. I will help you if I can.",
            invalid="That is none of the choices.",
            wrong="That was not complete.",
        )
    }
)


def own_words(language: str | None) -> OwnKeypadWords | None:
    """Return the bridge's own words in a language (BCP 47); English where none is given."""
    return _BUILT_IN.get((language or "en").split("-")[0])


@dataclass(frozen=True, slots=True)
class ChoicePolicy:
    """The effect of one key of a menu; in this order, where it is more than one thing.

    Attributes:
        say: to the caller.
        tell: a message to the model, which answers it.
        transfer: to whom the call is handed, by name.
        menu: the menu that follows; its own, to hear it again.
    """

    say: str | None
    tell: str | None
    transfer: str | None
    menu: str | None


class Choice(Part):
    """The actions of a key; it may say something and then do something else.

    Attributes:
        say: what the caller is told by the bridge.
        tell: what the model is told, as the caller's own words; it answers.
        transfer: to whom the call is handed, a key of `handoff.targets`.
        menu: which menu follows.
        repeat: the prompt is said again.
    """

    say: Phrase | None = None
    tell: Text | None = None
    transfer: TargetName | None = None
    menu: MenuName | None = None
    repeat: bool = False

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        done = [self.tell, self.transfer, self.menu, self.repeat or None]
        count = sum(each is not None for each in done)
        if count > 1:
            raise ValueError("should have one of 'tell', 'transfer', 'menu' and 'repeat'")
        if not count and self.say is None:
            raise ValueError("does nothing: give it 'say', 'tell', 'transfer', 'menu' or 'repeat'")
        return self


@dataclass(frozen=True, slots=True)
class MenuPolicy:
    """Keys and what they do.

    Attributes:
        prompt: the caller hears this of them; None: they are good all the same.
        invalid: said about another key while a choice is awaited.
        timeout_ms: from the prompt's end, without a key or a word.
        prompts: how often the prompt is said in all.
        then_person: who makes no choice gets a person; else the agent goes on.
    """

    name: str
    prompt: str | None
    choices: Mapping[str, ChoicePolicy]
    invalid: str | None
    timeout_ms: int
    prompts: int
    then_person: bool


class Menu(Part):
    """Keys and what they do.

    Attributes:
        prompt: what the caller is told of them; None: they are good all the same.
        invalid: said about another key, while a choice is awaited; None for the bridge's own.
        timeout_s: without a key or a word, from the prompt's end.
        prompts: how often the prompt is said in all.
        no_choice: who makes none then is the agent's, or gets a person.
    """

    prompt: Phrase | None = None
    keys: dict[MenuKey, Choice] = Field(min_length=1)
    invalid: Phrase | None = None
    timeout_s: float = Field(6.0, ge=1, le=60)
    prompts: int = Field(2, ge=1, le=5)
    no_choice: Literal["agent", "person"] = "agent"

    def policy(self, name: str, words: OwnKeypadWords | None) -> MenuPolicy:
        """Return the menu as the core takes it; ``words`` are the bridge's own."""
        return MenuPolicy(
            name,
            prompt=self.prompt,
            choices={
                key: ChoicePolicy(
                    choice.say, choice.tell, choice.transfer, name if choice.repeat else choice.menu
                )
                for key, choice in self.keys.items()
            },
            invalid=self.invalid or (words.invalid if words else None),
            timeout_ms=in_ms(self.timeout_s),
            prompts=self.prompts,
            then_person=self.no_choice == "person",
        )


@dataclass(frozen=True, slots=True)
class DigitsPolicy:
    """The collection of some digits: its prompt, its bounds, its secrecy.

    Attributes:
        prompt: the caller hears this; None where the model asks for them.
        wrong: said before the prompt where it is said again.
        terminator: the key that ends them; None for none.
        first_ms: for the first, from the prompt's end; ``between_ms``: for each after it.
        prompts: how often the prompt is said in all.
        sensitive: no model, recording, log or record gets them.
        last_told: so many of the last digits the model gets, of sensitive ones.
    """

    name: str
    prompt: str | None
    wrong: str | None
    min_digits: int
    max_digits: int
    terminator: str | None
    first_ms: int
    between_ms: int
    prompts: int
    sensitive: bool
    last_told: int


class Digits(Part):
    """Digits that the tool `collect_digits` has the caller key in.

    Attributes:
        prompt: what the caller is told; None where the agent asks for them.
        wrong: said before the prompt is said again; None for the bridge's own.
        terminator: ends them; None where only their number does, or a pause.
        first_s: for the first, from the prompt's end; ``between_s``: for each after it.
        prompts: how often the prompt is said in all.
        sensitive: no model, recording, log or record gets them.
        last_told: so many of the last ones the model is told, of sensitive ones.
    """

    prompt: Phrase | None = None
    wrong: Phrase | None = None
    min_digits: int = Field(1, ge=1, le=32)
    max_digits: int = Field(32, ge=1, le=32)
    terminator: Key | None = "#"
    first_s: float = Field(10.0, ge=2, le=120)
    between_s: float = Field(4.0, ge=1, le=30)
    prompts: int = Field(2, ge=1, le=5)
    sensitive: bool = False
    last_told: int = Field(0, ge=0, le=4)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.min_digits > self.max_digits:
            raise ValueError("should have 'min_digits' up to 'max_digits'")
        if self.last_told and not self.sensitive:
            raise ValueError("should have 'last_told' with 'sensitive: true'; else all are told")
        if self.last_told and self.last_told * 2 > self.min_digits:
            raise ValueError("should have 'last_told' up to half of 'min_digits'")
        return self

    def policy(self, name: str, words: OwnKeypadWords | None) -> DigitsPolicy:
        """Return how they are collected; ``words`` are the bridge's own."""
        return DigitsPolicy(
            name,
            prompt=self.prompt,
            wrong=self.wrong or (words.wrong if words else None),
            min_digits=self.min_digits,
            max_digits=self.max_digits,
            terminator=self.terminator,
            first_ms=in_ms(self.first_s),
            between_ms=in_ms(self.between_s),
            prompts=self.prompts,
            sensitive=self.sensitive,
            last_told=self.last_told,
        )


@dataclass(frozen=True, slots=True)
class KeypadPolicy:
    """The menus and collections of a call, and the words by which its caller asks for a person.

    Attributes:
        menus: by name.
        start: the one whose keys are good from the answer on.
        digits: what may be collected, by name.
        asked: how digits are collected that the model describes itself.
        human_words: by which the caller asks for a person; None where words are not known.
        nobody: the caller hears this where there is no person; None leaves it to the agent.
        by_model: the bridge has no voice for all this, so the agent says it.
    """

    menus: Mapping[str, MenuPolicy]
    start: str | None
    digits: Mapping[str, DigitsPolicy]
    asked: DigitsPolicy
    human_words: HumanWords | None
    nobody: str | None
    by_model: bool


class Keypad(Part):
    """Keys.

    Attributes:
        menus: by name.
        start: the one whose keys are good from the answer on.
        digits: what may be collected, by the name that the model uses.
        human_words: phrases that ask for a person, beside the bridge's own in the language.
        nobody: what who asks for a person is told where there is none; None for the bridge's own.
    """

    menus: dict[MenuName, Menu] = Field(default_factory=dict)
    start: MenuName | None = None
    digits: dict[MenuName, Digits] = Field(default_factory=dict)
    human_words: tuple[Text, ...] = ()
    nobody: Phrase | None = None

    @model_validator(mode="after")
    def _menus_are_there(self) -> Self:
        wanted = [choice.menu for menu in self.menus.values() for choice in menu.keys.values()]
        missing = sorted({name for name in (*wanted, self.start) if name} - self.menus.keys())
        if missing:
            raise ValueError(f"there is no menu {', '.join(missing)}")
        return self

    @property
    def targets(self) -> frozenset[str]:
        """To whom its keys lead."""
        choices = (choice for menu in self.menus.values() for choice in menu.keys.values())
        return frozenset(choice.transfer for choice in choices if choice.transfer is not None)

    def phrases(self, language: str | None) -> Iterator[str | None]:
        """Yield what the bridge itself has to say, known before any call."""
        words = own_words(language)
        yield self.nobody or (words.nobody if words else None)
        for menu in self.menus.values():
            yield menu.prompt
            yield menu.invalid or (words.invalid if words else None)
            yield from (choice.say for choice in menu.keys.values())
        for digits in self.digits.values():
            if digits.prompt is not None:
                yield digits.prompt
                yield digits.wrong or (words.wrong if words else None)

    def policy(self, language: str | None, at_hand: AtHand, *, transcribed: bool) -> KeypadPolicy:
        """Return what keys and asking for a person lead to; the model says what the voice can't."""
        said = [text for text in self.phrases(language) if text is not None]
        words = own_words(language)
        return KeypadPolicy(
            menus={name: menu.policy(name, words) for name, menu in self.menus.items()},
            start=self.start,
            digits={name: digits.policy(name, words) for name, digits in self.digits.items()},
            asked=Digits().policy("digits", None),
            human_words=HumanWords(language, self.human_words) if transcribed else None,
            nobody=self.nobody or (words.nobody if words else None),
            by_model=any(at_hand(text) is None for text in said),
        )
