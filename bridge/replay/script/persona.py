"""A persona in a call script: made up during the call by a text model, or by a table of replies."""

import enum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from bridge.config.parts import OneOrMore, Part, Text
from bridge.replay.script.actions import Digits
from bridge.replay.script.text_model import TextModel

Fact = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
LONGEST_TEXT = 500
"""Characters that a persona says at a stretch: about 40 s of speech."""

Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_TEXT)]


class Temperament(enum.StrEnum):
    """The behaviour of a persona on the phone; more than one may be given."""

    PATIENT = "patient"
    HASTY = "hasty"
    INTERRUPTS = "interrupts"
    OFF_TOPIC = "off_topic"
    CONFUSED = "confused"
    ANGRY = "angry"
    TALKATIVE = "talkative"
    TERSE = "terse"


class PersonaLimits(Part):
    """The limits at which a persona stops at the latest.

    Attributes:
        turns: so often it speaks.
        seconds: so old the call gets.
        tokens: read and written by the model, in all.
        cost_usd: by the model's `usd_per_million`.
    """

    turns: int = Field(10, ge=1, le=100)
    seconds: float = Field(90.0, gt=0, le=3600)
    tokens: int = Field(30_000, ge=100, le=10_000_000)
    cost_usd: float | None = Field(None, gt=0, le=1000)


class ScriptedReply(Part):
    """A reply of the stand-in that plays a persona's model.

    Attributes:
        hears: words that the agent must have said last; without any, whatever it said.
        say: what the caller says.
        interrupt: what it says into the answer, if the agent still speaks then.
        press: keys in place of words.
        done: the conversation is over with this.
        reached: with `done`: the goal is reached.
        why: with `done`: why it is over.
    """

    hears: OneOrMore[Text] = ()
    say: Words = ""
    interrupt: Words = ""
    press: Digits | None = None
    done: bool = False
    reached: bool = True
    why: Words = ""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.say or self.press or self.done):
            raise ValueError("does nothing: give say, press or done")
        if self.say and self.press:
            raise ValueError("says and presses at once: make it two replies")
        if self.interrupt and not self.say:
            raise ValueError("has an interrupt without say: there is no answer to talk into")
        return self


class Persona(Part):
    """The caller's part in a call, played by a model. The voice is the script's `voice`.

    Attributes:
        goal: what the caller wants.
        facts: what the caller knows, by name.
        temperament: how the caller behaves.
        language: that the caller speaks.
        stop: when the caller has what they want, in words.
        limits: when the caller stops at the latest.
        model: makes up what the caller says.
        script: replies of the stand-in that takes the model's place in CI.
        transcription: an endpoint for `/v1/audio/transcriptions` that hears the agent in place of
            the recogniser.
    """

    goal: Text
    facts: dict[Fact, str | int | float] = Field(default_factory=dict)
    temperament: OneOrMore[Temperament] = (Temperament.PATIENT,)
    language: Text = "English"
    stop: Text | None = None
    limits: PersonaLimits = PersonaLimits()
    model: TextModel | None = None
    script: tuple[ScriptedReply, ...] = ()
    transcription: TextModel | None = None

    @model_validator(mode="after")
    def _is_made_up_by_something(self) -> Self:
        if self.model is None and not self.script:
            raise ValueError(
                "has nothing that makes up its words: give model (url and model), or script,"
                " the stand-in's replies"
            )
        return self

    @model_validator(mode="after")
    def _can_count_what_it_limits(self) -> Self:
        if self.limits.cost_usd is not None and (
            self.model is None or self.model.usd_per_million is None
        ):
            raise ValueError("limits.cost_usd needs the prices: model.usd_per_million")
        return self
