"""The effects of a call's core: orders that the call runner (`bridge/live/`) turns into I/O.

In the imperative: something is to be done to the world. What is only to be recorded is in
:mod:`bridge.engine.news`. Frozen, a closed union (:data:`Effect`).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.engine.news import News
from bridge.engine.timers import Timer
from bridge.errors import Outcome
from bridge.realtime.commands import Command
from bridge.realtime.ids import ItemId, ToolCallId
from bridge.realtime.items import Item
from bridge.realtime.session_config import AudioFormat


@dataclass(frozen=True, slots=True)
class RingCall:
    """Send 180 Ringing."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Open the Realtime session; feed SessionReady or SessionFailed.

    Attributes:
        after_ms: wait first.
        new_token: with a token other than the last one.
        within_ms: the attempt has failed after this time, waiting not included; None for the
            session's own timeout alone.
        talk: so far, for a session that takes it with its opening.
    """

    after_ms: int = 0
    new_token: bool = False
    within_ms: int | None = None
    talk: tuple[Item, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SwitchArm:
    """Open the call's sessions on the other arm from now on.

    Attributes:
        code: why the first one is left, a metric label.
    """

    code: str


@dataclass(frozen=True, slots=True)
class OpenSpare:
    """Open a second session beside the present one; feed SpareReady or SpareFailed.

    Attributes:
        talk: so far, for a session that takes it with its opening.
    """

    within_ms: int
    talk: tuple[Item, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class TakeSpare:
    """Put the second session in the place of the present one, which is closed."""


@dataclass(frozen=True, slots=True)
class SendKeptAudio:
    """Send the caller's audio that the new session needs, then go on with what they say now.

    Attributes:
        max_ms: where there is more, the latest.
    """

    max_ms: int


@dataclass(frozen=True, slots=True)
class KeepSpeech:
    """Keep the caller's audio from ``ms_ago`` on: the session has reported no turn of it yet."""

    ms_ago: int


@dataclass(frozen=True, slots=True)
class KeepTurns:
    """Keep the caller's audio from their turn ``first`` on, until the next of these.

    Attributes:
        first: of the session's turns; None where another session needs none of them.
    """

    first: ItemId | None


@dataclass(frozen=True, slots=True)
class PlayFiller:
    """Play one soft tone to the caller, who would hear nothing otherwise; PlayoutDrained ends it.

    Attributes:
        pause: with the silence that stands between two tones.
    """

    pause: bool = True


@dataclass(frozen=True, slots=True)
class PlayPhrase:
    """Play a phrase of the bridge's own, rendered before the call; PlayoutDrained ends it.

    Attributes:
        item_id: ours, unknown to every session.
        bids_wait: it stands in the place of a waiting tone, and is no part of the talk.
    """

    item_id: ItemId
    text: str
    bids_wait: bool = False


@dataclass(frozen=True, slots=True)
class StopFiller:
    """Silence the filler; nothing else is being played, and nothing is to be reported."""


@dataclass(frozen=True, slots=True)
class TransferCall:
    """Send the far end to ``to`` (REFER, RFC 3515).

    Feed TransferProgressed, then TransferCompleted or TransferFailed.

    Attributes:
        summary: for the person; a bounded part of it goes along.
        refer_to_headers: in the Refer-To URI, too, so that the far end puts it into its INVITE.
    """

    to: str
    summary: str = ""
    refer_to_headers: bool = False


@dataclass(frozen=True, slots=True)
class DialPerson:
    """Call ``to`` from here; feed PersonAnswered, and PersonLeft at its end.

    Attributes:
        summary: for the person; a bounded part of it goes along.
        silent_ms: of an arm's agent: without RTP for so long after its answer it is lost.
        urgent: no trunk's limit keeps it from being placed.
    """

    to: str
    summary: str = ""
    silent_ms: int | None = None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class AnnounceToPerson:
    """Say this to the person, in the bridge's voice; feed AnnouncementHeard, then PersonSpoke."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BridgePerson:
    """Have caller and person hear each other; feed PersonHeld when the person holds the call.

    Attributes:
        listen: feed PersonSpoke at their first sound.
    """

    listen: bool = False


@dataclass(frozen=True, slots=True)
class LetPersonGo:
    """End the person's call, if it is not over; nothing more is to be fed of it."""


@dataclass(frozen=True, slots=True)
class PassDigits:
    """Press keys towards the person, or towards the caller, if that can be done."""

    digits: str
    to_person: bool


