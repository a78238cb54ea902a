"""News of a call's core: past tense, and only to be recorded.

:class:`CallClosed` ends the call's runner, too. Frozen, a closed union (:data:`News`).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.errors import Fault, Outcome
from bridge.realtime.failures import Failure
from bridge.realtime.ids import ItemId, ToolCallId


class Speaker(enum.StrEnum):
    """The speaker of a transcript line."""

    CALLER = "caller"
    AGENT = "agent"
    BRIDGE = "bridge"
    """The bridge itself, with a phrase that was rendered before the call."""
    SUPERVISOR = "supervisor"
    """A supervisor, to the agent alone."""


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
class ToolAsked:
    """A tool was called, with good arguments; they stand as the model wrote them, so with the
    references of secret digits, never with the digits."""

    call_id: ToolCallId
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """A tool that ran outside of the core gave its output, as the model reads it."""

    call_id: ToolCallId
    output: str


@dataclass(frozen=True, slots=True)
class PictureShown:
    """The model was shown a picture, or the next session's will be.

    Attributes:
        facts: of it (:attr:`bridge.realtime.pictures.Picture.facts`).
        by: the supervisor that shows it; empty for a tool's.
        tool_call: the call of a tool that gave it.
    """

    facts: Mapping[str, str | int]
    by: str = ""
    tool_call: ToolCallId | None = None


@dataclass(frozen=True, slots=True)
class ServerToolBegan:
    """The Realtime service calls a tool of an MCP server by itself."""

    name: str
    server: str


@dataclass(frozen=True, slots=True)
class ServerToolEnded:
    """Such a call is over.

    Attributes:
        result: ``ok``, or why not (:func:`bridge.realtime.failures.classify_tool`).
    """

    name: str
    server: str
    result: str
    took_ns: int


@dataclass(frozen=True, slots=True)
class ToolsNotListed:
    """The Realtime service could not list an MCP server's tools: the model has none of them.

    Attributes:
        server: its label; empty where the service did not name it.
    """

    server: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """Fields of the call's Redis hash that changed (names fixed in `ARCHITECTURE.md` section 5)."""

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
class CallerTurnBegan:
    """The first word of a turn of the caller's came, which no event of the service reports."""

    item_id: ItemId


@dataclass(frozen=True, slots=True)
class TurnMeasured:
    """Latency stages of one agent turn, for `bridge_turn_stage_seconds` (`NEEDS.md` section 3).

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
    """The agent was cut off.

    Attributes:
        stop_ns: from the input that caused it to the flush done.
        by: whose doing it was; a supervisor's or the bridge's is no interruption by the caller.
        spoken: the caller's speech did it, not a key, nor what they had said before.
    """

    item_id: ItemId | None
    played_ms: int
    stop_ns: int
    by: Speaker = Speaker.CALLER
    spoken: bool = False


@dataclass(frozen=True, slots=True)
class AgentInterrupted:
    """The agent began to be heard while the caller spoke."""


class BargeInJudgement(enum.StrEnum):
    """The nature of a caller's speech over the agent, in hindsight; a metric label."""

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

    kind: BargeInJudgement


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
        how: ``notice`` (they heard it and stayed), ``key``, ``words``, ``silence``, or
            ``not_spoken``: the disclosure could not be said.
        version: of the text that they heard.
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
class AnswerFailed:
    """A response failed, or ended without a sound; the session stands."""

    failure: Failure


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
    """The way by which a call is handed over."""

    BLIND = "blind"
    """The far end is sent there (REFER)."""
    BRIDGED = "bridged"
    """The bridge dials and joins the two calls."""
    WARM = "warm"
    """The same, and the person is asked first."""
    CONSOLE = "console"
    """Somebody has accepted it out of the queue."""


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
    """The person has taken the call; caller and person hear each other.

    Attributes:
        by: who accepted it out of the queue; empty for a person who was called.
    """

    way: Way
    by: str = ""


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
        reason: ``sip_<status>``, ``timeout``, ``no_answer``, ``not_accepted``, ``declined``,
            ``not_joined`` (who accepted it was never heard) or ``caller_left``.
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
class AgentReached:
    """The caller has the agent of an arm that is a SIP URI.

    Attributes:
        way: bridged, or blind: what comes after a REFER is not seen.
        took_ms: since it was asked for.
    """

    way: Way
    took_ms: int


@dataclass(frozen=True, slots=True)
class AgentHeard:
    """The caller hears such an agent for the first time."""


@dataclass(frozen=True, slots=True)
class ActionAnswered:
    """The outcome of a supervisor's action.

    Attributes:
        name: of the action, snake case.
        refused: why nothing was done (:class:`bridge.engine.supervision.rules.Refusal`); empty
            if it was.
        held_by: who has the call, where that is why.
        target, summary: of the handing over that was accepted: for whom it was, and what the model
            wrote for them.
    """

    action_id: str
    by: str
    name: str
    refused: str = ""
    held_by: str = ""
    target: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class SecretKept:
    """From now on nobody hears the call but who talks in it; or everybody does again."""

    on: bool


@dataclass(frozen=True, slots=True)
class SupervisorJoined:
    """The caller hears a supervisor."""

    by: str


@dataclass(frozen=True, slots=True)
class SupervisorLeft:
    """The caller hears the supervisor no more; ``lost``: the microphone went, not the person."""

    by: str
    lost: bool


@dataclass(frozen=True, slots=True)
class AgentResumed:
    """The agent has the caller again.

    Attributes:
        by: who had it.
        away_ms: how long the agent was kept out.
        cause: ``handed_back``, ``resumed``, ``timeout`` (a pause was over) or ``voice_lost``.
    """

    by: str
    away_ms: int
    cause: str


@dataclass(frozen=True, slots=True)
class CallClosed:
    """The last effect of every call: how it ended, whose doing it was."""

    outcome: Outcome
    fault: Fault
    reason: str


News = (
    CallbackWanted
    | ToolRefused
    | ToolAsked
    | ToolAnswered
    | PictureShown
    | ServerToolBegan
    | ServerToolEnded
    | ToolsNotListed
    | StateChanged
    | PhaseChanged
    | TransitionRefused
    | TurnSpoken
    | CallerTurnBegan
    | TurnMeasured
    | Interrupted
    | AgentInterrupted
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
    | AnswerFailed
    | SessionLost
    | SessionRestored
    | GaveUp
    | HandoffStarted
    | HandoffAccepted
    | HandoffCompleted
    | HandoffFailed
    | HandedBack
    | AgentReached
    | AgentHeard
    | ActionAnswered
    | SecretKept
    | SupervisorJoined
    | SupervisorLeft
    | AgentResumed
    | CallClosed
)
