"""A whole call script."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, ValidationError

from bridge.config.complaints import Location, suggest
from bridge.config.parts import Name, OneOrMore, Part, Text
from bridge.config.yaml_source import load_yaml_model
from bridge.errors import ConfigError
from bridge.replay.script.actions import HangUp, Utterance
from bridge.replay.script.circumstances import Noise, Setup, Source, Target, ToolMock
from bridge.replay.script.ending import Ending
from bridge.replay.script.judge import Judge
from bridge.replay.script.packs import choose_packs
from bridge.replay.script.persona import Persona
from bridge.replay.script.simulated import Simulated
from bridge.replay.script.steps import Step
from bridge.softphone.settings import EchoPath, Media, Network

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_SPOKEN = frozenset({"called", "hears", "caller", "persona", "end", "judge"})
"""Where a name that nobody set is a mistake. Elsewhere braces may be another's: a simulator's rule
writes ``{field}`` for what a tool has answered."""

_PERSONA = "persona"
_NO_EXPECTATIONS = frozenset({"by", "max_duration_s", "after_s", "loss_up_to_pct"})
"""Fields of an ending that say nothing of what the agent did."""


class _OrPersona:
    """Has the JSON Schema allow `caller: persona`."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"const": _PERSONA}, handler(core_schema)]}


def _no_steps_of_a_persona(value: object) -> object:
    return () if value == _PERSONA else value


Steps = Annotated[tuple[Step, ...], BeforeValidator(_no_steps_of_a_persona), _OrPersona()]


class CallScript(Part):
    """A scripted call.

    Attributes:
        schema: the version of this format.
        id: stable; results are kept under it.
        source: where it comes from.
        tags: for choosing among many.
        target: what is called, and how often.
        setup: what is set up before the call.
        media: codec, packet time and keys of the caller's phone.
        network: what becomes of packets on their way; without it nothing does.
        noise: in the caller's audio.
        echo: lets the agent's voice back into the caller's audio; without it nothing does.
        realtime: the simulated Realtime service of this call.
        tools: what tools answer in this call.
        called: number or name to dial.
        voice: an espeak-ng voice.
        hears: the sentences that the agent may speak. The caller's recogniser finds which of them
            were really spoken; sentences that must not come belong here as well. Without any, only
            times are known.
        pronunciations: ARPABET for words that the recogniser's dictionary lacks.
        caller: the steps; or `persona`: they are made up while the call goes on.
        persona: who calls then, and what for.
        end: how it has to end.
        judge: questions about the conversation, for a text model.
    """

    schema_: Literal["callscript/v1"] = Field(alias="schema")
    id: Name
    source: Source = Source()
    tags: OneOrMore[Name] = ()
    target: Target = Target()
    setup: Setup = Setup()
    media: Media = Media()
    network: Network | None = None
    noise: Noise | None = None
    echo: EchoPath | None = None
    realtime: Simulated = Simulated()
    tools: OneOrMore[ToolMock] = ()
    called: Text = "support"
    voice: Text = "en-us"
    hears: OneOrMore[Text] = ()
    pronunciations: dict[str, str] = Field(default_factory=dict)
    caller: Steps
    persona: Persona | None = None
    end: Ending = Ending()
    judge: Judge | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, document: object) -> object:
        return fill_in(document)

    @model_validator(mode="before")
    @classmethod
    def _has_one_caller(cls, document: object) -> object:
        if not isinstance(document, dict):
            return document
        made_up = document.get("caller") == _PERSONA
        if made_up and document.get("persona") is None:
            raise ValueError("has caller: persona, and no persona: give its goal and its model")
        if document.get("persona") is not None and not made_up:
            raise ValueError("has a persona, and steps of its own: write caller: persona")
        return document

    @model_validator(mode="after")
    def _can_hear_what_it_expects(self) -> Self:
        expects_words = any(step.expect and step.expect.of_words for step in self.caller)
        if (expects_words or self.end.must_say) and not self.hears:
            raise ValueError(
                "words can't be expected (text_contains, numbers, must_say) without hears: "
                "the sentences that the agent may speak"
            )
        return self

    @model_validator(mode="after")
    def _comes_in_order(self) -> Self:
        if any(step.hangup for step in self.caller[:-1]):
            raise ValueError("no step can follow hangup")
        for step in self.caller[1:]:
            if step.expect is not None and step.expect.greeting_within_ms is not None:
                raise ValueError("greeting_within_ms is for the first step")
        for number, event in self._hangup_anchors():
            if event == "dialled" and number > 0:
                raise ValueError("hangup after 'dialled' is the only step: nobody has answered")
            speaks = number > 0 and isinstance(self.caller[number - 1].action, Utterance)
            if event == "caller_speech_started" and not speaks:
                raise ValueError("hangup after 'caller_speech_started' needs words before it")
        return self

    def _hangup_anchors(self) -> Iterator[tuple[int, str]]:
        for number, step in enumerate(self.caller):
            if isinstance(step.action, HangUp) and step.action.after is not None:
                yield number, step.action.after.event

    @model_validator(mode="after")
    def _names_packs_that_are_there(self) -> Self:
        try:
            choose_packs(self.target.packs)
        except ConfigError as error:
            raise ValueError(f"target.packs: {error}") from None
        return self

    @model_validator(mode="after")
    def _lets_the_persona_end(self) -> Self:
        if self.persona is None:
            return self
        if self.persona.limits.seconds >= self.end.max_duration_s:
            raise ValueError(
                f"persona.limits.seconds ({self.persona.limits.seconds:g}) should be under"
                f" end.max_duration_s ({self.end.max_duration_s:g}), which breaks the script"
            )
        if self.end.after_s is not None:
            raise ValueError("end.after_s is for steps: a persona has limits.seconds")
        return self

    @model_validator(mode="after")
    def _names_each_tool_once(self) -> Self:
        names = [tool.name for tool in self.tools]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"tools has '{twice}' twice")
        return self

    @property
    def expects_something(self) -> bool:
        """Whether anything but a judge, or a persona's own word, decides if the agent did well."""
        of_the_end = self.end.model_fields_set - _NO_EXPECTATIONS
        return bool(of_the_end) or any(step.expect is not None for step in self.caller)

    @property
    def gives_up_after_ms(self) -> int | None:
        """From the INVITE to the caller's hanging up unanswered; None for a caller who waits."""
        action = self.caller[0].action if self.caller else None
        after = action.after if isinstance(action, HangUp) else None
        return after.delay_ms if after is not None and after.event == "dialled" else None


