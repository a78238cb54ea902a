"""The actions of supervisors on a live call: frozen, a closed union (:data:`Action`).

In the imperative; values are checked before they come here. How each is carried out, and when it
is refused, is in :mod:`bridge.engine.supervision.rules`.
"""

from dataclasses import dataclass

from bridge.engine.handoff.policy import HandoffTarget


@dataclass(frozen=True, slots=True)
class Whisper:
    """Tell the agent something that the caller does not hear.

    Attributes:
        now: the agent acts on it at once; else in its next turn.
    """

    text: str
    now: bool = False


@dataclass(frozen=True, slots=True)
class Say:
    """Have the caller hear exactly this, now."""

    text: str


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Silence the agent and talk to the caller oneself."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Be the person that a waiting caller is handed over to.

    Attributes:
        voice_within_ms: how long the caller waits to hear them, where a phone rings first; None for
            as long as they wait for a microphone.
    """

    voice_within_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Talk with the caller and the agent, which stays in the talk."""


@dataclass(frozen=True, slots=True)
class Mute:
    """Be heard no more without leaving, or be heard again."""

    on: bool


@dataclass(frozen=True, slots=True)
class HoldCaller:
    """Have a caller whom one has wait, with tones, or take them back."""

    on: bool


@dataclass(frozen=True, slots=True)
class HandBack:
    """Give the caller back to the agent.

    Attributes:
        summary: of the talk that the agent did not hear.
    """

    summary: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence the agent; the caller waits and hears that they do.

    Attributes:
        resume_after_ms: then the agent goes on by itself.
    """

    resume_after_ms: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Have a paused agent go on."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand the call to somebody else."""

    target: HandoffTarget
    summary: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """End the call.

    Attributes:
        politely: with a goodbye; else at once.
    """

    politely: bool


@dataclass(frozen=True, slots=True)
class KeepSecret:
    """Keep the caller from the recording and from the model, or not any more."""

    on: bool


@dataclass(frozen=True, slots=True)
class HoldRecording:
    """Pause the recording, or go on with it."""

    on: bool


Action = (
    Whisper
    | Say
    | TakeOver
    | Accept
    | Join
    | Mute
    | HoldCaller
    | HandBack
    | Pause
    | Resume
    | Transfer
    | End
    | KeepSecret
    | HoldRecording
)
