"""The arm of a running gateway: whether the call was taken on the one that it asked for."""

import pytest
from pydantic import JsonValue

from bridge.replay.checks.check import CheckStatus
from bridge.replay.checks.ending import check_arm
from bridge.replay.evidence.evidence import Evidence


@pytest.mark.parametrize(
    ("record", "status", "found"),
    [
        ({"arm": "new"}, CheckStatus.PASS, "it did"),
        ({"arm": "old"}, CheckStatus.INCONCLUSIVE, "it took old"),
        ({"arm": "new", "rescued_by": "old"}, CheckStatus.FAIL, "new failed, and old took over"),
        (None, CheckStatus.INCONCLUSIVE, "--target-recordings"),
    ],
)
def test_a_call_on_another_arm_says_nothing_of_the_one_that_was_asked_for(
    record: dict[str, JsonValue] | None, status: CheckStatus, found: str
) -> None:
    check = check_arm(Evidence("run", "new", "ga", record=record))
    assert check.status is status
    assert found in check.found
