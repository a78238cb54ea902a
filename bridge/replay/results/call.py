"""The result of a played call, for people and programs."""

import enum
from dataclasses import asdict, dataclass
from pathlib import Path

from bridge.replay.call.timeline import HeardInterruption, SpokenTurn
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.persona.outcome import PersonaOutcome


class CallOutcome(enum.StrEnum):
    """The outcome of the INVITE."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """The far end gave a final status (``sip_code``)."""
    NO_ANSWER = "no_answer"
    """It rang, and nobody answered in time."""
    FAILED = "failed"
    """Nothing that speaks SIP reacted there."""
    CANCELLED = "cancelled"
    """We gave up before the answer, because we were asked to."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of a played call.

    Attributes:
        sip_code: last SIP status of the INVITE; 0 if there was none.
        duration_ms: from the answer to the end.
        ended_by: who hung up; None for a call that was not answered.
        agent_heard_ms: how long the agent was heard.
        recording: stereo WAV, caller left, agent right; None if there is none.
        persona: what it said and why it stopped; None of a caller with steps.
    """

    outcome: CallOutcome
    sip_code: int
    answered_after_ms: int | None = None
    duration_ms: int = 0
    ended_by: str | None = None
    turns: tuple[SpokenTurn, ...] = ()
    agent_heard_ms: int = 0
    interruptions: tuple[HeardInterruption, ...] = ()
    checks: tuple[Check, ...] = ()
    recording: Path | None = None
    persona: PersonaOutcome | None = None

    @property
    def broken(self) -> tuple[Check, ...]:
        """Every expectation that was not met."""
        return tuple(check for check in self.checks if check.status is CheckStatus.FAIL)

    @property
    def undecided(self) -> tuple[Check, ...]:
        """Every expectation that can't be decided by what the caller knows."""
        return tuple(check for check in self.checks if check.status is CheckStatus.INCONCLUSIVE)

    @property
    def ok(self) -> bool:
        """Every expectation met; an answer is one, unless the script says otherwise."""
        return not self.broken and not self.undecided

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        recording = None if self.recording is None else str(self.recording)
        return {
            "ok": self.ok,
            **asdict(self),
            "outcome": self.outcome.value,
            "recording": recording,
            "broken": [str(check) for check in self.broken],
            "undecided": [str(check) for check in self.undecided],
        }
