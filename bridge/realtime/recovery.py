"""Plans how a call gets its Realtime session back: a failure in, ordered steps out.

Pure: time and jitter come in as arguments, and nothing here acts. The call's core makes effects of
the steps, in order (:mod:`bridge.engine.session.recovery`); where one fails it classifies that
failure, counts it (:meth:`Budget.failed`) and plans again. Rules: `ARCHITECTURE.md` section 4,
`NEEDS.md` section 5 "Dead air".
"""

import enum
from dataclasses import dataclass, field, replace
from typing import assert_never

from bridge.clock import NS_PER_MS
from bridge.realtime.backoff import Backoff
from bridge.realtime.conversation import ConversationLog
from bridge.realtime.failures import Cure, Failure
from bridge.realtime.items import ContentPart, FunctionCall, Item, Message, PartKind, Role
from bridge.realtime.pictures import in_words

RESUMED = (
    "The line was interrupted for a moment and is back. The talk so far is in this conversation."
    " Go on from where it stopped; do not greet again."
)
"""Sent to the model before a conversation that was given back."""

SUMMARISED = (
    "The line was interrupted for a moment and is back. Go on with the call; do not greet again."
    " What was said so far, in short:\n"
)
"""Sent to the model before a summary."""


@dataclass(frozen=True, slots=True)
class RecoveryPolicy:
    """Bounds of one call's recovery.

    Attributes:
        max_failures: sessions lost in a row, or responses failed, after which it is given up.
            An attempt to connect that failed is none of them: those are bounded by time alone.
        max_outage_ms: longest time without a session, over all losses in a row.
        attempt_ms: longest time of one attempt.
        last_attempt_ms: least time that an attempt is given; no wait may leave less.
        stable_ms: a session that stood this long was a recovery, as was one that has answered the
            caller (:meth:`Budget.proved`); one that did neither counts on.
        filler_after_ms: silence that the caller is given before they hear a filler (a gap over 2 s
            is dead air, `NEEDS.md` section 5).
        kept_audio_ms: caller audio that is kept for the next session.
        summary_chars: length of a summary.
        token_margin_ms: a token that ends within this time after an attempt's start is too old.
        fallback: what the dialplan wants where nothing helps; passed through unread.
    """

    max_failures: int
    max_outage_ms: int
    attempt_ms: int
    filler_after_ms: int
    kept_audio_ms: int
    fallback: str
    last_attempt_ms: int = 500
    stable_ms: int = 30_000
    summary_chars: int = 1_200
    token_margin_ms: int = 10_000
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class Budget:
    """What one call has spent on getting its session back; a value, replaced at each change.

    A second one, fed alike, bounds the retries of failed responses within a session that stands.

    Attributes:
        failures: in a row: losses, and attempts that failed; the waits grow with them.
        losses: in a row: sessions that were lost, or responses that failed.
        spent_ms: outages before this one, in the same row of losses.
        lost_ns: since when there is no session, monotonic; None while one stands.
        restored_ns: since when one stands; None while there is none.
        renew: a failure of this outage was the session's own, so an attempt that then fails for
            the network alone does not lead back to the old session's audio.
    """

    policy: RecoveryPolicy
    failures: int = 0
    losses: int = 0
    spent_ms: int = 0
    lost_ns: int | None = None
    restored_ns: int | None = None
    renew: bool = False

    def failed(self, failure: Failure, now_ns: int) -> "Budget":
        """Count a loss, or an attempt that failed; call it before :func:`plan`."""
        renew = failure.cure is Cure.RENEW
        if self.lost_ns is not None:
            return replace(
                self,
                failures=self.failures + 1,
                losses=self.losses + (failure.cure is Cure.RETRY_RESPONSE),
                renew=self.renew or renew,
            )
        stood_ms = 0 if self.restored_ns is None else (now_ns - self.restored_ns) // NS_PER_MS
        before = Budget(self.policy) if stood_ms >= self.policy.stable_ms else self
        return replace(
            before,
            failures=before.failures + 1,
            losses=before.losses + 1,
            lost_ns=now_ns,
            restored_ns=None,
            renew=renew,
        )

    def restored(self, now_ns: int) -> "Budget":
        """Note that a session stands (or a response was good)."""
        spent_ms = self.spent_ms + self.outage_ms(now_ns)
        return replace(self, spent_ms=spent_ms, lost_ns=None, restored_ns=now_ns, renew=False)

    def proved(self) -> "Budget":
        """Note that the session has answered the caller: what follows is no loss in a row."""
        return replace(self, failures=0, losses=0, spent_ms=0)

    def moved(self) -> "Budget":
        """Return what another arm has: the time of this one, and attempts of its own."""
        return replace(self, failures=0, losses=0, renew=False)

    def outage_ms(self, now_ns: int) -> int:
        """Return how long there has been no session."""
        return 0 if self.lost_ns is None else (now_ns - self.lost_ns) // NS_PER_MS

    def left_ms(self, now_ns: int) -> int:
        """Return how much longer there may be no session."""
        return self.policy.max_outage_ms - self.spent_ms - self.outage_ms(now_ns)


