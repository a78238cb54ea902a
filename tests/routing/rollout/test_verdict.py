"""The automatic decision, by rule and by simulated rollouts (`NEEDS.md` section 4)."""

from collections.abc import Iterator
from statistics import median

import numpy as np
import pytest

from bridge.routing.rollout.bounds import LatencyDifference
from bridge.routing.rollout.evidence import HarmEvidence
from bridge.routing.rollout.verdict import (
    Action,
    Badness,
    Guards,
    Judgement,
    SampledCall,
    Trial,
    Verdict,
    judge,
)

BAD = frozenset({Badness.CONNECTION})
RAMP = (0.01, 0.05, 0.25, 0.5)
ROLLOUTS = 400


def fed(*calls: SampledCall, guards: Guards | None = None) -> Trial:
    trial = Trial(guards or Guards())
    for call in calls:
        trial = trial.after(call)
    return trial


def good(*, treatment: bool, count: int = 1) -> tuple[SampledCall, ...]:
    return (SampledCall(treatment, 0.5),) * count


def test_a_permanent_refusal_stops_the_arm_after_one_call() -> None:
    judgement = judge(fed(SampledCall(True, 0.01, BAD, connected=False, permanent=True)), 10)
    assert (judgement.verdict, judgement.action) == (Verdict.FAILED, Action.STOP)


def test_a_test_call_that_is_refused_for_good_stops_the_arm_too() -> None:
    call = SampledCall(True, None, BAD, connected=False, permanent=True)
    assert judge(fed(call), 10).action is Action.STOP


def test_three_setup_failures_in_a_row_pause_and_two_do_not() -> None:
    failed = SampledCall(True, None, BAD, connected=False)
    assert judge(fed(failed, failed), 10).action is Action.NONE
    assert judge(fed(failed, failed, *good(treatment=True), failed), 10).action is Action.NONE
    assert judge(fed(failed, failed, failed), 10).action is Action.PAUSE


def test_both_arms_down_is_an_incident_and_no_rollback() -> None:
    pairs = [
        SampledCall(arm, 0.5, BAD, connected=False) for _ in range(20) for arm in (False, True)
    ]
    judgement = judge(fed(*pairs), 10)
    assert judgement.action is Action.RAISE_INCIDENT


def test_slow_turns_roll_back_only_when_beyond_chance() -> None:
    trial = fed(*good(treatment=True, count=30), *good(treatment=False, count=30))
    slow = LatencyDifference(600, 300, 900, 1000)
    unsure = LatencyDifference(600, -50, 1200, 1000)
    small = LatencyDifference(100, 50, 150, 1000)
    assert judge(trial, 10, latency=slow).action is Action.ROLL_BACK
    assert judge(trial, 10, latency=unsure).action is Action.NONE
    assert judge(trial, 10, latency=small).action is Action.NONE


def test_promotion_needs_time_calls_and_both_bounds() -> None:
    enough = fed(*good(treatment=True, count=400), *good(treatment=False, count=400))
    assert judge(enough, 601).action is Action.PROMOTE
    assert judge(enough, 599).verdict is Verdict.INCONCLUSIVE
    few = fed(*good(treatment=True, count=60), *good(treatment=False, count=400))
    judgement = judge(few, 601)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "133 good calls" in " ".join(judgement.reasons)


def test_no_calls_are_never_success() -> None:
    assert judge(Trial(), 60).verdict is Verdict.NO_DATA
    assert judge(Trial(), 60).action is Action.NONE
    assert judge(Trial(), 1801).action is Action.STEP_BACK


def test_a_call_that_was_not_drawn_is_no_evidence() -> None:
    trial = fed(*(SampledCall(True, None, BAD) for _ in range(50)))
    assert trial.evidence == HarmEvidence()
    assert trial.treatment.calls == 0


def test_a_share_of_all_or_nothing_is_no_draw() -> None:
    with pytest.raises(ValueError, match="share"):
        HarmEvidence().bad_call(in_treatment=True, share=1.0)


def rollout(
    seed: int, ratio: float, *, outages: bool, calls: int = 3000, dead: bool = False
) -> tuple[Judgement | None, int]:
    """Run one rollout; return what ended it, if anything did, and the treatment's calls so far."""
    rng = np.random.default_rng(seed)
    trial, treated = Trial(), 0
    step = calls // len(RAMP)
    for index, (share, draw, luck) in enumerate(_draws(rng, calls, step)):
        in_treatment = bool(draw < share)
        treated += in_treatment
        rate = 0.01
        if outages and index % 1000 < 30:
            rate = 0.6
        if in_treatment:
            rate = 1.0 if dead else min(rate * ratio, 1.0)
        failed = bool(luck < rate)
        # Half of the bad calls are left without a session.
        connected = not failed or (not dead and luck < rate / 2)
        bad = BAD if failed else frozenset()
        trial = trial.after(SampledCall(in_treatment, share, bad, connected))
        if failed:
            judgement = judge(trial, 0.0)
            if judgement.action in (Action.ROLL_BACK, Action.PAUSE, Action.STOP):
                return judgement, treated
    return None, treated


def _draws(rng: np.random.Generator, calls: int, step: int) -> Iterator[tuple[float, float, float]]:
    draws, luck = rng.random(calls), rng.random(calls)
    for index in range(calls):
        yield RAMP[min(index // step, len(RAMP) - 1)], draws[index], luck[index]


@pytest.mark.slow
@pytest.mark.parametrize("outages", [False, True])
def test_healthy_arms_are_rolled_back_in_at_most_one_rollout_of_a_hundred(outages: bool) -> None:
    ended = [rollout(seed, 1.0, outages=outages)[0] for seed in range(ROLLOUTS)]
    rolled_back = sum(1 for each in ended if each and each.action is Action.ROLL_BACK)
    assert rolled_back <= ROLLOUTS // 100


@pytest.mark.slow
def test_an_arm_three_times_worse_is_caught_within_500_of_its_calls() -> None:
    caught = [rollout(seed, 3.0, outages=False, calls=12_000) for seed in range(60)]
    treated = [calls for judgement, calls in caught if judgement is not None]
    assert len(treated) >= 57
    assert median(treated) <= 500


def test_a_dead_arm_is_stopped_within_three_of_its_calls() -> None:
    for seed in range(50):
        judgement, treated = rollout(seed, 1.0, outages=False, dead=True)
        assert judgement is not None
        assert treated <= 3
