"""The names and parameters of supervisors' actions, checked wherever they come in.

The console's API takes these, and so does the node that has the call: what comes through Redis is
checked again there.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bridge.routing.parts import MAX_PHRASE_CHARS, TransferTarget

MAX_NOTE_CHARS = 2_000

Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NOTE_CHARS)]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NOTE_CHARS)
]
Spoken = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PHRASE_CHARS)
]


class Order(BaseModel):
    """Parameters of one action; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WhisperOrder(Order):
    """Tell the agent something that the caller does not hear."""

    text: Text
    when: Literal["now", "next_turn"] = "next_turn"


class SayOrder(Order):
    """Have the caller hear exactly this, in the bridge's own voice, over the agent."""

    text: Spoken


class TakeOverOrder(Order):
    """Silence the agent and talk to the caller oneself."""


class AcceptOrder(Order):
    """Be the person that a waiting caller is handed over to.

    Attributes:
        via: one's own phone, which the node may call; None to talk in the browser.
    """

    via: TransferTarget | None = None


class JoinOrder(Order):
    """Talk with the caller and the agent; both hear you, and you hear both."""


class MuteOrder(Order):
    """Be heard no more without leaving the call, or be heard again."""

    on: bool


class HoldOrder(Order):
    """Have a caller whom one has wait, with tones, or take them back."""

    on: bool


class HandBackOrder(Order):
    """Give the caller back to the agent, which is told the summary."""

    summary: Note = ""


class PauseOrder(Order):
    """Silence the agent for a while; the caller hears hold tones."""

    auto_resume_s: float = Field(60.0, ge=1, le=900)


class ResumeOrder(Order):
    """Have a paused agent go on."""


class TransferOrder(Order):
    """Hand the call over.

    Attributes:
        target: a name of the dialplan's targets, or a SIP or tel URI.
        kind: ``blind``: they get the call at once; ``warm``: they are told first, and asked.
        summary: what they are told.
    """

    target: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | TransferTarget
    kind: Literal["blind", "warm"] = "blind"
    summary: Note = ""


class EndOrder(Order):
    """End the call, after a goodbye or at once; ``reason`` is for the record."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
    how: Literal["politely", "now"] = "politely"


class SensitiveOrder(Order):
    """Keep the caller from the recording and from the model, or not any more."""

    on: bool


class PauseRecordingOrder(Order):
    """Pause the recording, or go on with it."""

    on: bool


class FlagOrder(Order):
    """Mark the call to be looked at; ``at_ms`` since its begin, None for now."""

    note: Note = ""
    at_ms: int | None = Field(None, ge=0)


class WrapUpOrder(Order):
    """Have the call's record say what came of it; code and note were checked and redacted.

    Attributes:
        at_ms: when, ms since the Unix epoch.
    """

    code: str
    note: str
    at_ms: int


class PhoneOrder(Order):
    """Have the bridge call a supervisor's phone, on which the call is heard.

    Attributes:
        via: the phone's SIP URI; the node's settings say which ones may be called.
        may_take_over: whether ``*3`` on it takes the caller over.
        private: no other supervisor sees it; with the permission ``monitor.private`` alone.
    """

    via: TransferTarget
    may_take_over: bool = False
    private: bool = False


ORDERS: Mapping[str, type[Order]] = MappingProxyType(
    {
        "whisper": WhisperOrder,
        "say": SayOrder,
        "take_over": TakeOverOrder,
        "accept": AcceptOrder,
        "join": JoinOrder,
        "mute": MuteOrder,
        "hold": HoldOrder,
        "hand_back": HandBackOrder,
        "pause": PauseOrder,
        "resume": ResumeOrder,
        "transfer": TransferOrder,
        "end": EndOrder,
        "sensitive": SensitiveOrder,
        "pause_recording": PauseRecordingOrder,
        "flag": FlagOrder,
        "listen": PhoneOrder,
        "wrap_up": WrapUpOrder,
    }
)
"""All actions by name."""