class GiveUpReason(enum.StrEnum):
    """Why nothing more is tried; a metric label."""

    REFUSED = "refused"
    """The same again would fail the same way."""
    TOO_MANY = "too_many"
    TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class FillSilence:
    """Have the caller hear a phrase or a tone, once they have heard nothing for ``after_ms``.

    A filler that plays or waits already goes on; whatever comes from the agent ends it.
    """

    after_ms: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Open a connection and set a session up.

    Attributes:
        after_ms: wait first.
        new_token: with a token other than the last one; no matter with a long-lived key.
        within_ms: the attempt has failed after this time, waiting not included.
    """

    after_ms: int
    new_token: bool
    within_ms: int


@dataclass(frozen=True, slots=True)
class RestoreContext:
    """Create ``items``, in order, in the new session."""

    items: tuple[Item, ...] = field(repr=False)  # transcripts


@dataclass(frozen=True, slots=True)
class SummariseContext:
    """Create ``items`` in the new session: a note with a summary, the pictures that it puts in
    words, the tool calls that run, and what the caller said that has no answer yet.

    Attributes:
        text: the summary alone.
    """

    text: str = field(repr=False)
    shown: tuple[Item, ...] = field(default=(), repr=False)
    running: tuple[FunctionCall, ...] = field(default=(), repr=False)
    unanswered: tuple[Item, ...] = field(default=(), repr=False)

    @property
    def items(self) -> tuple[Item, ...]:
        """What to create, in order."""
        return (_note(SUMMARISED + self.text), *self.shown, *self.running, *self.unanswered)


@dataclass(frozen=True, slots=True)
class ResendCaller:
    """Send what the caller said and no session has put into words or answered, whether one was sent
    it before or not; where there is more, the latest ``max_ms`` of it.
    """

    max_ms: int


@dataclass(frozen=True, slots=True)
class RequestResponse:
    """Ask for a response: it is the agent's turn. Not if the kept audio holds speech: the server
    answers that by itself.
    """

    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Take the dialplan's fallback."""

    fallback: str
    reason: GiveUpReason


Step = (
    FillSilence
    | Reconnect
    | RestoreContext
    | SummariseContext
    | ResendCaller
    | RequestResponse
    | GiveUp
)


def plan(
    failure: Failure,
    conversation: ConversationLog,
    budget: Budget,
    now_ns: int,
    *,
    jitter: float,
    token_expires_ns: int | None = None,
) -> tuple[Step, ...]:
    """Decide what to do about a failure.

    Args:
        failure: classified (`bridge/realtime/failures.py`).
        conversation: the call's talk; ``begin_session()`` is called on it later, when a new session
            stands.
        budget: with this failure counted in.
        jitter: uniform in [0, 1), drawn anew for each plan.
        token_expires_ns: monotonic end of the token in use; None for a long-lived key.

    Returns:
        Steps in order; none where the session goes on by itself.
    """
    if failure.cure is Cure.NOTHING:
        return ()
    policy, left_ms = budget.policy, budget.left_ms(now_ns)
    reason = _over(failure, budget, left_ms)
    if reason is not None:
        return (GiveUp(policy.fallback, reason),)
    wait_ms = max(policy.backoff.wait_ms(max(budget.failures, 1), jitter), failure.wait_ms)
    # The last attempt comes at the budget's end, not a whole wait before it.
    wait_ms = min(wait_ms, left_ms - policy.last_attempt_ms)
    filler = FillSilence(max(policy.filler_after_ms - budget.outage_ms(now_ns), 0))
    if failure.cure is Cure.RETRY_RESPONSE:
        return (filler, RequestResponse(wait_ms))
    within_ms = min(policy.attempt_ms, left_ms - wait_ms)
    budget = replace(budget, renew=budget.renew or failure.cure is Cure.RENEW)
    old = _too_old(token_expires_ns, now_ns + wait_ms * NS_PER_MS, policy)
    return (
        filler,
        Reconnect(wait_ms, new_token=budget.renew or old, within_ms=within_ms),
        *restoration(conversation, budget),
    )


