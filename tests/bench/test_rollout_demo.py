"""Four rollouts from real SIP calls (`bridge demo --rollout`): healthy, dying, slow, both down."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import show
from tests.support.machine import Timing
from tests.support.processes import run_to_end

pytestmark = [
    *(pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow),
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="the callers need Linux"),
]


def test_each_rollout_ends_as_it_should(
    tmp_path: Path, request: pytest.FixtureRequest, timing: Timing
) -> None:
    ended = run_to_end("demo", "--rollout", "--json", directory=tmp_path)
    assert ended.stdout, ended.stderr
    result = json.loads(ended.stdout)
    told = {story["name"]: story for story in result["stories"]}
    rows = [
        f"{story['title']:<26} {story['verdict']:<9} {story['action']:<17} {story['seconds']} s, "
        f"{story['new_arm_calls']} calls of the new arm, {story['harmed']} harmed, "
        f"{story['rescued']} rescued, {story['all_calls']} calls: {story['why']}"
        for story in result["stories"]
    ]
    title = "rollouts: verdict, action, seconds and calls until it, callers"
    show(request.config, title, rows)
    assert ended.code == 0, rows
    assert ended.left == []
    assert told["healthy"]["verdict"] == "healthy"
    timing.check_none("callers whom seconds of silence harmed, of 40", told["healthy"]["harmed"])
    assert told["dying"]["verdict"] == "failed"
    assert told["dying"]["rescued"] > 0
    assert told["slow"]["verdict"] == "failed"
    assert told["slow"]["rescued"] == 0
    assert told["both"]["verdict"] == "degraded"
    assert told["both"]["to_fallback"] > 0
    # Three that are left without a session; others may end in the moment that the third does.
    assert told["dying"]["new_arm_calls"] <= 5
    for name in ("dying", "slow"):
        assert 0 < told[name]["new_arm_calls"] <= 25, name
        assert told[name]["harmed"] <= told[name]["new_arm_calls"] + 10, name
