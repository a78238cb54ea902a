"""A script's expectations of the agent after one step."""

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from bridge.config.parts import OneOrMore, Part, Text
from bridge.config.tool_templates import ToolName
from bridge.speech.words import numbers_in


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


def _is_number(number: object) -> object:
    if isinstance(number, float):
        raise ValueError('should be as it is said, in quotes where it has a fraction: "42.50"')
    if isinstance(number, bool) or not numbers_in(str(number)):
        raise ValueError('should be a number, like 42 or "0123"')
    return number


Pattern = Annotated[Text, AfterValidator(_compiles)]
Number = Annotated[int | str, BeforeValidator(_is_number)]

_WORDS = ("text_contains", "contains_any", "contains_all", "matches", "numbers")


class ExpectedTool(Part):
    """A tool that has to be called from this step on, up to the next.

    Attributes:
        name: of the tool.
        args: some of its arguments; others may be there, too.
        times: how often exactly; None for once or more.
    """

    name: ToolName
    args: dict[str, JsonValue] = Field(default_factory=dict)
    times: int | None = Field(None, ge=1, le=100)


class ExpectedTransfer(Part):
    """A transfer that has to begin from this step on.

    Attributes:
        to: the target's name or URI; `*` at its end stands for anything.
        within_ms: from the end of the caller's words to the begin of the transfer.
        context_contains: words of what the person is told.
    """

    to: Text | None = None
    within_ms: int | None = Field(None, ge=1, le=120_000)
    context_contains: Text | None = None


class Expectation(Part):
    """The consequences that a step has to have; at least one of them is given.

    Attributes:
        text_contains: words that the agent says, one after the other.
        contains_any: of these, one at least is said.
        contains_all: of these, each is said, in any order.
        matches: a regular expression found in what the agent says, upper or lower case.
        numbers: numbers that the agent says; 42 is "forty two".
        greeting_within_ms: from the answer to the agent's first sound.
        within_ms: from the end of the caller's words or keys to the agent's first sound.
        agent_silent_within_ms: from the start of an interruption to the agent's last sound.
        no_resume_of_old_turn: an interrupted agent doesn't go on with what it was saying.
        agent_keeps_talking: a backchannel doesn't stop the agent.
        talk_over_under_ms: how long both sides may speak at once during the caller's words.
        reprompt_within_ms: from the begin of a silence to the agent's speech in it.
        no_dead_air_over_ms: longest time in which nobody is heard, up to the next step.
        tool: a tool that is called, or several.
        no_tool: none is called (true), or not this one.
        transfer: a transfer begins.
    """

    text_contains: Text | None = None
    contains_any: OneOrMore[Text] = ()
    contains_all: OneOrMore[Text] = ()
    matches: Pattern | None = None
    numbers: OneOrMore[Number] = ()
    greeting_within_ms: int | None = Field(None, ge=1, le=60_000)
    within_ms: int | None = Field(None, ge=1, le=60_000)
    agent_silent_within_ms: int | None = Field(None, ge=1, le=10_000)
    no_resume_of_old_turn: bool = False
    agent_keeps_talking: bool = False
    talk_over_under_ms: int | None = Field(None, ge=1, le=60_000)
    reprompt_within_ms: int | None = Field(None, ge=1, le=120_000)
    no_dead_air_over_ms: int | None = Field(None, ge=100, le=120_000)
    tool: OneOrMore[ExpectedTool] = ()
    no_tool: bool | ToolName = False
    transfer: ExpectedTransfer | None = None

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("expects nothing: give text_contains, within_ms or another")
        return self

    @property
    def of_words(self) -> bool:
        """Whether it is about what the agent says."""
        return any(getattr(self, name) for name in _WORDS)

    @property
    def texts(self) -> Iterator[str]:
        """Yield the words that it wants to hear."""
        if self.text_contains is not None:
            yield self.text_contains
        yield from self.contains_any
        yield from self.contains_all
