"""Call scripts: what a caller says and does, and what has to come back.

One YAML file is one call; `call_scripts/README.md` teaches the format. The runner plays a script
through a softphone; the caller's side knows only what it hears.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bridge.config.names import Name
from bridge.config.yaml_source import load_yaml_model

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9*#A-D]{1,32}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Utterance(_Part):
    """Something to say: recorded audio wins, the text is then its reference.

    A bare string is the text.

    Attributes:
        audio: a WAV file; a relative path begins at the script's folder.
    """

    text: Text
    audio: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_bare_text(cls, value: object) -> object:
        return {"text": value} if isinstance(value, str) else value


class After(_Part):
    """An anchor for an interruption: an event at the caller's ear, and a delay from it."""

    event: Literal["agent_audio_started"] = "agent_audio_started"
    delay_ms: int = Field(1000, ge=0, le=60_000)


class Interruption(Utterance):
    """Something said while the agent speaks."""

    after: After = After()


class KeyPresses(_Part):
    """RFC 4733 digits; quote them, an unquoted ``#`` begins a comment in YAML."""

    digits: Digits


class Silence(_Part):
    """Nothing said for a while."""

    ms: int = Field(ge=1, le=120_000)


class HangUp(_Part):
    """The caller hangs up, whatever the agent does."""


Action = Utterance | Interruption | KeyPresses | Silence | HangUp


class Expectation(_Part):
    """What has to be heard from the agent, after what this step did. At least one of them.

    Attributes:
        text_contains: words that the answer holds.
        within_ms: from the end of our own words to the agent's first sound.
        agent_silent_within_ms: from the start of an interruption to the agent's last sound.
    """

    text_contains: Text | None = None
    within_ms: int | None = Field(None, ge=1, le=60_000)
    agent_silent_within_ms: int | None = Field(None, ge=1, le=10_000)

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("expects nothing: give text_contains, within_ms or both")
        return self


class Step(_Part):
    """One thing that the caller does (none: only listens), and what is expected after it."""

    say: Utterance | None = None
    interrupt: Interruption | None = None
    dtmf: KeyPresses | None = None
    silence: Silence | None = None
    hangup: bool = False
    expect: Expectation | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        actions = [self.say, self.interrupt, self.dtmf, self.silence, self.hangup or None]
        if sum(action is not None for action in actions) > 1:
            raise ValueError("a step does one thing: say, interrupt, dtmf, silence or hangup")
        if self.expect is None and self.action is None:
            raise ValueError("a step says, interrupts, presses keys, waits, hangs up or expects")
        return self

    @model_validator(mode="after")
    def _expects_what_can_come(self) -> Self:
        if self.expect is None:
            return self
        if self.hangup:
            raise ValueError("nothing can be expected after hangup")
        if self.expect.agent_silent_within_ms is not None and self.interrupt is None:
            raise ValueError("agent_silent_within_ms is for a step that interrupts")
        return self

    @property
    def action(self) -> Action | None:
        """What the caller does; None only listens."""
        hang_up = HangUp() if self.hangup else None
        return self.say or self.interrupt or self.dtmf or self.silence or hang_up


class Ending(_Part):
    """How the call has to end.

    Attributes:
        by: who has to hang up; with ``bridge``, the caller waits for it after the last step.
        max_duration_s: the caller hangs up then at the latest, and the call counts as broken.
        after_s: the caller stays on the line until the call is so old, and hangs up then, even in
            the middle of a step.
    """

    by: Literal["caller", "bridge", "anyone"] = "caller"
    max_duration_s: float = Field(120.0, gt=0, le=3600)
    after_s: float | None = Field(None, gt=0, le=3600)


class CallScript(_Part):
    """One scripted call.

    Attributes:
        id: stable; results are kept under it.
        called: number or name to dial.
        hears: the sentences that the agent may speak. The caller's recogniser finds which of them
            were really spoken; sentences that must not come belong here as well. Without any, only
            times are known.
        pronunciations: ARPABET for words that the recogniser's dictionary lacks.
    """

    schema_: Literal["callscript/v1"] = Field(alias="schema")
    id: Name
    called: Text = "support"
    voice: Text = "en-us"
    hears: tuple[Text, ...] = ()
    pronunciations: dict[str, str] = Field(default_factory=dict)
    caller: tuple[Step, ...]
    end: Ending = Ending()

    @model_validator(mode="after")
    def _can_hear_what_it_expects(self) -> Self:
        expects_words = any(step.expect and step.expect.text_contains for step in self.caller)
        if expects_words and not self.hears:
            raise ValueError("text_contains needs hears: the sentences that the agent may speak")
        return self

    @model_validator(mode="after")
    def _ends_with_hangup(self) -> Self:
        if any(step.hangup for step in self.caller[:-1]):
            raise ValueError("no step can follow hangup")
        return self


def load_script(path: Path) -> CallScript:
    """Read a call script.

    Raises:
        ConfigError: every mistake with file and line.
    """
    return load_yaml_model(path, CallScript)
