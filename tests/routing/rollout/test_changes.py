"""What a person, or a verdict, may change of a rollout."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge.config.rollouts import HoursSettings, OverrideSettings, RolloutSettings
from bridge.errors import ConfigError
from bridge.routing.rollout import changes
from bridge.routing.rollout.bounds import Rate
from bridge.routing.rollout.decision import CallFacts, decide
from bridge.routing.rollout.evidence import HarmEvidence
from bridge.routing.rollout.flag import MatchBy, Override
from bridge.routing.rollout.state import Halt, RolloutState, flag_of
from bridge.routing.rollout.verdict import Action, Judgement, Verdict

PLAN = RolloutSettings(control="old", treatment="new", gates=(50.0,), cool_down_s=1800)
NOW_MS = 1_800_000_000_000
HURT = HarmEvidence((1.0,) * 6, 3, 0)
AT_5 = RolloutState(version=7, share=50, step_ms=NOW_MS - 900_000, evidence=HURT)


def follow(
    action: Action,
    state: RolloutState = AT_5,
    plan: RolloutSettings = PLAN,
    now_ms: int = NOW_MS,
) -> RolloutState | None:
    judgement = Judgement(Verdict.FAILED, action, ("why",), 1.0, Rate(0, 0), Rate(0, 0))
    return changes.follow(state, plan, judgement, now_ms)


def followed(action: Action, state: RolloutState = AT_5) -> RolloutState:
    after = follow(action, state)
    assert after is not None
    return after


def test_a_state_is_read_as_it_was_written() -> None:
    state = replace(
        AT_5,
        stopped=frozenset({"new"}),
        halt=Halt.CLOSED,
        evidence=HURT,
        ai_off=True,
        caps={"new": 3, "old": None},
        overrides={"caller:+1555*": "new", "trunk:north": None},
    )
    assert RolloutState.from_fields(state.to_fields()) == state


@pytest.mark.parametrize("fields", [{"share": "many"}, {"share": "2000"}, {"halt": '"x"'}])
def test_a_state_that_another_wrote_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        RolloutState.from_fields(fields)


def test_a_promotion_takes_the_next_step_and_keeps_the_evidence() -> None:
    after = followed(Action.PROMOTE)
    assert (after.percent, after.step_ms, after.evidence) == (25.0, NOW_MS, HURT)


def test_a_gate_is_a_persons() -> None:
    assert follow(Action.PROMOTE, replace(AT_5, share=250)) is None
    assert "person" in str(changes.why_held(replace(AT_5, share=250), PLAN, NOW_MS))
    assert changes.set_share(replace(AT_5, share=250), 50, NOW_MS).percent == 50


@pytest.mark.parametrize(
    "state",
    [
        replace(AT_5, paused=True),
        replace(AT_5, ai_off=True),
        replace(AT_5, share=0),
        replace(AT_5, share=1000),
        replace(AT_5, halt=Halt.CLOSED),
    ],
)
def test_no_step_is_taken_where_one_is_held(state: RolloutState) -> None:
    assert follow(Action.PROMOTE, state) is None
    assert changes.why_held(state, PLAN, NOW_MS) is not None


def test_steps_keep_to_their_hours_until_25_percent() -> None:
    plan = RolloutSettings(
        control="old", treatment="new", hours=HoursSettings(timezone="Europe/Berlin")
    )
    monday = int(datetime(2026, 11, 23, 9, 30, tzinfo=UTC).timestamp() * 1000)
    evening, sunday = monday + 8 * 3_600_000, monday - 24 * 3_600_000
    assert follow(Action.PROMOTE, AT_5, plan, monday) is not None
    assert follow(Action.PROMOTE, AT_5, plan, evening) is None  # 18:30 in Berlin
    assert follow(Action.PROMOTE, AT_5, plan, sunday) is None
    assert follow(Action.PROMOTE, replace(AT_5, share=250), plan, sunday) is not None


def test_a_rollback_gives_everything_to_the_old_arm_and_wants_a_person() -> None:
    after = followed(Action.ROLL_BACK)
    assert (after.share, after.halt) == (0, Halt.ROLLED_BACK)
    with pytest.raises(ConfigError, match="rolled back"):
        changes.set_share(after, 1, NOW_MS)
    with pytest.raises(ConfigError, match="rolled back"):
        changes.resume(after, PLAN, NOW_MS)


def test_rearming_waits_for_the_cool_down_and_forgets_the_evidence() -> None:
    after = replace(followed(Action.ROLL_BACK), version=8)
    with pytest.raises(ConfigError, match="cool-down"):
        changes.rearm(after, PLAN, NOW_MS + 1_799_000)
    armed = changes.rearm(after, PLAN, NOW_MS + 1_801_000)
    assert (armed.halt, armed.evidence, armed.trial) == (Halt.NONE, HarmEvidence(), 9)
    assert changes.rearm(after, PLAN, NOW_MS, force=True).halt is Halt.NONE
    with pytest.raises(ConfigError, match="nothing is halted"):
        changes.rearm(AT_5, PLAN, NOW_MS)


def test_an_arm_that_is_closed_goes_on_at_its_share() -> None:
    closed = followed(Action.PAUSE)
    assert (closed.share, closed.stopped, closed.halt) == (50, frozenset({"new"}), Halt.CLOSED)
    resumed = changes.resume(closed, PLAN, NOW_MS)
    assert (resumed.share, resumed.stopped, resumed.halt) == (50, frozenset(), Halt.NONE)


def test_an_arm_that_refuses_for_good_is_stopped_even_when_it_was_closed() -> None:
    stopped = followed(Action.STOP, followed(Action.PAUSE))
    assert (stopped.share, stopped.stopped, stopped.halt) == (0, frozenset({"new"}), Halt.STOPPED)
    assert follow(Action.STOP, stopped) is None
    with pytest.raises(ConfigError, match="stopped"):
        changes.switch_arm(stopped, PLAN, "new", on=True)


def test_an_incident_holds_the_rollout_and_may_switch_the_ai_off() -> None:
    held = followed(Action.RAISE_INCIDENT)
    assert (held.paused, held.ai_off, held.share) == (True, False, 50)
    plan = PLAN.model_copy(update={"on_incident": "ai_off"})
    off = follow(Action.RAISE_INCIDENT, AT_5, plan)
    assert off is not None
    assert off.ai_off
    assert follow(Action.RAISE_INCIDENT, off, plan) is None


def test_a_step_without_calls_goes_back() -> None:
    assert followed(Action.STEP_BACK).percent == 1.0
    assert followed(Action.STEP_BACK, replace(AT_5, share=10)).percent == 0.0


@pytest.mark.parametrize("percent", [-1.0, 100.5, 0.05])
def test_a_share_that_is_none_is_refused(percent: float) -> None:
    with pytest.raises(ConfigError, match="share"):
        changes.set_share(AT_5, percent, NOW_MS)


def test_the_flag_has_both_arms_weights_and_switches() -> None:
    flag = flag_of("f", PLAN, changes.switch_arm(AT_5, PLAN, "new", on=False))
    assert dict(flag.weights) == {"old": 950, "new": 50}
    assert flag.stopped == {"new"}
    with pytest.raises(ConfigError, match="no arm"):
        changes.switch_arm(AT_5, PLAN, "other", on=False)


CAPPED = PLAN.model_copy(
    update={
        "caps": {"new": 10, "old": 50},
        "overrides": (
            OverrideSettings(by="caller", patterns=("+1 555 01*",), arm="new"),
            OverrideSettings(by="trunk", patterns=("north",), arm="new"),
        ),
    }
)
TESTERS = Override(MatchBy.CALLER, "+1-555-01*", None)


def test_caps_are_set_and_lifted_over_the_settings_and_given_back_to_them() -> None:
    state = changes.set_cap(AT_5, CAPPED, "new", 20)
    assert flag_of("f", CAPPED, state).caps == {"new": 20, "old": 50}
    state = changes.set_cap(state, CAPPED, "old", None)
    assert flag_of("f", CAPPED, state).caps == {"new": 20}
    for arm in CAPPED.arms:
        state = changes.reset_cap(state, CAPPED, arm)
    assert flag_of("f", CAPPED, state).caps == CAPPED.caps
    assert flag_of("f", CAPPED, replace(state, caps={"dropped": 1})).caps == CAPPED.caps


def test_overrides_are_set_and_lifted_over_the_settings_and_given_back_to_them() -> None:
    def arm_of(state: RolloutState) -> str | None:
        return decide(
            flag_of("f", CAPPED, state), CallFacts(key="k", caller="+15550199", trunk="north")
        ).arm

    held = changes.set_override(AT_5, CAPPED, TESTERS, "old")
    assert arm_of(held) == "old"
    lifted = changes.set_override(held, CAPPED, TESTERS, None)
    assert arm_of(lifted) == "new", "by its trunk"
    north = Override(MatchBy.TRUNK, "north", None)
    assert arm_of(changes.set_override(lifted, CAPPED, north, None)) == "old", "drawn"
    assert arm_of(changes.reset_override(held, TESTERS)) == "new", "by the settings"
    one = Override(MatchBy.CALLER, "+15550199", None)
    assert arm_of(changes.set_override(held, CAPPED, one, "new")) == "new", "the latest first"


def test_a_misspelt_arm_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match="did you mean 'new'"):
        changes.set_cap(AT_5, CAPPED, "nev", 1)
    with pytest.raises(ConfigError, match="did you mean 'new'"):
        changes.set_override(AT_5, CAPPED, TESTERS, "nev")
    with pytest.raises(ConfigError, match="cap of -1"):
        changes.set_cap(AT_5, CAPPED, "new", -1)
