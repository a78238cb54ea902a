"""What the simulated agent says to what it hears: a YAML file, read and checked once.

A caller's sentence is matched as the recogniser heard it, never as it was meant.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from bridge.config.settings import Name
from bridge.config.yaml_source import load_yaml_model
from bridge.speech.words import words_of

_SCENARIOS = Path(__file__).parent / "scenarios"

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ToolCallSpec(_Model):
    """A tool that the agent calls."""

    name: ToolName
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class Rule(_Model):
    """One thing that callers say, and what the agent does then.

    Attributes:
        hears: the sentences, any of which the rule answers.
        say: spoken answer; with ``tool``, spoken before the call, in the same response.
        tool: called if the session offers a tool of that name.
        without_tool: spoken instead of all that where the session has no such tool; else ``say``.
        then: spoken once the tool has answered; ``{field}`` stands for a field of its JSON output.
    """

    hears: tuple[Sentence, ...] = Field(min_length=1)
    say: Sentence | None = None
    tool: ToolCallSpec | None = None
    then: Sentence | None = None
    without_tool: Sentence | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.say is None and self.tool is None:
            raise ValueError("a rule needs say, tool, or both")
        if self.tool is None and (self.then is not None or self.without_tool is not None):
            raise ValueError("then and without_tool are for a rule with a tool, and it has none")
        return self


class Pacing(_Model):
    """How fast the agent answers.

    Attributes:
        think_ms: from the caller's last word being understood to the first delta.
        delta_ms: audio in one delta.
        speedup: how many times faster than real time the deltas come.
    """

    think_ms: int = Field(120, ge=0, le=60_000)
    delta_ms: int = Field(100, ge=20, le=1000)
    speedup: float = Field(8.0, ge=1, le=1000)


class Scenario(_Model):
    """One simulated agent.

    Attributes:
        voice: an espeak-ng voice.
        greeting: said when a response is asked for before the caller has said anything.
        fallback: said when nothing was understood.
        pronunciations: word -> ARPABET, for words of ``hears`` that the dictionary lacks.
        keys: API keys that are taken; ``*`` stands for anything.
    """

    name: Name
    voice: str = "en-us+f3"
    words_per_minute: int = Field(165, ge=80, le=450)
    greeting: Sentence
    rules: tuple[Rule, ...]
    fallback: Sentence
    pronunciations: dict[str, str] = Field(default_factory=dict)
    pacing: Pacing = Pacing()
    keys: tuple[str, ...] = ("sk-sim*",)

    @model_validator(mode="after")
    def _hears_each_sentence_once(self) -> Self:
        if not self.rules:
            raise ValueError("rules is empty: the agent would understand nothing")
        first: dict[tuple[str, ...], str] = {}
        for phrase in self.phrases:
            words = words_of(phrase)
            if words in first:
                raise ValueError(f"two rules hear the same sentence: '{phrase}'")
            first[words] = phrase
        return self

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """Everything that a caller may say."""
        return tuple(phrase for rule in self.rules for phrase in rule.hears)

    def sentences(self) -> Iterator[str]:
        """Yield everything that the agent may say and that is known beforehand."""
        yield self.greeting
        yield self.fallback
        for rule in self.rules:
            for sentence in (rule.say, rule.then, rule.without_tool):
                if sentence is not None and "{" not in sentence:
                    yield sentence

    def rule_for(self, text: str) -> Rule | None:
        """Return the rule that hears exactly these words, if any."""
        words = words_of(text)
        return next(
            (
                rule
                for rule in self.rules
                if any(words_of(phrase) == words for phrase in rule.hears)
            ),
            None,
        )


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ConfigError: with file and line.
    """
    return load_yaml_model(path, Scenario)


def default_scenario() -> Scenario:
    """Read the support line that comes with the package."""
    return load_scenario(_SCENARIOS / "support.yaml")
