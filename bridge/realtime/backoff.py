"""Computes the wait before a Realtime service is tried again. Pure: the jitter comes in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double up to a limit, each spread over its upper half.

    Attributes:
        base_ms: the second wait; the first one is at most half of it.
        limit_ms: no wait is longer.
    """

    base_ms: int = 200
    limit_ms: int = 2_000

    def wait_ms(self, failures: int, jitter: float) -> int:
        """Return the wait after the nth failure in a row.

        Args:
            failures: counted from 1. The first wait is short, for a blip is mostly over at once,
                but not nothing: calls that lost one server together must not come back together.
            jitter: uniform in [0, 1).

        Raises:
            ValueError: ``failures`` or ``jitter`` is out of range.
        """
        if failures < 1 or not 0 <= jitter < 1:
            raise ValueError(f"no wait for failure {failures} with jitter {jitter}")
        if failures == 1:
            return round(min(self.base_ms, self.limit_ms) / 2 * jitter)
        # The exponent is bounded: a long outage's shift would be a very long number.
        whole_ms = min(self.base_ms << min(failures - 2, 32), self.limit_ms)
        return round(whole_ms * (0.5 + jitter / 2))
