"""A dialplan's limits: bounds on the time that things take, and on the number of calls."""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from bridge.config.parts import Part
from bridge.routing.barge_in import own_words
from bridge.routing.parts import AtHand, Phrase, in_ms


@dataclass(frozen=True, slots=True)
class LimitsPolicy:
    """The longest times that a call, and each of its waits, may take.

    Attributes:
        session_ready_ms: how long the caller may ring while the session opens; then 503.
        max_call_ms: from the answer; None for no limit.
        max_call_warning: said ``warn_before_ms`` before that; None warns of nothing.
        response_timeout_ms: how long an answer may owe its first audio before one retry.
    """

    session_ready_ms: int
    max_call_ms: int | None
    max_call_warning: str | None
    warn_before_ms: int
    response_timeout_ms: int


class Limits(Part):
    """The longest times that a call's parts may take, and the number of calls at once.

    Attributes:
        max_calls: calls on this dialplan at once, on this node; None: as many as the node takes.
        busy: what a caller beyond that is told before we hang up; None: 503 with Retry-After, so
            that the carrier may try another route.
        retry_after_s: what that one is told to wait.
        session_ready_s: INVITE to a session that can talk; after it the call is refused with 503.
        max_call_s: longest call.
        max_call_warning: said ``warn_before_s`` before that; None for the bridge's own words.
        warn_before_s: how long before the end of the longest call that is said.
        response_timeout_s: end of the caller's turn to the agent's first audio.
    """

    session_ready_s: float = Field(5.0, gt=0, le=60)
    max_call_s: float = Field(1800.0, gt=0, le=24 * 3600)
    max_call_warning: Phrase | None = None
    warn_before_s: float = Field(30.0, ge=0, le=600)
    response_timeout_s: float = Field(10.0, gt=0, le=120)
    max_calls: int | None = Field(None, ge=1, le=1024)
    busy: Phrase | None = None
    retry_after_s: int = Field(10, ge=1, le=3600)

    @model_validator(mode="after")
    def _busy_has_a_limit(self) -> Self:
        if self.busy is not None and self.max_calls is None:
            raise ValueError("should have 'max_calls' with 'busy'")
        return self

    def warning(self, language: str | None) -> str | None:
        """Return what is said before the longest call ends; None without words for it."""
        words = own_words(language)
        return self.max_call_warning or (words.warning if words else None)

    def policy(self, language: str | None, at_hand: AtHand) -> LimitsPolicy:
        """Return how long things may take, in milliseconds."""
        return LimitsPolicy(
            session_ready_ms=in_ms(self.session_ready_s),
            max_call_ms=in_ms(self.max_call_s),
            max_call_warning=at_hand(self.warning(language)),
            warn_before_ms=in_ms(self.warn_before_s),
            response_timeout_ms=in_ms(self.response_timeout_s),
        )
