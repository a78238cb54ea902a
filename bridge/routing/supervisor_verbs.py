"""The supervisors' verbs: one table of what they may do to a live call, with its parameters.

An order is a verb with its parameters. The console's API takes orders, and so does the node that
has the call: what comes through Redis is checked again there. From a verb's row follow its path and
permission in the API, the sentence that a record shows for it, and what the pages call it. The
engine's handler of an order is in :data:`bridge.engine.supervision.orders.RULES`, its button in
``bridge/console/static/js/actions.js``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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


_WORDS = ("text", "summary", "reason", "note")
"""Parameters that are somebody's words; a record redacts them."""

_DETAILS = ("digest", "when", "how", "kind", "target", "on", "auto_resume_s")
"""Parameters that a record has as they are; the others concern the audit alone."""


class Order(BaseModel):
    """Parameters of one verb; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def for_record(self) -> tuple[str, Mapping[str, str | int | None]]:
        """Return the words of the order, not redacted, and the details that a record has of it."""
        given = self.model_dump(mode="json")
        words = next((str(given[name]) for name in _WORDS if given.get(name)), "")
        details = {name: given[name] for name in _DETAILS if name in given}
        return words, {
            name: int(each) if isinstance(each, bool | float) else each
            for name, each in details.items()
        }


class WhisperOrder(Order):
    """Give the agent a note that the caller does not hear."""

    text: Text
    when: Literal["now", "next_turn"] = "next_turn"


class ShowOrder(Order):
    """Have the agent see a picture, which the call's node was given before.

    Attributes:
        digest: SHA-256 of the picture's bytes, in hex; the other figures are for the audit.
        note: for the agent: what the picture is.
    """

    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    media_type: Literal["image/png", "image/jpeg"]
    size_bytes: int = Field(ge=1)
    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)
    note: Note = ""
    when: Literal["now", "next_turn"] = "now"


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
    """Give the caller back to the agent, with a summary for it."""

    summary: Note = ""


class PauseOrder(Order):
    """Silence the agent for a while; the caller hears hold tones."""

    auto_resume_s: float = Field(60.0, ge=1, le=900)

    @property
    def auto_resume_ms(self) -> int:
        """:attr:`auto_resume_s` in milliseconds."""
        return round(self.auto_resume_s * 1000)


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


class ListenOrder(Order):
    """Have the bridge call a supervisor's phone, on which the call is heard.

    Attributes:
        via: the phone's SIP URI; the node's settings say which ones may be called.
        may_take_over: whether ``*3`` on it takes the caller over.
        private: no other supervisor sees it; with the permission ``monitor.private`` alone.
    """

    via: TransferTarget
    may_take_over: bool = False
    private: bool = False


@dataclass(frozen=True, slots=True)
class Verb:
    """An action that a supervisor may take on a live call.

    Attributes:
        name: in the API, in commands, records, metrics and the audit.
        order: its parameters.
        permission: a :class:`bridge.console.access.roles.Permission` that whoever asks needs.
        title: what the console's notices call it.
        done: of a record's sentence, after the name of whoever did it.
        of_the_holder: whoever has accepted the caller may do it to that call, too.
        holder_path: of the API, where that is by another path.
        lets_go: it is done even where it can't be audited: a caller must not wait for Redis.
        makes: what the call is in the list of calls once a supervisor has stepped in by it:
            ``human``, ``paused``, or ``beside`` the agent, which leaves the call as it was; empty
            for a verb by which nobody steps in.
        watched_as: what its user is seen to do for a minute: only the agent knows of a whisper, and
            the caller hears what an agent is made to say. Empty for a verb that shows itself.
        own_path: of the API, where it is not among the actions.
    """

    name: str
    order: type[Order]
    permission: str
    title: str
    done: str
    of_the_holder: bool = False
    holder_path: str = ""
    lets_go: bool = False
    makes: Literal["", "human", "paused", "beside"] = ""
    watched_as: str = ""
    own_path: str = ""

    @property
    def for_holder(self) -> bool:
        """Whether whoever has accepted the caller may do it to that call, by whatever path."""
        return self.of_the_holder or bool(self.holder_path)

    @property
    def path(self) -> str:
        """The path below ``/api/v1`` to which an order is posted."""
        return self.own_path or f"/calls/{{call_id}}/actions/{self.name}"


_ROWS = (
    Verb("whisper", WhisperOrder, "coach", "Whisper", "whispered to the AI", watched_as="whispers"),
    Verb(
        "show",
        ShowOrder,
        "coach",
        "Show a picture",
        "showed the AI a picture",
        watched_as="shows",
        own_path="/calls/{call_id}/picture",
    ),
    Verb("say", SayOrder, "coach", "Say exactly", "had the bridge say", watched_as="says"),
    Verb("take_over", TakeOverOrder, "barge", "Take over", "took the caller over", makes="human"),
    Verb(
        "accept",
        AcceptOrder,
        "queue.accept",
        "Accept",
        "accepted the caller",
        makes="human",
        own_path="/queue/{call_id}/accept",
    ),
    Verb("join", JoinOrder, "barge", "Three-way", "joined caller and AI", makes="beside"),
    Verb(
        "mute",
        MuteOrder,
        "barge",
        "Microphone",
        "switched their microphone",
        of_the_holder=True,
        lets_go=True,
    ),
    Verb("hold", HoldOrder, "barge", "Hold", "switched the hold", of_the_holder=True, lets_go=True),
    Verb(
        "hand_back",
        HandBackOrder,
        "barge",
        "Hand back",
        "handed the caller back",
        holder_path="/queue/{call_id}/hand-back",
        lets_go=True,
    ),
    Verb("pause", PauseOrder, "coach", "Pause the AI", "paused the AI", makes="paused"),
    Verb("resume", ResumeOrder, "coach", "Resume the AI", "had the AI go on", lets_go=True),
    Verb(
        "transfer",
        TransferOrder,
        "transfer",
        "Transfer",
        "transfers the call",
        of_the_holder=True,
    ),
    Verb("end", EndOrder, "end", "End the call", "ends the call", of_the_holder=True, lets_go=True),
    Verb("sensitive", SensitiveOrder, "coach", "Sensitive mode", "switched sensitive mode"),
    Verb(
        "pause_recording",
        PauseRecordingOrder,
        "coach",
        "Pause recording",
        "switched the recording",
    ),
    Verb("flag", FlagOrder, "flag", "Flag", "flagged this"),
    Verb("listen", ListenOrder, "monitor", "Your phone is called", "listens by phone"),
    Verb(
        "wrap_up",
        WrapUpOrder,
        "queue.accept",
        "Wrap up",
        "put down what came of the call",
        own_path="/calls/{call_id}/wrap-up",
    ),
)

VERBS: Mapping[str, Verb] = MappingProxyType({verb.name: verb for verb in _ROWS})
"""All verbs by name."""

_OF_ORDER: Mapping[type[Order], Verb] = MappingProxyType({verb.order: verb for verb in _ROWS})


def verb_of(order: Order) -> Verb:
    """Return the verb of an order."""
    return _OF_ORDER[type(order)]
