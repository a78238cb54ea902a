"""Call scripts: what a caller says and does, and what has to come back.

One YAML file is one call; `call_scripts/README.md` teaches the format. The runner plays a script
through a softphone; the caller's side knows only what it hears.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bridge.config.settings import Name
from bridge.config.yaml_source import load_yaml_model

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9*#A-D]{1,32}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Utterance(_Part):
    """Something to say: recorded audio wins, the text is then its reference."""

    text: Text
    audio: Path | None = None


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


class Expectation(_Part):
    """What has to be heard from the agent, after what this step did.

    Attributes:
        text_contains: words that the answer holds.
        within_ms: from the end of our own words to the agent's first sound.
        agent_silent_within_ms: from the start of an interruption to the agent's last sound.
    """

    text_contains: Text | None = None
    within_ms: int | None = Field(None, ge=1, le=60_000)
    agent_silent_within_ms: int | None = Field(None, ge=1, le=10_000)


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
        done = [self.say, self.interrupt, self.dtmf, self.silence, self.hangup or None]
        if sum(action is not None for action in done) > 1:
            raise ValueError("a step does one thing: say, interrupt, dtmf, silence or hangup")
        if self.expect is None and not any(done):
            raise ValueError("a step says, interrupts, presses keys, waits, hangs up or expects")
        return self


class Ending(_Part):
    """How the call has to end."""

    by: Literal["caller", "bridge"] = "caller"
    max_duration_s: float = Field(120.0, gt=0, le=3600)


class CallScript(_Part):
    """One scripted call.

    Attributes:
        id: stable; results are kept under it.
        called: number or name to dial.
        hears: the sentences that the agent may speak. The caller's recogniser finds which of them
            were really spoken; sentences that must not come belong here as well.
        pronunciations: ARPABET for words that the recogniser's dictionary lacks.
    """

    schema_: Literal["callscript/v1"] = Field(alias="schema")
    id: Name
    called: Text = "support"
    voice: Text = "en-us"
    hears: tuple[Text, ...] = Field(min_length=1)
    pronunciations: dict[str, str] = Field(default_factory=dict)
    caller: tuple[Step, ...] = Field(min_length=1)
    end: Ending = Ending()


def load_script(path: Path) -> CallScript:
    """Read a call script.

    Raises:
        ConfigError: every mistake with file and line.
    """
    return load_yaml_model(path, CallScript)