def load_script(path: Path) -> CallScript:
    """Read a call script.

    Raises:
        ConfigError: every mistake with file and line.
    """
    return load_yaml_model(path, CallScript)


def fill_in(document: object) -> object:
    """Put the variables into a script's document.

    Raises:
        ValidationError: a text names a variable that isn't set; with its place.
    """
    if not isinstance(document, dict):
        return document
    setup = document.get("setup")
    values = setup.get("vars") if isinstance(setup, dict) else None
    known = {name: str(value) for name, value in values.items()} if isinstance(values, dict) else {}
    strays: list[InitErrorDetails] = []
    filled = {}
    for key, part in document.items():
        filled[key] = _fill(part, known)
        if key in _SPOKEN:
            strays.extend(_strays((key,), filled[key], known))
    if strays:
        raise ValidationError.from_exception_data("CallScript", strays)
    return filled


def _fill(part: object, values: Mapping[str, str]) -> object:
    if isinstance(part, str):
        return _PLACE.sub(lambda found: values.get(found[1], found[0]), part)
    if isinstance(part, dict):
        return {key: _fill(value, values) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_fill(value, values) for value in part]
    return part


def _strays(place: Location, part: object, known: Mapping[str, str]) -> Iterator[InitErrorDetails]:
    if isinstance(part, str):
        for name in _PLACE.findall(part):
            hint = suggest(name, known) or "set it there"
            error = PydanticCustomError(
                "unknown_variable", f"names {{{name}}}, which is not in setup.vars; {hint}"
            )
            yield InitErrorDetails(type=error, loc=place, input=part)
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _strays((*place, str(key)), value, known)
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _strays((*place, number), value, known)
