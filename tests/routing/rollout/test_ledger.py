"""What calls say of their arms, added up."""

import random

import pytest

from bridge.config.rollouts import RolloutSettings
from bridge.routing.rollout.evidence import HarmEvidence
from bridge.routing.rollout.ledger import Ledger
from bridge.routing.rollout.observed import CallEntry, Loss, Observed
from bridge.routing.rollout.signed_arm import checked_arm, sign_arm
from bridge.routing.rollout.state import Halt, RolloutState
from bridge.routing.rollout.verdict import NOT_SEEN, Action, Badness, Verdict

PLAN = RolloutSettings(control="old", treatment="new")
CONNECTION = frozenset({Badness.CONNECTION})
DEAD = Loss("http_503", "connection", "provider")


def entry(number: int, arm: str, *, good: bool = True, **more: object) -> CallEntry:
    fields: dict[str, object] = {
        "call_id": f"c{number}",
        "arm": arm,
        "share": 0.5,
        "version": 3,
        "at_s": float(number),
        "bad": frozenset() if good else CONNECTION,
        "connected": good,
        "caller": f"caller{number}",
        "code": "" if good else "http_503",
        **more,
    }
    return CallEntry(**fields)  # type: ignore[arg-type]  # fields of several types


@pytest.mark.parametrize(
    ("seen", "bad"),
    [
        (Observed(), set()),
        (Observed(losses=(DEAD,), set_up=False), {Badness.CONNECTION}),
        (Observed(losses=(Loss("cancelled", "connection", "caller"),)), set()),
        (Observed(losses=(Loss("broken_order", "protocol", "provider"),)), {Badness.PROTOCOL}),
        (Observed(losses=(Loss("tool_failed", "tool", "tool"),)), set()),
        (Observed(silent=True), {Badness.PROTOCOL}),
        (Observed(silent=True, answered=False), set()),
        (Observed(odd=True), {Badness.PROTOCOL}),
        (Observed(greeting_ms=2_600), {Badness.TIMING}),
        (Observed(turns_ms=(900, 3_100)), {Badness.TIMING}),
        (Observed(cut_offs=2), set()),
        (Observed(cut_offs=3), {Badness.TIMING}),
        (Observed(silence_ms=5_100), {Badness.TIMING}),
        (Observed(handoff_failed=True), {Badness.HANDOFF}),
        (Observed(greeting_ms=2_400, turns_ms=(2_900,), silence_ms=4_900), set()),
    ],
)
def test_only_what_the_arm_did_makes_a_call_bad(seen: Observed, bad: set[Badness]) -> None:
    assert seen.badness(PLAN) == bad


def test_a_caller_who_hung_up_before_a_session_says_nothing() -> None:
    assert not Observed(set_up=False, answered=False).says_something
    assert Observed(losses=(DEAD,), set_up=False).says_something


def test_an_entry_is_read_as_it_was_written() -> None:
    call = entry(1, "new", good=False, turns_ms=(1, 2), rescued_by="old", share=None, digest="d")
    assert CallEntry.from_fields(call.to_fields()) == call
    older = {key: value for key, value in call.to_fields().items() if key != "digest"}
    assert CallEntry.from_fields(older).digest == ""


NOW = {"old": "o2", "new": "n2"}


def test_what_an_arm_did_with_other_settings_says_nothing_of_it() -> None:
    ledger = Ledger(PLAN, RolloutState(), NOW)
    for number, (arm, digest) in enumerate(
        [("new", "n1"), ("old", "o1"), ("new", "n2"), ("old", "o2"), ("new", "")]
    ):
        ledger.take(entry(number, arm, good=False, digest=digest))
    judgement = ledger.judge(10.0)
    assert (judgement.treatment.calls, judgement.control.calls) == (2, 1)


@pytest.mark.parametrize(
    ("known", "kept"),
    [({}, True), (NOW, True), ({"old": "o2", "new": "n1"}, False), ({"old": "o1"}, False)],
)
def test_evidence_of_an_arm_with_other_settings_is_left(known: dict[str, str], kept: bool) -> None:
    evidence = HarmEvidence().bad_call(in_treatment=True, share=0.5)
    state = RolloutState(evidence=evidence, arms=known)
    assert Ledger(PLAN, state, NOW).trial.evidence == (evidence if kept else HarmEvidence())
    assert RolloutState.from_fields(state.to_fields()) == state


def test_a_callers_bad_calls_count_once_an_hour() -> None:
    ledger = Ledger(PLAN, RolloutState())
    for at_s in (0.0, 10.0, 3_500.0, 3_700.0):
        ledger.take(entry(1, "new", good=False, at_s=at_s))
    ledger.take(entry(2, "new", good=False, caller="", at_s=1.0))
    ledger.take(entry(3, "new", good=False, caller="", at_s=2.0))
    assert ledger.trial.treatment.bad == 4


