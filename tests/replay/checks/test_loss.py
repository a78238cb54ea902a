"""What a call on a lossy line is worth: 5% of lost packets are borne, 20% leave no verdict."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from bridge.replay.call.timeline import CallLog, Deed, Doing
from bridge.replay.checks.run import RunJudgement, judge_run
from bridge.replay.evidence.evidence import CallerEvidence, Evidence
from bridge.replay.results.call import CallOutcome
from bridge.replay.results.run import RunVerdict
from bridge.replay.script import CallScript
from bridge.softphone.ear import HeardUtterance
from bridge.speech.recognition import HeardPiece
from bridge.store.local import start_local_redis
from tests.conftest import show
from tests.support.replaying import Played, arms_of, play

LIBRARY = Path(__file__).parents[3] / "call_scripts"
RUNS = 10


def judged(loss_pct: dict[str, float], expected: str = "Thursday", **end: float) -> RunJudgement:
    """Judge a call whose agent says "It arrives on Thursday." over a line that loses packets."""
    script = CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "lossy",
            "hears": ["It arrives on Thursday."],
            "caller": [{"say": "where", "expect": {"text_contains": expected}}],
            "end": {"by": "anyone", **end},
        }
    )
    said = Deed(0, Doing.SAY, "where", 500, 1200)
    piece = HeardPiece("It arrives on Thursday.", 2000, 4000)
    log = CallLog([said], [HeardUtterance(2000, 4000)], [piece], True, 9000, False)
    caller = CallerEvidence(CallOutcome.ANSWERED, 200, "id@test", log=log, loss_pct=loss_pct)
    return judge_run(script, Evidence("run", "ga", "ga", caller))


@pytest.mark.parametrize("way", ["to_bridge", "to_caller"])
def test_a_call_that_went_well_though_a_fifth_was_lost_is_inconclusive(way: str) -> None:
    judgement = judged({"to_bridge": 1.0, "to_caller": 2.0} | {way: 20.4})
    assert judgement.verdict is RunVerdict.INCONCLUSIVE
    assert f"20.4% were lost on the way {way.replace('_', ' the ')}" in judgement.reason
    assert "at most 10% of the packets to be lost" in judgement.reason


@pytest.mark.parametrize("loss_pct", [{}, {"to_bridge": 5.3, "to_caller": 10.0}])
def test_a_call_on_which_little_was_lost_is_judged(loss_pct: dict[str, float]) -> None:
    judgement = judged(loss_pct)
    assert judgement.verdict is RunVerdict.PASS
    assert "loss_up_to_pct" not in {check.kind for check in judgement.checks}


def test_a_script_that_expects_such_a_line_is_judged_on_it() -> None:
    assert judged({"to_caller": 20.4}, loss_up_to_pct=25).verdict is RunVerdict.PASS
    assert judged({"to_caller": 2.4}, loss_up_to_pct=1).verdict is RunVerdict.INCONCLUSIVE


def test_what_broke_on_such_a_line_fails_and_says_what_was_lost() -> None:
    judgement = judged({"to_caller": 20.4}, "Friday")
    assert judgement.verdict is RunVerdict.FAIL
    assert judgement.reason.startswith('step 1 at 2.0 s: expected the agent to say "Friday"')
    assert judgement.reason.endswith("20.4% were lost on the way to the caller")


def write_lossy(directory: Path, loss_pct: float, seed: int) -> Path:
    """Write the library's script of packet loss with another loss and seed; return its path."""
    script = yaml.safe_load((LIBRARY / "packet-loss.yaml").read_text(encoding="utf-8"))
    name = f"loss-{loss_pct:g}-{seed}"
    script |= {"id": name, "network": {"seed": seed, "loss_pct": loss_pct}}
    script["realtime"] = {"scenario": str(LIBRARY / "scenarios" / "shop.yaml")}
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(script, sort_keys=False), encoding="utf-8")
    return path


async def play_lossy(
    directory: Path, redis_url: str, losses: dict[float, int], jobs: int
) -> Played:
    """Play calls, each with a seed of its own; ``losses``: how many at each loss."""
    (directory / "dialplans").symlink_to(LIBRARY / "dialplans")
    paths = [
        write_lossy(directory, loss_pct, seed)
        for loss_pct, count in losses.items()
        for seed in range(1, count + 1)
    ]
    return await play(directory, paths, arms_of("ga"), redis_url, jobs=jobs)


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_numbers_are_right_at_five_percent_and_nothing_is_claimed_at_twenty(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with start_local_redis() as redis:
        played = await play_lossy(tmp_path, redis.url, {5: RUNS, 20: RUNS}, 3)
    found: dict[str, Counter[RunVerdict]] = {"5": Counter(), "20": Counter()}
    for run in played.results.runs:
        found[run.script.split("-")[1]][run.verdict] += 1
    rows = [
        f"{loss:>2}%: " + ", ".join(f"{count} {verdict.value}" for verdict, count in of.items())
        for loss, of in found.items()
    ]
    rows += [f"{run.script}: {run.reason}" for run in played.results.runs if run.reason]
    show(request.config, "packet loss: verdicts of 10 calls each", rows)
    assert found["5"][RunVerdict.PASS] >= 0.9 * RUNS
    assert found["20"][RunVerdict.PASS] == found["20"][RunVerdict.INFRASTRUCTURE] == 0
    assert all("were lost" in run.reason for run in played.results.runs if "-20-" in run.script)
