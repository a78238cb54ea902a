"""The policy of one call's core, compiled of its dialplan. Fixed for the call; times in ms.

Each section of a dialplan compiles itself (``policy`` beside its fields, in :mod:`bridge.routing`);
here they are put together. Defaults stand in the sections alone.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bridge.realtime.recovery import RecoveryPolicy
from bridge.routing.agent import AgentPolicy
from bridge.routing.barge_in import BargeInPolicy, CallerSilencePolicy, DeadAirPolicy, farewell
from bridge.routing.consent import ConsentPolicy
from bridge.routing.emergency import EmergencyPolicy
from bridge.routing.fallback import FallbackPolicy
from bridge.routing.handoff import HandoffTarget
from bridge.routing.keypad import KeypadPolicy
from bridge.routing.limits import LimitsPolicy
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode, has_agent
from bridge.routing.parts import AtHand
from bridge.routing.tools import ToolPolicy

CLOSING_GRACE_MS = 5_000
"""How long a goodbye may outlast its own audio before the call ends anyway."""

TRANSFER_TIMEOUT_MS = 40_000
"""Ten rings: a person takes longer than a queue."""

CACHED_GREETING_AFTER_MS = 800
"""How long the agent may take to greet, before the bridge does."""

FILLER_AFTER_MS = 1_500
"""From the caller's last sound on. Two seconds of silence are dead air (`NEEDS.md` section 5); what
is left of them is for the jitter buffers on both ways, and a busy machine."""


class NoAgent(enum.Enum):
    """The reason for which a call gets the fallback alone, and no session is opened for it."""

    CLOSED = enum.auto()
    """The line is closed."""
    FULL = enum.auto()
    """The line has all the calls it may have."""
    AI_OFF = enum.auto()
    """No arm may take a call."""


_NO_AGENT = MappingProxyType(
    {Mode.CLOSED: NoAgent.CLOSED, Mode.FULL: NoAgent.FULL, Mode.AI_OFF: NoAgent.AI_OFF}
)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """The policy by which one call is run.

    Attributes:
        no_agent: the call is answered for its fallback; None: for the agent.
        rescue_after_ms: without a session for so long, another arm is tried; None: there is none.
        agent: what the agent's own fields say.
        barge_in: None leaves interruptions and answers to the service's turn detection.
        dead_air, caller_silence: None leaves callers alone.
        cached_greeting_after_ms: from our answer on; where nothing of the agent's is heard by then,
            the bridge says the cached greeting, if there is one.
        tools: by name; others are refused towards the model. ``end_call`` need not be listed.
        filler_after_ms: silence, while the agent is awaited, before the caller hears a filler; None
            for none while the session stands.
        stalled_after_ms: how long a response that was heard in part may bring nothing more before
            its session counts as lost; None for ever.
        recovery: bounds of getting a lost session back.
        outage_phrase: spoken to the caller first where a filler is due in an outage; None for
            tones alone.
        fallback: what becomes of the call where that fails.
        transfer_timeout_ms: how long the far end may try to reach a transfer's target.
        handoff: whom the agent may hand the call to, by name; the first is the default.
        goodbye: said to the caller before a supervisor ends the call; None ends it without.
        keypad: what keys lead to, and asking for a person.
        consent: None announces nothing; ``emergency``: None listens for none.
    """

    no_agent: NoAgent | None
    limits: LimitsPolicy
    rescue_after_ms: int | None
    agent: AgentPolicy
    barge_in: BargeInPolicy | None
    dead_air: DeadAirPolicy | None
    caller_silence: CallerSilencePolicy | None
    cached_greeting_after_ms: int
    tools: Mapping[str, ToolPolicy]
    filler_after_ms: int | None
    stalled_after_ms: int | None
    recovery: RecoveryPolicy
    outage_phrase: str | None
    fallback: FallbackPolicy
    transfer_timeout_ms: int
    handoff: Mapping[str, HandoffTarget]
    goodbye: str | None
    keypad: KeypadPolicy
    consent: ConsentPolicy | None
    emergency: EmergencyPolicy | None

    @property
    def person(self) -> HandoffTarget | None:
        """Who gets a caller that wants no agent; None where there is nobody."""
        return next(iter(self.handoff.values()), self.fallback.transfer_to)


def policy_of(dialplan: Dialplan, at_hand: AtHand, mode: Mode = Mode.OPEN) -> CallPolicy:
    """Return the core's policy for calls on a dialplan; what could not be rendered is not said.

    Args:
        dialplan: as it is for calls that are treated so (:func:`bridge.routing.modes.during`).
        at_hand: in the dialplan's language.
        mode: how they are treated.
    """
    agent, language = dialplan.agent, dialplan.agent.language
    transcribed = agent.transcription is not None
    limits = dialplan.limits.policy(language, at_hand)
    return CallPolicy(
        no_agent=None if has_agent(dialplan, mode) else _NO_AGENT[mode],
        limits=limits,
        rescue_after_ms=None,
        agent=agent.policy(at_hand),
        barge_in=agent.barge_in.policy(transcribed=transcribed),
        dead_air=dialplan.dead_air.policy(language, at_hand),
        caller_silence=dialplan.caller_silence.policy(language, at_hand),
        cached_greeting_after_ms=CACHED_GREETING_AFTER_MS,
        tools={tool.name: tool.policy(at_hand) for tool in agent.tools},
        filler_after_ms=FILLER_AFTER_MS,
        stalled_after_ms=limits.response_timeout_ms,
        recovery=dialplan.recovery.policy(dialplan.fallback),
        outage_phrase=at_hand(dialplan.recovery.phrase),
        fallback=dialplan.fallback.policy(language, at_hand),
        transfer_timeout_ms=TRANSFER_TIMEOUT_MS,
        handoff=dialplan.handoff.people(at_hand),
        goodbye=at_hand(farewell(language)),
        keypad=dialplan.keypad.policy(language, at_hand, transcribed=transcribed),
        consent=dialplan.consent.policy(language, at_hand),
        emergency=dialplan.emergency.policy(language, at_hand),
    )