_PICTURES_ONCE_MORE = 1
"""Losses in a row over which pictures are given again: they may be what sessions are closed for
(1009, message too big), and to send them each time would end the call."""


def restoration(
    conversation: ConversationLog, budget: Budget, *, takes_pictures: bool = False
) -> tuple[Step, ...]:
    """Give a talk to a new session: the steps of :func:`plan` behind the Reconnect.

    What was planned is old by the time that a session stands (a tool may have ended meanwhile), so
    it is asked for again then, before ``begin_session()``.

    Args:
        conversation: the talk.
        budget: of the call.
        takes_pictures: the new session's dialect has them; else words stand for them.
    """
    policy, renew = budget.policy, budget.renew
    with_pictures = takes_pictures and budget.losses <= _PICTURES_ONCE_MORE
    context = _summary(conversation, policy) if renew else _context(conversation)
    return (
        *(context if with_pictures else map(_in_words, context)),
        ResendCaller(policy.kept_audio_ms),
        *((RequestResponse(),) if conversation.owes_answer else ()),
    )


def rollover_due(age_ms: int, limit_ms: int, *, quiet: bool) -> bool:
    """Return whether a session should be rolled over now.

    Args:
        age_ms: of the session.
        limit_ms: its longest life (60 minutes on GA; ``expires_at`` less the time of creation).
        quiet: nobody speaks, nothing is left to play, no response or tool is under way.

    Returns:
        True at a quiet moment of the last 5 minutes (or the last fifth of a short life), and in any
        moment of the last 20 seconds (or twentieth): a heard gap is better than a lost session.
    """
    left_ms = limit_ms - age_ms
    if left_ms <= last_moment_ms(limit_ms):
        return True
    return quiet and left_ms <= min(300_000, limit_ms // 5)


def last_moment_ms(limit_ms: int) -> int:
    """Return how long before its end a session is rolled over at any moment, quiet or not."""
    return min(20_000, limit_ms // 20)


def _over(failure: Failure, budget: Budget, left_ms: int) -> GiveUpReason | None:
    match failure.cure:
        case Cure.GIVE_UP:
            return GiveUpReason.REFUSED
        case Cure.RECONNECT | Cure.RENEW | Cure.RETRY_RESPONSE:
            if budget.losses >= budget.policy.max_failures:
                return GiveUpReason.TOO_MANY
            return GiveUpReason.TOO_LONG if left_ms <= budget.policy.last_attempt_ms else None
        case Cure.NOTHING:
            return None
        case _:
            assert_never(failure.cure)


def _too_old(expires_ns: int | None, at_ns: int, policy: RecoveryPolicy) -> bool:
    return expires_ns is not None and expires_ns - at_ns < policy.token_margin_ms * NS_PER_MS


def _context(conversation: ConversationLog) -> tuple[Step, ...]:
    items = conversation.items()
    return (RestoreContext((_note(RESUMED), *items)),) if items else ()


def _summary(conversation: ConversationLog, policy: RecoveryPolicy) -> tuple[Step, ...]:
    text, unanswered = conversation.summary(policy.summary_chars), conversation.unanswered
    running = tuple(call for call in conversation.running_calls if call not in unanswered)
    if not text and not unanswered:
        return ()
    return (SummariseContext(text, conversation.shown, running, unanswered),)


def _in_words(step: Step) -> Step:
    """Return a step that gives no pictures; a summary has words for those that it shows."""
    match step:
        case RestoreContext():
            return RestoreContext(tuple(map(in_words, step.items)))
        case SummariseContext():
            return replace(step, shown=(), unanswered=tuple(map(in_words, step.unanswered)))
        case _:
            return step


def _note(text: str) -> Message:
    return Message(Role.SYSTEM, (ContentPart(PartKind.INPUT_TEXT, text),))
