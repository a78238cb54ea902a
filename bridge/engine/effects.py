"""What a call's core wants done. The call runner (`bridge/live/`) alone turns these into I/O.

Named in the imperative where something is to be done to the world, in the past tense where
something is only to be recorded. Frozen, a closed union (:data:`Effect`).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.engine.inputs import Timer
from bridge.errors import Fault, Outcome
from bridge.realtime.commands import Command
from bridge.realtime.failures import Failure
from bridge.realtime.ids import ItemId, ToolCallId


class Speaker(enum.StrEnum):
    """Whose turn a transcript line is."""

    CALLER = "caller"
    AGENT = "agent"
    BRIDGE = "bridge"
    """The bridge itself, with a phrase that was rendered before the call."""


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
    """

    after_ms: int = 0
    new_token: bool = False
    within_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SwitchArm:
    """Open the call's sessions on the other arm from now on.

    Attributes:
        code: why the first one is left, a metric label.
    """

    code: str


@dataclass(frozen=True, slots=True)
class OpenSpare:
    """Open a second session beside the present one; feed SpareReady or SpareFailed."""

    within_ms: int


@dataclass(frozen=True, slots=True)
class TakeSpare:
    """Put the second session in the place of the present one, which is closed."""


@dataclass(frozen=True, slots=True)
class SendKeptAudio:
    """Send the caller's audio that the new session needs, then go on with what they say now.

    Attributes:
        max_ms: where there is more, the latest.
        resend_turn: begin with the turn that the caller was in when the session was lost.
    """

    max_ms: int
    resend_turn: bool


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
    """

    item_id: ItemId
    text: str


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
    """

    to: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class TellPerson:
    """Say this to the person, in the bridge's voice; feed PersonTold, then PersonSpoke."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BridgePerson:
    """Have caller and person hear each other; feed PersonHeld when the person holds the call."""


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
    """They were not told, or have not agreed."""
    SENSITIVE = "sensitive"
    """They say or press what no model may hear."""
    HANDOFF = "handoff"
    """They talk to a person, or soon will."""


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
class AnswerCall:
    """Send 200 OK; feed CallAnswered when media flows."""


@dataclass(frozen=True, slots=True)
class RejectCall:
    """Refuse the INVITE with a SIP status."""

    sip_code: int
    reason: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Send BYE."""


@dataclass(frozen=True, slots=True)
class CloseSession:
    """Close the Realtime session in order."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a command over the session."""

    command: Command


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Queue 24 kHz 16-bit PCM of an item for the caller."""

    item_id: ItemId
    content_index: int
    audio: bytes


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


@dataclass(frozen=True, slots=True)
class CallbackWanted:
    """The caller is to be called back; values are the caller's words."""

    when: str
    number: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ToolRefused:
    """A tool call was answered without running anything: unknown, or bad arguments."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """Fields of the call's Redis hash that changed (names fixed in `design.md` section 5)."""

    fields: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """The turn machine moved (one door for the log line, metric and record)."""

    old: str
    new: str
    cause: str


@dataclass(frozen=True, slots=True)
class TransitionRefused:
    """The turn machine had no row for this; counted, state unchanged."""

    state: str
    trigger: str


@dataclass(frozen=True, slots=True)
class TurnSpoken:
    """A turn's text is known or changed (same ``item_id`` replaces).

    Attributes:
        latency_ms: agent: caller's last sound to first audible sample; None on the greeting's and
            the caller's own turns.
        heard_ms: agent audio of this item that the caller heard.
        interrupted: the caller cut it.
    """

    speaker: Speaker
    item_id: ItemId
    text: str
    latency_ms: int | None = None
    heard_ms: int | None = None
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class TurnMeasured:
    """Latency stages of one agent turn, for `bridge_turn_stage_seconds` (`needs.md` (c)).

    Attributes:
        stages_ns: stage name -> duration.
        total_ns: caller's last sound to first audible sample; None for the greeting.
        greeting_ns: answer to first audible sample; None for other turns.
    """

    stages_ns: Mapping[str, int] = field(default_factory=dict)
    total_ns: int | None = None
    greeting_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The caller cut the agent off.

    Attributes:
        stop_ns: from the input that caused it to the flush done.
    """

    item_id: ItemId | None
    played_ms: int
    stop_ns: int


class Judgement(enum.StrEnum):
    """What a caller's speech over the agent turned out to be; a metric label."""

    TRUE = "true"
    FALSE = "false"
    """The agent was stopped for a sound that was no turn."""
    BACKCHANNEL = "backchannel"
    """The agent went on over a word that was none of the caller's turn."""
    MISSED = "missed"
    """The agent went on over a turn, and was stopped late or not at all."""


@dataclass(frozen=True, slots=True)
class InterruptionJudged:
    """It is known what the caller's speech over the agent was."""

    kind: Judgement


@dataclass(frozen=True, slots=True)
class SilenceMeasured:
    """The caller waited for the agent and heard nothing.

    Attributes:
        cause: what they waited for: ``greeting``, ``model``, ``tool`` or ``upstream``.
    """

    silence_ms: int
    cause: str


