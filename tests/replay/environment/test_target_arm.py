"""A running gateway's arm: which rollout has it, and how calls ask for it."""

import time

import pytest

from bridge.config.rollouts import RolloutSettings
from bridge.errors import ConfigError
from bridge.replay.environment.target_arm import ArmSigner, find_flag
from bridge.routing.rollout.signed_arm import HEADER, checked_arm

SECRET = b"0123456789abcdef"


def rollout(control: str, treatment: str) -> RolloutSettings:
    return RolloutSettings.model_validate({"control": control, "treatment": treatment})


def test_a_call_asks_for_its_arm_as_the_gateway_checks_it() -> None:
    (value,) = ArmSigner("f", SECRET).headers("new").values()
    assert checked_arm(SECRET, "f", value, time.time()) == "new"
    assert checked_arm(b"another secret..", "f", value, time.time()) is None
    assert list(ArmSigner("f", SECRET).headers("new")) == [HEADER]
    assert "0123" not in repr(ArmSigner("f", SECRET))


def test_the_rollout_is_found_by_its_arms() -> None:
    flags = {"f": rollout("old", "new"), "g": rollout("new", "next")}
    assert find_flag(flags, ["old", "new"], None) == "f"
    assert find_flag(flags, ["new"], "g") == "g"


@pytest.mark.parametrize(
    ("arms", "named", "told"),
    [
        (["old", "next"], None, "no rollout of the settings chooses among the arms old and next"),
        (["new"], None, "more rollouts than one have the arms new: f, g; name one with"),
        (["old"], "h", "there is no rollout 'h'; the settings have: f, g"),
        (["old"], "g", "no rollout of the settings chooses among the arms old"),
    ],
)
def test_arms_that_no_rollout_has_are_told(arms: list[str], named: str | None, told: str) -> None:
    flags = {"f": rollout("old", "new"), "g": rollout("new", "next")}
    with pytest.raises(ConfigError) as error:
        find_flag(flags, arms, named)
    assert told in str(error.value)
