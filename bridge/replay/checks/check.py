"""A check: one expectation of a call, with the finding."""

import enum
from dataclasses import dataclass


class CheckStatus(enum.StrEnum):
    """The result of a check."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """What it needs to be decided by is missing."""
    NOT_APPLICABLE = "not applicable"
    """It was not met, and the service's own way has nothing to meet it with."""


@dataclass(frozen=True, slots=True)
class Check:
    """An expectation with its result.

    Attributes:
        step: number of the script's step, from 1; None for the call as a whole.
        kind: name of the expectation, as scripts have it; those that every call is judged by begin
            with ``default_``.
        expected: what, in words.
        found: what there was instead, or what it was.
        at_ms: where in the call, ms since the answer on the caller's clock; None where nowhere.
        owner: of the fault (:class:`bridge.errors.Fault`), where one is known.
    """

    step: int | None
    kind: str
    expected: str
    found: str
    status: CheckStatus
    at_ms: int | None = None
    owner: str | None = None

    def __str__(self) -> str:
        place = "the call" if self.step is None else f"step {self.step}"
        when = "" if self.at_ms is None else f" at {self.at_ms / 1000:.1f} s"
        return f"{place}{when}: expected {self.expected}; {self.found}"
