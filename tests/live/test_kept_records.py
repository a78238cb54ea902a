"""How long a record may wait: no longer than its dialplan lets each of its parts be kept."""

import pytest

from bridge.live.record_keeper import longest_wait_s

DAY_S = 24 * 3600


@pytest.mark.parametrize(
    ("keep_days", "wait_s"),
    [
        ({}, None),
        ({"audio": 1, "transcript": None, "events": None}, None),
        ({"audio": None, "transcript": 2, "events": None}, 2 * DAY_S),
        ({"audio": 1, "transcript": 3, "events": 2}, 2 * DAY_S),
    ],
)
def test_a_record_waits_no_longer_than_its_words_may_be_kept(
    keep_days: dict[str, int | None], wait_s: int | None
) -> None:
    assert longest_wait_s(keep_days) == wait_s
