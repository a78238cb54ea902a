"""The outcome of a persona's call: its words, the reason it stopped, and their check. Pure."""

import enum
from dataclasses import dataclass

from bridge.replay.checks.check import Check, CheckStatus


class Stop(enum.StrEnum):
    """The reason for which a persona stopped."""

    REACHED = "goal_reached"
    GAVE_UP = "gave_up"
    AGENT_HUNG_UP = "agent_hung_up"
    TURNS = "turns"
    SECONDS = "seconds"
    TOKENS = "tokens"
    COST = "cost"
    MODEL_FAILED = "model_failed"
    HEARING_FAILED = "hearing_failed"


@dataclass(frozen=True, slots=True)
class PersonaTurn:
    """A turn of a persona's.

    Attributes:
        heard: what it had heard of the agent before, over the phone line.
        does: `say`, `interrupt` or `dtmf`, as steps of scripts have it.
        text: the words, or the keys.
        after_ms: of silence before it, or into the agent's words, as the fixed script has it.
        at_ms: when it began, ms since the answer.
    """

    heard: str
    does: str
    text: str
    after_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class PersonaOutcome:
    """The outcome of a persona's call: its turns, and why it stopped.

    Attributes:
        why: in the model's words, or the error's.
        model: its name and host.
        hearing: what heard the agent: `hears`, `local`, or an endpoint.
        tokens: read and written.
        cost_usd: by the prices in the script; None without any.
    """

    stopped: Stop
    why: str
    model: str
    hearing: str
    turns: tuple[PersonaTurn, ...] = ()
    tokens: int = 0
    cost_usd: float | None = None


_SAID = {
    Stop.REACHED: "it says that its goal is reached",
    Stop.GAVE_UP: "it gave up",
    Stop.AGENT_HUNG_UP: "the agent hung up",
    Stop.TURNS: "it stopped at limits.turns",
    Stop.SECONDS: "it stopped at limits.seconds",
    Stop.TOKENS: "it stopped at limits.tokens",
    Stop.COST: "it stopped at limits.cost_usd",
    Stop.MODEL_FAILED: "its model failed",
    Stop.HEARING_FAILED: "it could not hear",
}


def check_persona(outcome: PersonaOutcome) -> Check:
    """Judge how a persona's call came to its end.

    The model's word alone proves nothing of the agent: where it did not reach its goal nobody
    knows whose fault that is, so that is inconclusive, never a failure.
    """
    good = outcome.stopped in (Stop.REACHED, Stop.AGENT_HUNG_UP)
    status = CheckStatus.PASS if good else CheckStatus.INCONCLUSIVE
    found = _SAID[outcome.stopped] + (f": {outcome.why}" if outcome.why else "")
    at_ms = outcome.turns[-1].at_ms if outcome.turns else None
    return Check(None, "persona", "the persona to come to its own end", found, status, at_ms)
