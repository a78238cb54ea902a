"""Rates a call's health from 0 to 100 with reasons, which supervisors' list is sorted by.

A call begins at 100. Each kind of trouble takes its points, up to a limit of its own: small ones,
however many, say "look" only together, a lost session or a failed transfer that is repeated says it
alone, and emergency words alone say "step in" (`NEEDS.md` section 1).
"""

from dataclasses import dataclass, fields

GOOD = 100
WARN_BELOW = 70
"""Below this a supervisor should look at the call."""

BAD_BELOW = 40
"""Below this they should step in."""

SLOW_ANSWER_MS = 2_500
"""An answer that takes longer counts as slow (p95 is to be under 1.5 s, `NEEDS.md` section 5)."""

LONG_SILENCE_MS = 8_000
"""Nobody has said anything for so long: a caller who still waits thinks that the line is dead."""

_SILENCE_COSTS = ((20_000, 40), (LONG_SILENCE_MS, 20))
"""Points for a silence that goes on, by how long it has lasted: after 20 s somebody should look."""


@dataclass(slots=True)
class CallTroubles:
    """A call's troubles so far; each field counts how often, ``silent_s`` for how long.

    Attributes:
        silent_s: the longest silence in which the caller waited, seconds.
    """

    emergencies: int = 0
    one_way: int = 0
    given_up: int = 0
    handoffs_failed: int = 0
    humans_refused: int = 0
    humans_asked: int = 0
    sessions_lost: int = 0
    silences: int = 0
    silent_s: int = 0
    slow_answers: int = 0
    tools_failed: int = 0
    agent_interrupted: int = 0
    caller_silent: int = 0
    errors: int = 0
    interruptions: int = 0


@dataclass(frozen=True, slots=True)
class _Rule:
    """The price of one kind of trouble.

    Attributes:
        free: so many of it are part of a good call.
        each: points for each one beyond; at most ``most`` in all.
        one: the reason; ``many`` for several, with ``{n}``.
    """

    each: int
    most: int
    one: str
    many: str
    free: int = 0


_RULES = {
    "emergencies": _Rule(70, 70, "emergency words heard", "emergency words heard"),
    "one_way": _Rule(50, 50, "one side hears nothing", "one side hears nothing"),
    "given_up": _Rule(45, 45, "the AI was given up", "the AI was given up"),
    "handoffs_failed": _Rule(25, 50, "a transfer failed", "{n} transfers failed"),
    "humans_refused": _Rule(
        30, 45, "asked for a person, nobody to be had", "asked {n} times for a person in vain"
    ),
    "humans_asked": _Rule(
        10, 25, "caller asked for a person", "caller asked {n} times for a person"
    ),
    "sessions_lost": _Rule(20, 40, "AI session lost", "AI session lost {n} times"),
    "silences": _Rule(10, 40, "a long silence", "{n} long silences"),
    # From 20 s on one such silence alone says "look".
    "silent_s": _Rule(
        2, 60, "the caller waited in silence", "the caller waited {n} s in silence", free=8
    ),
    "slow_answers": _Rule(10, 30, "a slow answer", "{n} slow answers"),
    "tools_failed": _Rule(12, 36, "a tool failed", "{n} tool failures"),
    "agent_interrupted": _Rule(6, 24, "agent cut in", "agent cut in {n} times", free=1),
    "caller_silent": _Rule(10, 20, "caller does not answer", "caller silent {n} times"),
    "errors": _Rule(5, 15, "an AI error", "{n} AI errors"),
    "interruptions": _Rule(
        4, 20, "caller cut the agent off", "caller cut the agent off {n} times", free=3
    ),
}


@dataclass(frozen=True, slots=True)
class Health:
    """A call's score of health, with the reasons for it.

    Attributes:
        score: 0 to 100.
        reasons: why it is not 100, the dearest first.
    """

    score: int
    reasons: tuple[str, ...] = ()


def health_of(troubles: CallTroubles) -> Health:
    """Return the health of a call with these troubles."""
    costs = []
    for field in fields(troubles):
        rule, count = _RULES[field.name], getattr(troubles, field.name)
        points = min(rule.each * max(count - rule.free, 0), rule.most)
        if points:
            costs.append((points, rule.one if count == 1 else rule.many.format(n=count)))
    costs.sort(key=lambda cost: -cost[0])
    score = max(GOOD - sum(points for points, _ in costs), 0)
    return Health(score, tuple(reason for _, reason in costs))


def while_silent(health: Health, silence_ms: int) -> Health:
    """Return the health of a call in which nobody has been heard for ``silence_ms`` by now."""
    for from_ms, points in _SILENCE_COSTS:
        if silence_ms >= from_ms:
            reason = f"silent for over {from_ms // 1000} s"
            return Health(max(health.score - points, 0), (reason, *health.reasons))
    return health