@dataclass(frozen=True, slots=True)
class SilencePrompted:
    """A silent caller was asked for, or given up.

    Attributes:
        step: ``reprompt``, ``close`` or ``cap``.
    """

    step: str


@dataclass(frozen=True, slots=True)
class MenuChosen:
    """The caller pressed a key of a menu, or, while a choice was awaited, one that it lacks."""

    menu: str
    key: str
    known: bool = True


@dataclass(frozen=True, slots=True)
class DigitsCollected:
    """The caller's digits are in, or will not come.

    Attributes:
        name: what they are, by the dialplan.
        ended_by: ``terminator``, ``length`` or ``pause``; or why there are none: ``too_few`` or
            ``abandoned``.
    """

    name: str
    count: int
    sensitive: bool
    ended_by: str


@dataclass(frozen=True, slots=True)
class HumanAsked:
    """The caller asked for a person.

    Attributes:
        by: ``key``, ``words`` or ``menu``.
        granted: there is one, who is called now.
    """

    by: str
    granted: bool


@dataclass(frozen=True, slots=True)
class DisclosureSpoken:
    """The caller has heard the disclosure to its end; ``version`` is its text's."""

    version: str


@dataclass(frozen=True, slots=True)
class ConsentSettled:
    """The caller agrees, or does not.

    Attributes:
        how: ``notice`` (they were told and stayed), ``key``, ``words``, ``silence``, or
            ``not_spoken``: the disclosure could not be said.
        version: of what they were told.
    """

    given: bool
    how: str
    version: str


@dataclass(frozen=True, slots=True)
class EmergencyHeard:
    """The caller's words say that somebody is in danger; ``phrase`` is the one of the list."""

    phrase: str


@dataclass(frozen=True, slots=True)
class UpstreamErrorSeen:
    """The server reported an error that does not end the session."""

    code: str


@dataclass(frozen=True, slots=True)
class SessionLost:
    """The session is gone, or an attempt to get it back failed.

    Attributes:
        attempt: failures in a row, this one included.
    """

    failure: Failure
    attempt: int


@dataclass(frozen=True, slots=True)
class SessionRestored:
    """A new session carries the talk on.

    Attributes:
        outage_ms: how long there was none; 0 where the old one was replaced in time.
    """

    outage_ms: int


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The dialplan's fallback is taken; ``reason`` is a :class:`GiveUpReason`."""

    reason: str
    fallback: str


class Way(enum.StrEnum):
    """How a call is handed over."""

    BLIND = "blind"
    """The far end is sent there (REFER)."""
    BRIDGED = "bridged"
    """The bridge dials and joins the two calls."""
    WARM = "warm"
    """The same, and the person is asked first."""


@dataclass(frozen=True, slots=True)
class HandoffStarted:
    """The call is being handed over to ``to``, a SIP or tel URI.

    Attributes:
        target: its name; ``fallback`` for the dialplan's fallback.
        summary: what the model wrote for the person.
    """

    target: str
    to: str
    way: Way
    summary: str = ""


@dataclass(frozen=True, slots=True)
class HandoffAccepted:
    """The person has taken the call; caller and person hear each other."""

    way: Way


@dataclass(frozen=True, slots=True)
class HandoffCompleted:
    """The caller has somebody else to talk to.

    Attributes:
        took_ms: since it was asked for.
    """

    way: Way
    took_ms: int


@dataclass(frozen=True, slots=True)
class HandoffFailed:
    """The call stays here.

    Attributes:
        reason: ``sip_<status>``, ``timeout``, ``no_answer``, ``not_accepted``, ``declined`` or
            ``caller_left``.
        took_ms: since it was asked for.
    """

    way: Way
    reason: str
    took_ms: int


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The caller is the agent's again, after talking to the person for ``talked_ms``."""

    talked_ms: int


@dataclass(frozen=True, slots=True)
class CallClosed:
    """The last effect of every call: how it ended, whose doing it was."""

    outcome: Outcome
    fault: Fault
    reason: str


Effect = (
    RingCall
    | OpenSession
    | SwitchArm
    | OpenSpare
    | TakeSpare
    | SendKeptAudio
    | PlayFiller
    | PlayPhrase
    | StopFiller
    | TransferCall
    | DialPerson
    | TellPerson
    | BridgePerson
    | LetPersonGo
    | PassDigits
    | PauseUplink
    | ResumeUplink
    | PauseRecording
    | ResumeRecording
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
    | CallbackWanted
    | ToolRefused
    | StateChanged
    | PhaseChanged
    | TransitionRefused
    | TurnSpoken
    | TurnMeasured
    | Interrupted
    | InterruptionJudged
    | SilenceMeasured
    | SilencePrompted
    | MenuChosen
    | DigitsCollected
    | HumanAsked
    | DisclosureSpoken
    | ConsentSettled
    | EmergencyHeard
    | UpstreamErrorSeen
    | SessionLost
    | SessionRestored
    | GaveUp
    | HandoffStarted
    | HandoffAccepted
    | HandoffCompleted
    | HandoffFailed
    | HandedBack
    | CallClosed
)
