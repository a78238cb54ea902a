"""One decision per call, in a fixed order, and never an exception."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from bridge.errors import ConfigError
from bridge.routing.rollout.decision import CallFacts, Reason, decide
from bridge.routing.rollout.flag import Flag, MatchBy, Override

FLAG = Flag("voice", {"old": 900, "new": 100}, control="old", version=7)
ALL_NEW = replace(FLAG, weights={"old": 0, "new": 1000})
CALL = CallFacts("key", caller="+4930123", called="+15550100", route="support", trunk="a")


def test_the_ai_switch_is_first() -> None:
    flag = replace(FLAG, ai_off=True)
    decision = decide(flag, replace(CALL, test_arm="new"))
    assert (decision.arm, decision.reason) == (None, Reason.DISABLED)


def test_a_stopped_arm_gets_nobody_and_control_takes_its_draws() -> None:
    decision = decide(replace(ALL_NEW, stopped=frozenset({"new"})), CALL)
    assert (decision.arm, decision.reason, decision.randomised) == ("old", Reason.DEFAULT, False)


def test_a_test_header_wins_over_overrides_but_not_over_a_stopped_arm() -> None:
    flag = replace(FLAG, overrides=(Override(MatchBy.CALLER, "+4930*", "old"),))
    assert decide(flag, replace(CALL, test_arm="new")).arm == "new"
    stopped = replace(flag, stopped=frozenset({"new"}))
    assert decide(stopped, replace(CALL, test_arm="new")).arm == "old"


@pytest.mark.parametrize(
    ("by", "pattern"),
    [
        (MatchBy.CALLER, "+49 30*"),
        (MatchBy.ROUTE, "support"),
        (MatchBy.CALLED, "+1555 0100"),
        (MatchBy.TRUNK, "a"),
    ],
)
def test_each_kind_of_override_gives_its_arm_without_a_draw(by: MatchBy, pattern: str) -> None:
    decision = decide(replace(FLAG, overrides=(Override(by, pattern, "new"),)), CALL)
    assert (decision.arm, decision.reason) == ("new", Reason.TARGETING_MATCH)
    assert not decision.randomised


def test_the_most_particular_override_wins_whatever_its_place_in_the_list() -> None:
    flag = replace(
        FLAG,
        overrides=(Override(MatchBy.TRUNK, "a", "new"), Override(MatchBy.CALLER, "+4930*", None)),
    )
    assert decide(flag, CALL).arm == "old"


def test_an_arm_at_its_cap_gets_no_more_calls() -> None:
    flag = replace(ALL_NEW, caps={"new": 2})
    assert decide(flag, replace(CALL, active={"new": 1})).arm == "new"
    full = decide(flag, replace(CALL, active={"new": 2}))
    assert (full.arm, full.reason) == ("old", Reason.DEFAULT)


def test_with_every_arm_stopped_no_ai_takes_the_call() -> None:
    flag = replace(FLAG, stopped=frozenset({"old", "new"}))
    assert decide(flag, CALL).arm is None


def test_a_drawn_call_carries_the_shares_of_its_draw() -> None:
    decision = decide(FLAG, CALL)
    assert decision.reason is Reason.SPLIT
    assert decision.shares == {"old": 0.9, "new": 0.1}
    assert decision.version == 7
    assert decision.steps


def test_whatever_breaks_the_call_gets_the_control_arm() -> None:
    class Broken(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            raise RuntimeError("boom")

        def __iter__(self) -> Iterator[str]:
            raise RuntimeError("boom")

        def __len__(self) -> int:
            raise RuntimeError("boom")

    flag = replace(FLAG, caps={"new": 5})
    decision = decide(flag, replace(CALL, active=Broken()))
    assert (decision.arm, decision.reason) == ("old", Reason.ERROR)
    assert "boom" in decision.steps[0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"weights": {"old": 900, "new": 50}}, "add up to 950"),
        ({"weights": {"old": 1100, "new": -100}}, "add up to 1000"),
        ({"control": "older"}, "older"),
        ({"stopped": frozenset({"gone"})}, "gone"),
        ({"caps": {"new": -1}}, "negative"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        replace(FLAG, **change)  # type: ignore[arg-type]  # one of the fields, each of its type