def test_calls_of_an_earlier_trial_do_not_count() -> None:
    ledger = Ledger(PLAN, RolloutState(trial=4))
    ledger.take(entry(1, "new", good=False))
    ledger.take(entry(2, "new", version=4))
    assert (ledger.trial.treatment.bad, ledger.trial.treatment.calls) == (0, 1)


def test_both_arms_down_from_the_first_call_on_is_an_incident_and_no_stop() -> None:
    ledger = Ledger(PLAN, RolloutState())
    for number in range(3):
        ledger.take(entry(number, "old", good=False))
    ledger.take(entry(3, "new", good=False, permanent=True))
    judgement = ledger.judge(4.0)
    assert judgement.action is Action.RAISE_INCIDENT
    assert judgement.verdict is Verdict.DEGRADED


def test_the_old_arm_failing_while_the_new_one_is_stopped_is_an_incident() -> None:
    ledger = Ledger(PLAN, RolloutState(halt=Halt.STOPPED))
    assert ledger.judge(0.0).action is Action.STOP
    for number in range(3):
        ledger.take(entry(number, "old", good=False, share=0.0))
    assert ledger.judge(4.0).action is Action.RAISE_INCIDENT


def test_slow_turns_are_compared_when_there_are_enough_and_then_seldom() -> None:
    ledger, rng = Ledger(PLAN, RolloutState()), random.Random(1)
    looks = 0
    for number in range(200):
        slow = 900 if number % 2 else 0
        turns = tuple(int(rng.gauss(1000 + slow, 100)) for _ in range(3))
        ledger.take(entry(number, "new" if slow else "old", turns_ms=turns))
        if ledger.wants_comparison:
            ledger.compare()
            looks += 1
    assert looks <= 8
    assert ledger.judge(200.0).action is Action.ROLL_BACK
    figures = ledger.figures(ledger.judge(200.0))
    assert figures["verdict"] == "failed"
    assert ledger.latency is not None
    assert ledger.latency.difference_ms == pytest.approx(900, abs=150)


def test_the_evidence_names_the_most_frequent_reasons() -> None:
    ledger = Ledger(PLAN, RolloutState())
    for number in range(3):
        ledger.take(entry(number, "new", good=False, rescued_by="old"))
    ledger.take(entry(4, "old"))
    figures = ledger.figures(ledger.judge(5.0))
    assert figures["reasons"] == [{"arm": "new", "code": "http_503", "calls": 3}]
    assert figures["treatment"] == {"bad": 3, "calls": 3}
    assert figures["rescued"] == 3


def test_a_signed_header_is_good_for_its_flag_its_arm_and_its_time() -> None:
    value = sign_arm(b"key", "f", "new", 1000)
    assert checked_arm(b"key", "f", value, 999) == "new"
    assert checked_arm(b"key", "f", value, 1001) is None
    assert checked_arm(b"key", "g", value, 999) is None
    assert checked_arm(b"other", "f", value, 999) is None
    assert checked_arm(b"key", "f", value.replace("new", "old"), 999) is None
    assert checked_arm(b"key", "f", value.replace("1000", "2000"), 999) is None
    assert checked_arm(b"key", "f", "new", 999) is None


def test_arms_of_which_one_is_by_sip_are_compared_by_what_is_seen_of_both() -> None:
    ledger = Ledger(PLAN, RolloutState(), sip_arms=frozenset({PLAN.control}))
    whole = Ledger(PLAN, RolloutState())
    for number in range(40):
        bad = frozenset({Badness.TIMING, Badness.PROTOCOL, Badness.HANDOFF})
        for arm, kinds in ((PLAN.treatment, bad), (PLAN.control, frozenset[Badness]())):
            entry = CallEntry(f"c{arm}{number}", arm, 0.5, 0, float(number), bad=kinds)
            ledger.take(entry)
            whole.take(entry)
    assert whole.judge(100).action is Action.ROLL_BACK
    judged = ledger.judge(100)
    assert (judged.action, ledger.trial.evidence.bad_treatment) == (Action.NONE, 0)
    assert judged.treatment.bad == 40  # its own limit knows them all
    assert judged.reasons[-1] == f"not seen of {PLAN.control}: {NOT_SEEN}"
    assert ledger.figures(judged)["not_seen"] == {PLAN.control: NOT_SEEN}
    assert whole.figures(whole.judge(100))["not_seen"] == {}


def test_refused_connections_of_an_arm_by_sip_convict_it() -> None:
    ledger = Ledger(PLAN, RolloutState(), sip_arms=frozenset({PLAN.treatment}))
    for number in range(40):
        bad = frozenset({Badness.CONNECTION}) if number % 2 else frozenset[Badness]()
        for arm, kinds in ((PLAN.treatment, bad), (PLAN.control, frozenset[Badness]())):
            ledger.take(CallEntry(f"c{arm}{number}", arm, 0.5, 0, float(number), bad=kinds))
    assert ledger.judge(100).action is Action.ROLL_BACK