class UplinkHold(enum.StrEnum):
    """On whose account the caller's audio is kept from the session."""

    CONSENT = "consent"
    """They have not heard the disclosure, or have not agreed."""
    SENSITIVE = "sensitive"
    """They say or press what no model may hear."""
    HANDOFF = "handoff"
    """They talk to a person, or soon will."""
    SUPERVISOR = "supervisor"
    """They talk to a supervisor, or wait for one."""
    SECRET = "secret"
    """A supervisor said so."""


@dataclass(frozen=True, slots=True)
class PauseUplink:
    """Keep the caller's audio from the session, and from what is kept for the next one."""

    reason: UplinkHold


@dataclass(frozen=True, slots=True)
class ResumeUplink:
    """Take one hold back; with the last of them the session gets what is said from now on."""

    reason: UplinkHold


class RecordingHold(enum.StrEnum):
    """On whose account the recording pauses; it goes on when nobody holds it any more."""

    CONSENT = "consent"
    SENSITIVE = "sensitive"
    SUPERVISOR = "supervisor"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class PauseRecording:
    """Record silence in place of both sides, and no words, from now on."""

    reason: RecordingHold


@dataclass(frozen=True, slots=True)
class ResumeRecording:
    """Take one hold back; the recording goes on with the last of them."""

    reason: RecordingHold


@dataclass(frozen=True, slots=True)
class OpenVoice:
    """Have the caller hear a supervisor's microphone.

    Attributes:
        beside_agent: the agent hears it, too, and goes on being heard; else it is heard in the
            agent's place.
        muted: not yet.
    """

    by: str
    beside_agent: bool = False
    muted: bool = False


@dataclass(frozen=True, slots=True)
class MuteVoice:
    """Let nothing of the open microphone through, or let it through again."""

    on: bool


@dataclass(frozen=True, slots=True)
class CloseVoice:
    """Have the caller hear no supervisor any more; what was not heard yet is not heard."""


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """Send 200 OK; feed CallAnswered when media flows."""


@dataclass(frozen=True, slots=True)
class RejectCall:
    """Refuse the INVITE with a SIP status."""

    sip_code: int
    reason: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Send BYE, with the outcome as its reason."""

    outcome: Outcome = Outcome.COMPLETED


@dataclass(frozen=True, slots=True)
class CloseSession:
    """Close the Realtime session in order."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a command over the session."""

    command: Command


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Queue audio of an item for the caller."""

    item_id: ItemId
    content_index: int
    audio: bytes
    audio_format: AudioFormat = AudioFormat.PCM_24KHZ


@dataclass(frozen=True, slots=True)
class FlushPlayout:
    """Silence the agent now; feed PlayoutFlushed with what had been heard."""


@dataclass(frozen=True, slots=True)
class DuckPlayout:
    """Lower the agent's audio: the caller may have begun to speak.

    Attributes:
        by_db: infinite for silence.
    """

    by_db: float


@dataclass(frozen=True, slots=True)
class RestorePlayout:
    """Bring the agent's audio back to its level."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Start (or restart) a timer; feed TimerFired when it runs out."""

    timer: Timer
    after_ms: int


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Stop a timer if it runs."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool; feed ToolFinished with its output.

    Attributes:
        arguments: checked against the tool's schema.
    """

    call_id: ToolCallId
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class CancelTool:
    """End a tool whose output nobody wants any more; it may have ended already."""

    call_id: ToolCallId


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Press keys towards the far end; feed ToolFinished with how that went.

    Attributes:
        digits: ``0-9 * # A-D``; ``w`` for half a second.
    """

    call_id: ToolCallId
    digits: str


Effect = (
    RingCall
    | OpenSession
    | SwitchArm
    | OpenSpare
    | TakeSpare
    | SendKeptAudio
    | KeepSpeech
    | KeepTurns
    | PlayFiller
    | PlayPhrase
    | StopFiller
    | TransferCall
    | DialPerson
    | AnnounceToPerson
    | BridgePerson
    | LetPersonGo
    | PassDigits
    | PauseUplink
    | ResumeUplink
    | PauseRecording
    | ResumeRecording
    | OpenVoice
    | MuteVoice
    | CloseVoice
    | AnswerCall
    | RejectCall
    | HangUp
    | CloseSession
    | Send
    | PlayAudio
    | FlushPlayout
    | DuckPlayout
    | RestorePlayout
    | StartTimer
    | StopTimer
    | RunTool
    | CancelTool
    | SendDigits
    | News
)
