"""The policy of one call's core, from its dialplan. Fixed for the call; times in milliseconds."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.engine.handoff.policy import TRANSFER_TIMEOUT_MS, FallbackPolicy, HandoffTarget
from bridge.engine.keypad.policy import KeypadPolicy
from bridge.realtime.recovery import RecoveryPolicy
from bridge.routing.wording import NO_WORDS, WordList

CLOSING_GRACE_MS = 5_000
"""How long a goodbye may outlast its own audio before the call ends anyway."""


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """A tool that the model may call.

    Attributes:
        schema: JSON Schema of its arguments.
        filler: said in the place of the first tone while the caller waits for it.
        background: the talk goes on meanwhile.
    """

    schema: Mapping[str, object] = field(default_factory=dict)
    filler: str | None = None
    background: bool = False


@dataclass(frozen=True, slots=True)
class BargeInPolicy:
    """The lengths of a caller's sound over the agent, and the action that each brings.

    Attributes:
        min_speech_ms: local sound of this length stops the agent: its answer is cancelled.
        yield_after_ms: local sound of this length silences the agent's audio, which comes back
            where the sound stays shorter than ``min_speech_ms``; None for never.
        duck_after_ms: local sound of this length lowers the agent's audio; None for never.
        duck_db: by how much.
        protects_greeting: the greeting is heard to its end.
        transcribed: the caller's words become known.
        backchannel_words: words that are no turn while the agent speaks, lower case; empty where
            every word is one.
    """

    min_speech_ms: int = 460
    yield_after_ms: int | None = 360
    duck_after_ms: int | None = 120
    duck_db: float = 12.0
    protects_greeting: bool = False
    transcribed: bool = False
    backchannel_words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DeadAirPolicy:
    """The phrases for a caller who waits for the agent, beside the filler; each may be None.

    Attributes:
        apology_after_ms: of waiting; ``offer_after_ms`` likewise.
        offer: of a person: the first of ``CallPolicy.handoff``, or the fallback's.
    """

    apology: str | None = None
    apology_after_ms: int = 5_000
    offer: str | None = None
    offer_after_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class CallerSilencePolicy:
    """The patience with a caller who says nothing. Phrases may be None.

    Attributes:
        reprompt_after_ms: of silence; again after as much more.
        reprompts: how often.
        close_after_ms: from the silence's begin to the goodbye.
        cap_ms: longest time without a word of the caller's, whatever turn detection hears.
    """

    reprompt: str | None = None
    reprompt_after_ms: int = 8_000
    reprompts: int = 2
    goodbye: str | None = None
    close_after_ms: int = 25_000
    cap_ms: int = 120_000


class NoAgent(enum.Enum):
    """The reason for which a call gets the fallback alone, and no session is opened for it."""

    CLOSED = enum.auto()
    """The line is closed."""
    FULL = enum.auto()
    """The line has all the calls it may have."""
    AI_OFF = enum.auto()
    """No arm may take a call."""


@dataclass(frozen=True, slots=True)
class ConsentPolicy:
    """The disclosure that the caller hears first, and the question, if one is asked.

    Attributes:
        disclosure: None where it can't be said, nor the question: then nobody can agree.
        version: of the text, for records.
        before_audio: none of the caller's audio leaves before it was heard to its end.
        notice: staying on the line is agreeing.
        question: None where nothing is asked.
        agree_key, refuse_key: answers; ``yes``, ``no``: likewise, in words.
        answer_within_ms: from the end of the question.
        questions: how often it is asked.
        silence_agrees: what no answer means.
        hold_recording: nothing is recorded before, either.
        refused: said to who refuses; ``nobody``: where no person was reached then.
    """

    disclosure: str | None
    version: str = ""
    before_audio: bool = True
    notice: bool = False
    question: str | None = None
    agree_key: str = "1"
    refuse_key: str = "2"
    yes: WordList = NO_WORDS
    no: WordList = NO_WORDS
    answer_within_ms: int = 8_000
    questions: int = 2
    silence_agrees: bool = False
    hold_recording: bool = True
    refused: str | None = None
    nobody: str | None = None

    @property
    def asks(self) -> bool:
        """Whether the caller has to answer."""
        return self.question is not None


@dataclass(frozen=True, slots=True)
class EmergencyPolicy:
    """The help for a caller in an emergency: the words that show one, and the instruction.

    Attributes:
        words: by which it is told.
        instruction: what the caller is told.
        by_model: the bridge has no voice for it, so the agent says it.
        transfers: the call goes to a person then.
    """

    words: WordList
    instruction: str
    by_model: bool = False
    transfers: bool = False


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """The policy by which one call is run.

    Attributes:
        no_agent: the call is answered for its fallback; None: for the agent.
        session_ready_ms: how long the caller may ring while the session opens; then 503.
        rescue_after_ms: without a session for so long, another arm is tried; None: there is none.
        max_duration_ms: from the answer; None for no limit.
        max_duration_warning: said ``warn_before_ms`` before that; None warns of nothing.
        barge_in: None leaves interruptions and answers to the service's turn detection.
        dead_air, caller_silence: None leaves callers alone.
        greet: the agent speaks first.
        greeting_instructions: instructions of the greeting's response alone; None for the
            session's own.
        cached_greeting: said by the bridge if nothing of the agent's is heard for
            ``cached_greeting_after_ms`` from our answer; None leaves the greeting to the agent.
        response_timeout_ms: how long an answer may owe its first audio before one retry.
        tools: by name; others are refused towards the model. ``end_call`` need not be listed.
        mcp_approved: names of tools of MCP servers that may run where the server asks.
        server_cancels: the session interrupts its response by itself (``interrupt_response``), so
            ``response.cancel`` is not sent.
        digits_to_model: keypad digits become user text and ask for an answer.
        vad_trailing_silence_ms: silence that the server includes in ``audio_end_ms`` of
            ``speech_stopped``; taken off when the caller's last sound is put in time.
        turn_overdue_ms: from the end of a sound of the caller's; by then the service has to tell
            that the turn is over. None: it may take for ever.
        filler_after_ms: silence, while the agent is awaited, before the caller hears a filler; None
            for none while the session stands.
        stalled_after_ms: how long a response that was heard in part may bring nothing more before
            its session counts as lost; None for ever.
        recovery: bounds of getting a lost session back.
        outage_phrase: what the caller is told first where a filler is due in an outage; None for
            tones alone.
        fallback: what becomes of the call where that fails.
        transfer_timeout_ms: how long the far end may try to reach a transfer's target.
        handoff: whom the agent may hand the call to, by name; the first is the default.
        goodbye: said to the caller before a supervisor ends the call; None ends it without.
        keypad: what keys lead to, and asking for a person.
        consent: None tells the caller nothing; ``emergency``: None listens for none.
    """

    no_agent: NoAgent | None = None
    session_ready_ms: int = 5_000
    rescue_after_ms: int | None = None
    max_duration_ms: int | None = None
    max_duration_warning: str | None = None
    warn_before_ms: int = 30_000
    barge_in: BargeInPolicy | None = None
    dead_air: DeadAirPolicy | None = None
    caller_silence: CallerSilencePolicy | None = None
    greet: bool = True
    greeting_instructions: str | None = None
    cached_greeting: str | None = None
    cached_greeting_after_ms: int = 800
    response_timeout_ms: int = 10_000
    tools: Mapping[str, ToolPolicy] = field(default_factory=dict)
    mcp_approved: frozenset[str] = frozenset()
    server_cancels: bool = False
    digits_to_model: bool = True
    vad_trailing_silence_ms: int = 0
    turn_overdue_ms: int | None = None
    filler_after_ms: int | None = None
    stalled_after_ms: int | None = None
    recovery: RecoveryPolicy = field(default_factory=RecoveryPolicy)
    outage_phrase: str | None = None
    fallback: FallbackPolicy = field(default_factory=FallbackPolicy)
    transfer_timeout_ms: int = TRANSFER_TIMEOUT_MS
    handoff: Mapping[str, HandoffTarget] = field(default_factory=dict)
    goodbye: str | None = None
    keypad: KeypadPolicy = field(default_factory=KeypadPolicy)
    consent: ConsentPolicy | None = None
    emergency: EmergencyPolicy | None = None

    @property
    def person(self) -> HandoffTarget | None:
        """Who gets a caller that wants no agent; None where there is nobody."""
        return next(iter(self.handoff.values()), self.fallback.transfer_to)
