"""The inputs of a call's core beside the canonical server events.

Named in the past tense; frozen. Together with :data:`bridge.realtime.events.ServerEvent` they make
:data:`Input`, a closed union.
"""

from dataclasses import dataclass, field

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.engine.media import (
    AudioAppended,
    AudioLost,
    AudioStopped,
    LastSoundSent,
    PlayoutFlushed,
    ProcessStopped,
)
from bridge.engine.timers import Timer
from bridge.errors import BridgeError
from bridge.realtime.dialect import ServiceTraits
from bridge.realtime.events import ServerEvent
from bridge.realtime.ids import ToolCallId
from bridge.realtime.pictures import Picture
from bridge.routing.handoff import HandoffTarget
from bridge.routing.supervisor_verbs import Order


@dataclass(frozen=True, slots=True)
class CallOffered:
    """An INVITE came and a dialplan matched."""


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The Realtime session is open and has taken our settings.

    Attributes:
        expires_in_ms: what is left of its life, by its server; None where that is not known.
        kept_speech: the caller spoke while there was no session.
        service: what it can be asked for, and what it reports.
    """

    session_id: str
    expires_in_ms: int | None = None
    kept_speech: bool = False
    service: ServiceTraits = field(default_factory=ServiceTraits)


@dataclass(frozen=True, slots=True)
class AgentElsewhere:
    """The arm has no sessions: its agent is to be called, or the caller to be sent there."""

    agent: HandoffTarget


@dataclass(frozen=True, slots=True)
class SpareReady:
    """A second session is open, to be taken in the place of the present one."""

    session_id: str
    expires_in_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SpareFailed:
    """The second session could not be had, or went before it was taken."""

    error: BridgeError


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The Realtime session could not be had, or was lost.

    Attributes:
        key_is_fresh: the credential in use could not be fresher.
        token_expires_ns: monotonic end of the token in use; None for a long-lived key.
    """

    error: BridgeError
    key_is_fresh: bool = False
    token_expires_ns: int | None = None


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The caller's side confirmed our answer and media flows."""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The SIP dialog is over.

    Attributes:
        by_caller: the far end hung up (or cancelled); False when it was our BYE.
        sip_code: last SIP status of the INVITE.
        lost: why the far end is taken to be gone, where it did not hang up; a label of few values.
    """

    by_caller: bool
    sip_code: int
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """The caller pressed a key: ``0-9 * # A-D``."""

    digit: str


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """The far end put the call on hold, or took it back (re-INVITE)."""

    held: bool


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that the core started ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool that the core had run gave an output (an error is an output, too).

    Attributes:
        picture: for the model, beside it.
    """

    call_id: ToolCallId
    output: str
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class TransferProgressed:
    """The far end took our REFER, or reported how far it is (RFC 3515 section 2.4.5).

    Attributes:
        sip_code: provisional status of its own call; 100 for the 202 to the REFER.
    """

    sip_code: int


@dataclass(frozen=True, slots=True)
class TransferCompleted:
    """The far end reached the target: ``sip_code`` is a 2xx."""

    sip_code: int


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """The far end refused our REFER, or did not reach the target.

    Attributes:
        sip_code: its final status; below 300 where it sent none.
    """

    sip_code: int


@dataclass(frozen=True, slots=True)
class PersonAnswered:
    """The person whom we called answered, and media flows."""


@dataclass(frozen=True, slots=True)
class AnnouncementHeard:
    """The person has heard the announcement."""


@dataclass(frozen=True, slots=True)
class PersonSpoke:
    """The person speaks, after the announcement; found by level, not by words.

    Of an arm's agent it is the first sound.

    Attributes:
        unasked: the caller had not spoken to them before.
    """

    unasked: bool = True


@dataclass(frozen=True, slots=True)
class PersonPressed:
    """The person pressed a key: ``0-9 * # A-D``."""

    digit: str


@dataclass(frozen=True, slots=True)
class PersonHeld:
    """The person put the call on hold, or took it back."""

    held: bool


@dataclass(frozen=True, slots=True)
class PersonLeft:
    """The person's call is over.

    Attributes:
        sip_code: last SIP status of its INVITE; why, where it was not answered.
        lost: they went without a BYE: no RTP comes, or no answer.
        not_placed: why the bridge placed no call; "" where it has.
    """

    sip_code: int
    lost: bool = False
    not_placed: str = ""


@dataclass(frozen=True, slots=True)
class SupervisorActed:
    """A supervisor wants something done; ActionAnswered reports what came of it.

    Attributes:
        action_id: of the answer.
        by: the supervisor's name.
        target: of a transfer, as the call's node has found them.
        voice_within_ms: how long the caller waits to hear who accepts, where a phone rings first;
            None for as long as they wait for a microphone.
        picture: that is to be shown, as the call's node was given it.
    """

    action_id: str
    by: str
    order: Order
    target: HandoffTarget | None = None
    voice_within_ms: int | None = None
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class SupervisorHeard:
    """A supervisor's microphone was connected; it is heard once they have taken over."""

    by: str


@dataclass(frozen=True, slots=True)
class SupervisorLost:
    """A supervisor's microphone is gone."""

    by: str


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """The gateway is going down and wants the call to end."""


Input = (
    ServerEvent
    | CallOffered
    | SessionReady
    | SessionFailed
    | AgentElsewhere
    | SpareReady
    | SpareFailed
    | CallAnswered
    | CallEnded
    | AudioLost
    | AudioAppended
    | LastSoundSent
    | PlayoutStarted
    | PlayoutDrained
    | PlayoutFlushed
    | DigitReceived
    | SoundStarted
    | SoundLasted
    | SoundStopped
    | HoldChanged
    | ProcessStopped
    | AudioStopped
    | TimerFired
    | ToolFinished
    | TransferProgressed
    | TransferCompleted
    | TransferFailed
    | PersonAnswered
    | AnnouncementHeard
    | PersonSpoke
    | PersonPressed
    | PersonHeld
    | PersonLeft
    | SupervisorActed
    | SupervisorHeard
    | SupervisorLost
    | ShutdownRequested
)
