"""What a call tells of its arm: the hard gate goes by whether the arm's session was there."""

from collections.abc import Callable

from bridge.config.rollouts import RolloutSettings
from bridge.errors import UpstreamError
from bridge.live.records.arm_watch import ArmWatch
from bridge.live.records.summary import CallSummary
from bridge.live.services import Dealt
from bridge.realtime.failures import classify
from bridge.routing.rollout.decision import Decision, Reason
from bridge.routing.rollout.ledger import Ledger
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.state import RolloutState
from bridge.routing.rollout.verdict import Action

REFUSED = classify(UpstreamError("the service answers 503", code="http_503"))
DROPPED = classify(UpstreamError("the socket is gone", code="closed", close_code=1006))
GONE = classify(UpstreamError("the dialect is gone", code="beta_api_shape_disabled"))
OURS = classify(UpstreamError("no file can be opened", code="no_descriptors"))
PLAN = RolloutSettings(control="old", treatment="new")


def told(happens: Callable[[ArmWatch], None]) -> CallEntry:
    """Return what an answered call tells in which something happens."""
    [entry] = all_told(happens)
    return entry


def all_told(happens: Callable[[ArmWatch], None]) -> list[CallEntry]:
    entries: list[CallEntry] = []
    decision = Decision("f", "new", Reason.SPLIT, 1, {"old": 0.75, "new": 0.25})
    watch = ArmWatch(
        Dealt(decision, "", PLAN, entries.append), "c", greets=False, wall_ns=lambda: 0
    )
    happens(watch)
    watch.report(CallSummary("c", "test", "new", "ga", "+15550100"), talk_ms=700)
    return entries


def cut(watch: ArmWatch) -> None:
    watch.session_ready()
    watch.lost(DROPPED)


def cut_and_got_back(watch: ArmWatch) -> None:
    cut(watch)
    watch.session_ready()


def refused(watch: ArmWatch) -> None:
    watch.lost(REFUSED)


def action_after(*calls: Callable[[ArmWatch], None]) -> Action:
    ledger = Ledger(PLAN, RolloutState())
    for call in calls:
        ledger.take(told(call))
    return ledger.judge(0).action


def test_a_call_that_is_cut_in_the_talk_counts_with_those_that_never_had_a_session() -> None:
    assert action_after(refused, cut, refused) is Action.PAUSE
    assert action_after(cut, cut, cut) is Action.PAUSE


def test_a_session_that_was_got_back_shows_that_the_arm_is_there() -> None:
    assert told(cut_and_got_back).bad == told(cut).bad
    assert action_after(refused, cut_and_got_back, refused, cut) is Action.NONE


def test_an_arm_that_says_in_the_talk_that_it_is_gone_is_stopped_after_that_call() -> None:
    def switched_off(watch: ArmWatch) -> None:
        watch.session_ready()
        watch.lost(GONE)

    assert action_after(switched_off) is Action.STOP


def test_an_arm_is_not_judged_by_a_call_that_this_process_failed() -> None:
    assert all_told(lambda watch: watch.lost(OURS)) == []

    def lost_for_good(watch: ArmWatch) -> None:
        cut(watch)
        watch.lost(OURS)

    assert all_told(lost_for_good) == []
