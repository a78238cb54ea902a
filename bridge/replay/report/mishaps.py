"""Finds the first thing that went wrong in a call, for the top of its card. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.report.lanes import clock_text
from bridge.replay.results.run import RunInfo, RunVerdict

_LEAD_IN_MS = 1000


@dataclass(frozen=True, slots=True)
class Mishap:
    """The first thing that went wrong in a call, and where.

    Attributes:
        play_from_ms: a moment before it, so that a listener gets into it.
        more: other checks that failed.
    """

    expected: str
    found: str
    kind: str
    step: int | None
    at_ms: int | None
    owner: str | None
    play_from_ms: int
    more: int

    @property
    def when(self) -> str:
        """Where it was in the call."""
        return "" if self.at_ms is None else clock_text(self.at_ms)


def find_mishap(info: RunInfo, checks: Sequence[Check]) -> Mishap | None:
    """Return what the verdict of a call was given for; None for a pass."""
    if info.verdict is RunVerdict.PASS:
        return None
    wanted = CheckStatus.FAIL if info.verdict is RunVerdict.FAIL else CheckStatus.INCONCLUSIVE
    broken = [check for check in checks if check.status is wanted]
    if not broken:
        at_ms = info.at_ms
        return Mishap("", info.reason, "", None, at_ms, None, _lead_in_ms(at_ms), 0)
    # The line that the verdict was given for, where the checks have it.
    first = next((check for check in broken if str(check) == info.reason), broken[0])
    return Mishap(
        first.expected,
        first.found,
        first.kind,
        first.step,
        first.at_ms,
        first.owner,
        _lead_in_ms(first.at_ms),
        len(broken) - 1,
    )


def _lead_in_ms(at_ms: int | None) -> int:
    return max(0, (at_ms or 0) - _LEAD_IN_MS)
