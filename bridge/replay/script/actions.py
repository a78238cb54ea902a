"""The actions of a scripted caller, one per step."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from bridge.config.parts import Part, Text

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9*#A-D]{1,32}$")]

Moment = Literal[
    "agent_audio_started",
    "agent_audio_stopped",
    "caller_speech_started",
    "caller_speech_ended",
    "answered",
    "dialled",
]


class After(Part):
    """An anchor: something that happens at the caller's end, and a delay from it.

    Attributes:
        event: `agent_audio_started` and `agent_audio_stopped` are the next that come, or what goes
            on already; `caller_speech_ended` is the end of the caller's words or keys before this
            step; `caller_speech_started` and `dialled` are for `hangup` alone.
        delay_ms: from there.
    """

    event: Moment = "agent_audio_started"
    delay_ms: int = Field(1000, ge=0, le=120_000)


class Utterance(Part):
    """Words to say: recorded audio wins, the text is then its reference.

    A bare string is the text.

    Attributes:
        text: the words.
        audio: a WAV file; a relative path begins at the script's folder.
    """

    bare: ClassVar[str | None] = "text"

    text: Text
    audio: Path | None = None


class Saying(Utterance):
    """Words said in the caller's turn, when the agent has spoken.

    Attributes:
        gap_ms: how long the agent has to be quiet before, as in the recorded call.
    """

    gap_ms: int = Field(600, ge=0, le=60_000)


class Anchored(Utterance):
    """Words said at an anchor.

    Attributes:
        after: when. With `agent_audio_started` it is not said to an agent that is silent by then.
    """

    after: After = After()

    @model_validator(mode="after")
    def _comes_in_the_call(self) -> Self:
        if self.after.event in ("dialled", "caller_speech_started"):
            raise ValueError(f"nothing can be said after '{self.after.event}': only hangup")
        return self


class Interruption(Anchored):
    """Words said while the agent speaks, to which it has to yield."""


class Backchannel(Anchored):
    """A sound of listening ("mm-hmm") while the agent speaks, that must not stop it."""

    after: After = After(delay_ms=900)


class KeyPresses(Part):
    """Keys of the telephone.

    Attributes:
        digits: `0-9 * # A-D`. Quote them: an unquoted `#` begins a comment in YAML.
        gap_ms: from one key's end to the next one's begin; None presses them as fast as they go.
    """

    digits: Digits
    gap_ms: int | None = Field(None, ge=0, le=10_000)


class Silence(Part):
    """Nothing said for a while, whatever the agent does."""

    ms: int = Field(ge=1, le=120_000)


class Wait(After):
    """Nothing done until an anchor."""

    @model_validator(mode="after")
    def _comes_in_the_call(self) -> Self:
        if self.event in ("dialled", "caller_speech_started"):
            raise ValueError(f"can't be for '{self.event}': only hangup")
        return self


class Hold(Part):
    """The caller puts the call on hold (re-INVITE, `sendonly`), and resumes it.

    Attributes:
        ms: how long.
    """

    ms: int = Field(ge=100, le=120_000)


class HangUp(Part):
    """The caller hangs up: `true` at once, or at an anchor, whatever is being said.

    Attributes:
        now: nothing but true.
        after: when. After `dialled` it is given up before the answer (CANCEL); after
            `caller_speech_started` in the middle of the words of the step before.
    """

    bare: ClassVar[str | None] = "now"

    now: Literal[True] = True
    after: After | None = None


Action = Saying | Interruption | Backchannel | KeyPresses | Silence | Wait | Hold | HangUp
