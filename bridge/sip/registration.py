"""Decides when a registration is renewed, and when one that failed is tried again. Pure.

RFC 3261 section 10.2. A refresh goes out at 70 to 90% of what was granted, so that one that gets no
answer for 32 s (timer F) leaves time for another. Times are monotonic nanoseconds.
"""

import enum
from dataclasses import dataclass

_NS_PER_S = 1_000_000_000

FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 300.0
FIRST_RETRY_OF_REFUSED_S = 300.0
"""Registrars lock out those who come with a wrong secret too often."""
LONGEST_RETRY_OF_REFUSED_S = 3_600.0
LONGEST_RETRY_AFTER_S = 3_600.0

_PASSING = frozenset({408, 423, 429, 480, 491})
"""Of the 4xx, those that may be otherwise soon."""

NO_ANSWER = 408
"""Stands for every way of getting no answer: none in time, no address, no connection."""


class RegistrationState(enum.StrEnum):
    """The standing with a registrar."""

    REGISTERED = "registered"
    FAILING = "failing"
    """It will be tried again soon."""
    REFUSED = "refused"
    """The registrar does not want us: it will be tried again much later."""
    ENDED = "ended"
    """Taken back by us, or not asked for yet."""


@dataclass(frozen=True, slots=True)
class RegisterAnswer:
    """A registrar's last word on a REGISTER.

    Attributes:
        code: SIP status; 408 where none came.
        expires_s: granted; 0 for a binding that is gone.
        retry_after_s: of the header; None where it has none.
    """

    code: int
    expires_s: int = 0
    retry_after_s: int | None = None

    @property
    def is_granted(self) -> bool:
        """Whether calls will come."""
        return 200 <= self.code < 300 and self.expires_s > 0


class Registration:
    """One trunk's registration.

    Args:
        asked_s: what is asked for; a longer grant counts as this long.

    Attributes:
        code: of the last answer, 0 before the first.
    """

    def __init__(self, asked_s: int) -> None:
        self.code = 0
        self._asked_s = asked_s
        self._failures = 0
        self._refused = False
        self._until_ns = 0

    def state(self, now_ns: int) -> RegistrationState:
        """Return the standing: a binding holds to its end, also where its refresh fails."""
        if now_ns < self._until_ns:
            return RegistrationState.REGISTERED
        if not self.code:
            return RegistrationState.ENDED
        return RegistrationState.REFUSED if self._refused else RegistrationState.FAILING

    def answered(self, answer: RegisterAnswer, now_ns: int, chance: float) -> float:
        """Take an answer; return in how many seconds the next REGISTER is due.

        Args:
            answer: it.
            now_ns: monotonic.
            chance: random, from 0 to 1: nodes that began together don't stay so.
        """
        self.code = answer.code
        if answer.is_granted:
            self._failures, self._refused = 0, False
            lasts_s = min(answer.expires_s, self._asked_s)
            self._until_ns = now_ns + lasts_s * _NS_PER_S
            return lasts_s * (0.7 + 0.2 * chance)
        self._refused = _is_refusal(answer.code)
        if self._refused:
            self._until_ns = 0
        first_s, longest_s = (
            (FIRST_RETRY_OF_REFUSED_S, LONGEST_RETRY_OF_REFUSED_S)
            if self._refused
            else (FIRST_RETRY_S, LONGEST_RETRY_S)
        )
        delay_s = min(first_s * 2 ** min(self._failures, 16), longest_s) * (0.5 + 0.5 * chance)
        self._failures += 1
        wanted_s = min(answer.retry_after_s or 0, LONGEST_RETRY_AFTER_S)
        return delay_s if wanted_s <= delay_s else wanted_s * (1 + 0.1 * chance)

    def ended(self) -> None:
        """Take note that the binding was taken back."""
        self.code, self._until_ns = 0, 0


def _is_refusal(code: int) -> bool:
    return (400 <= code < 500 and code not in _PASSING) or code >= 600
