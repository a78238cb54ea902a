"""Watches the arm that a flag dealt a call to, until the call leaves it or ends.

It reports once, and nothing where this process itself failed the call (:attr:`Layer.HOST`). What
another arm does for the call after a rescue says nothing of the first.
"""

from collections.abc import Callable

from bridge.clock import NS_PER_S
from bridge.live.records.summary import CallSummary
from bridge.live.services import Dealt
from bridge.realtime.failures import Failure, Layer
from bridge.routing.rollout.observed import CallEntry, Loss, Observed

_SILENT_AFTER_MS = 5_000
"""A call in which the caller has heard nothing for so long is a silent one (`NEEDS.md` section
3)."""


class ArmWatch:
    """Watches one call's arm.

    Args:
        dealt: what the flag decided; None where there is none, and nothing is reported.
        greets: the agent speaks first, with nothing before it.
        wall_ns: wall time.
    """

    def __init__(
        self, dealt: Dealt | None, call_id: str, *, greets: bool, wall_ns: Callable[[], int]
    ) -> None:
        self._dealt = dealt
        self._call_id = call_id
        self._greets = greets
        self._wall_ns = wall_ns
        self._losses: list[Loss] = []
        self._set_up = self._connected = False
        self._heard = self._odd = self._handoff_failed = self._reported = self._disturbed = False
        self._cut_offs = 0

    def session_ready(self) -> None:
        """Note that the arm gave a session, the first one or one that makes good for a lost one."""
        self._set_up = self._set_up or not self._reported
        self._connected = True

    def lost(self, failure: Failure) -> None:
        """Note that a session was lost, or not to be had."""
        if failure.layer is Layer.HOST:
            self._disturbed = True
            return
        self._connected = False
        self._losses.append(
            Loss(failure.code, failure.layer.value, failure.fault.value, failure.permanent)
        )

    def heard(self) -> None:
        """Note that the agent of an arm that is a SIP URI was heard."""
        self._heard = True

    def odd(self) -> None:
        """Note what is no event of the dialect."""
        self._odd = True

    def cut_off(self) -> None:
        """Note that the agent took a pause of the caller's for the end of their turn."""
        self._cut_offs += 1

    def handoff_failed(self) -> None:
        """Note that a person was not reached."""
        self._handoff_failed = True

    def report(self, summary: CallSummary, *, talk_ms: int | None, rescued_by: str = "") -> None:
        """Report how the arm did, unless that was reported before.

        Args:
            summary: of the call up to now.
            talk_ms: since our answer; None for a call that was not answered.
        """
        if self._dealt is None or self._reported:
            return
        self._reported = True
        if self._disturbed:
            return
        turns_ms = tuple(
            round(turn.response_ms) for turn in summary.latency if turn.response_ms is not None
        )
        heard = self._heard or summary.greeting_ms is not None or bool(summary.latency)
        seen = Observed(
            losses=tuple(self._losses),
            set_up=self._set_up,
            connected=self._connected,
            answered=talk_ms is not None,
            silent=self._greets and not heard and (talk_ms or 0) >= _SILENT_AFTER_MS,
            odd=self._odd,
            greeting_ms=None if summary.greeting_ms is None else round(summary.greeting_ms),
            turns_ms=turns_ms,
            silence_ms=summary.longest_silence_ms or 0,
            cut_offs=self._cut_offs,
            handoff_failed=self._handoff_failed,
        )
        if seen.says_something and self._dealt.decision.arm is not None:
            self._dealt.ended(self._entry(self._dealt, self._dealt.decision.arm, seen, rescued_by))

    def _entry(self, dealt: Dealt, arm: str, seen: Observed, rescued_by: str) -> CallEntry:
        decision = dealt.decision
        return CallEntry(
            call_id=self._call_id,
            arm=arm,
            share=dealt.share,
            version=decision.version,
            at_s=self._wall_ns() / NS_PER_S,
            bad=seen.badness(dealt.plan),
            connected=seen.connected,
            permanent=seen.permanent,
            turns_ms=seen.turns_ms,
            caller=dealt.caller,
            code=seen.losses[0].code if seen.losses else "",
            rescued_by=rescued_by,
            digest=dealt.digest,
        )
