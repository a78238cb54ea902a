"""Questions about a whole conversation, answered by a text model that has to quote its evidence."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from bridge.config.parts import OneOrMore, Part
from bridge.replay.script.text_model import TextModel

QuestionText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)
]


def _yes_or_no(value: object) -> object:
    # YAML 1.1 reads a bare yes and no as booleans.
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


YesOrNo = Annotated[Literal["yes", "no"], BeforeValidator(_yes_or_no)]


class Question(Part):
    """A question that is answered by yes or no; a bare string is the question.

    Attributes:
        ask: the question.
        expect: the answer that the script wants.
    """

    bare: ClassVar[str | None] = "ask"

    ask: QuestionText
    expect: YesOrNo = "yes"


class ScriptedAnswer(Part):
    """The answer of a judge's stand-in to one question.

    Attributes:
        answer: to the question of the same place.
        quotes: of the conversation.
    """

    answer: YesOrNo
    quotes: OneOrMore[str] = ()


class Judge(Part):
    """Questions about a conversation, for a text model.

    Attributes:
        questions: each is asked by itself.
        model: answers.
        script: the answers of the stand-in that takes the model's place in CI, one a question.
    """

    questions: OneOrMore[Question] = Field(min_length=1, max_length=20)
    model: TextModel | None = None
    script: tuple[ScriptedAnswer, ...] = ()

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.model is None and not self.script:
            raise ValueError("has nobody to ask: give model (url and model), or script")
        if self.script and len(self.script) != len(self.questions):
            raise ValueError(
                f"script has {len(self.script)} answers to {len(self.questions)} questions:"
                " give one for each"
            )
        asked = [question.ask for question in self.questions]
        twice = next((each for each in asked if asked.count(each) > 1), None)
        if twice is not None:
            raise ValueError(f'asks "{twice}" twice')
        return self
