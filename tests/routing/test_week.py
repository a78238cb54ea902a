"""Opening times as a week and as holidays to come, for people who look at them."""

from datetime import UTC, date, datetime

from bridge.routing.times import Times

NIGHTS = {
    "time_zone": "Europe/Berlin",
    "open": [
        {"days": "mon-tue", "from": "13:00", "to": "17:30"},
        {"days": "mon", "from": "08:00", "to": "12:00"},
        {"days": "sun", "from": "22:00", "to": "02:00"},
        {"days": "wed", "from": "18:00", "to": "00:00"},
    ],
    "holidays": {"dates": ["12-24"]},
}


def test_hours_past_midnight_are_the_next_days() -> None:
    assert Times.model_validate(NIGHTS).week() == [
        [(0, 120), (480, 720), (780, 1050)],
        [(780, 1050)],
        [(1080, 1440)],
        [],
        [],
        [],
        [(1320, 1440)],
    ]


def test_line_without_hours_is_always_open() -> None:
    assert Times.model_validate({"time_zone": "UTC"}).week() == [[(0, 1440)]] * 7


def test_holidays_to_come_begin_with_the_zones_own_day() -> None:
    times = Times.model_validate(NIGHTS)
    late = datetime(2026, 12, 23, 23, 30, tzinfo=UTC)  # half past midnight in Berlin
    assert times.holidays_from(late, 1) == [(date(2026, 12, 24), "a day of the dialplan's list")]
    assert times.holidays_from(datetime(2026, 12, 23, 22, tzinfo=UTC), 1) == []
