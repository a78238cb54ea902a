"""Opening times on the wall clock: zones, summer time, midnight, holidays."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.routing.times import WEEKDAYS, Times

ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # moves by half an hour
    "Asia/Kathmandu",  # 5:45 from UTC
    "Pacific/Apia",  # left out a whole day in 2011
    "America/Nuuk",
    "UTC",
)
Given = dict[str, Any]  # Any: what a person may write in YAML

zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC)
)
minutes = st.integers(0, 24 * 60 - 1)
days = st.sets(st.sampled_from(WEEKDAYS), min_size=1).map(sorted)


def times(**parts: Any) -> Times:
    return Times.model_validate({"time_zone": "America/New_York", **parts})


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def state(given: Times, local: datetime, fold: int = 0) -> str:
    zone = ZoneInfo(given.time_zone)
    return given.moment(local.replace(tzinfo=zone, fold=fold)).state


@given(at=moments, zone=zones, other=zones, listed=days, begin=minutes, end=minutes)
def test_a_moment_is_the_same_in_whatever_zone_it_is_told(
    at: datetime, zone: str, other: str, listed: list[str], begin: int, end: int
) -> None:
    span = {"days": listed, "from": clock(begin), "to": clock(end)}
    hours = times(time_zone=zone, open=[span])
    assert hours.moment(at) == hours.moment(at.astimezone(ZoneInfo(other)))


@given(at=moments, zone=zones, listed=days, begin=minutes, end=minutes)
def test_open_means_that_the_wall_clock_is_within_the_span(
    at: datetime, zone: str, listed: list[str], begin: int, end: int
) -> None:
    span = {"days": listed, "from": clock(begin), "to": clock(end)}
    local = at.astimezone(ZoneInfo(zone))
    now = local.hour * 60 + local.minute
    today = WEEKDAYS[local.weekday()] in listed
    yesterday = WEEKDAYS[local.weekday() - 1] in listed
    if begin < end:
        expected = today and begin <= now < end
    else:
        expected = (today and now >= begin) or (yesterday and now < end)
    found = times(time_zone=zone, open=[span]).moment(at).state
    assert found == ("open" if expected else "closed")


@given(at=moments, zone=zones, day=st.dates(date(2005, 1, 1), date(2035, 1, 1)))
def test_listed_day_is_a_holiday_from_midnight_to_midnight_there(
    at: datetime, zone: str, day: date
) -> None:
    local = at.astimezone(ZoneInfo(zone))
    hours = times(time_zone=zone, holidays={"dates": [day, f"{local:%m-%d}"]})
    assert hours.moment(at).state == "holiday"
    only = times(time_zone=zone, holidays={"dates": day})
    assert only.moment(at).state == ("holiday" if local.date() == day else "open")


@given(
    day=st.dates(date(2005, 1, 3), date(2034, 12, 1)),
    at=st.times(),
    zone=zones,
    begin=minutes,
    end=minutes,
)
def test_every_week_is_alike_on_the_wall_clock_through_summer_time(
    day: date, at: time, zone: str, begin: int, end: int
) -> None:
    hours = times(
        time_zone=zone, open=[{"days": "tue-sat", "from": clock(begin), "to": clock(end)}]
    )
    first = datetime.combine(day, at.replace(tzinfo=None, fold=0))
    later = first + timedelta(weeks=26)
    zone_info = ZoneInfo(zone)
    for each in (first, later):  # a wall-clock time that was skipped is none
        aware = each.replace(tzinfo=zone_info)
        if aware.astimezone(UTC).astimezone(zone_info).replace(tzinfo=None) != each:
            return
    assert state(hours, first) == state(hours, later)


def test_hour_that_the_clocks_skip_is_never_open() -> None:
    hours = times(open=[{"days": "sun", "from": "02:00", "to": "03:00"}])
    begin = datetime(2026, 3, 8, 4, tzinfo=UTC)  # 23:00 in New York, before the change
    states = {hours.moment(begin + timedelta(minutes=step)).state for step in range(24 * 60)}
    assert states == {"closed"}


def test_hour_that_the_clocks_repeat_is_open_twice() -> None:
    hours = times(open=[{"days": "sun", "from": "01:00", "to": "02:00"}])
    begin = datetime(2026, 11, 1, 4, tzinfo=UTC)  # midnight in New York
    opened = [
        step
        for step in range(24 * 60)
        if hours.moment(begin + timedelta(minutes=step)).state == "open"
    ]
    assert opened == list(range(60, 180))


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ((2026, 11, 20, 21, 59), "closed"),
        ((2026, 11, 20, 22, 0), "open"),  # Friday
        ((2026, 11, 21, 5, 59), "open"),
        ((2026, 11, 21, 6, 0), "closed"),
        ((2026, 11, 22, 3, 0), "closed"),
    ],
)
def test_span_over_midnight_belongs_to_the_day_on_which_it_began(
    local: tuple[int, int, int, int, int], expected: str
) -> None:
    hours = times(open=[{"days": "fri", "from": "22:00", "to": "06:00"}])
    assert state(hours, datetime(*local)) == expected


def test_night_that_began_before_a_holiday_goes_on_and_the_holidays_own_does_not_begin() -> None:
    hours = times(
        open=[{"days": "mon-sun", "from": "22:00", "to": "06:00"}], holidays={"dates": ["12-25"]}
    )
    assert state(hours, datetime(2026, 12, 25, 1, 0)) == "open"
    assert state(hours, datetime(2026, 12, 25, 22, 30)) == "holiday"
    assert state(hours, datetime(2026, 12, 26, 1, 0)) == "closed"


def test_public_holidays_are_the_countrys_its_subdivisions_and_the_lists() -> None:
    new_york = {
        "country": "US",
        "subdivision": "NY",
        "dates": ["12-24"],
        "except": ["Columbus Day", "2027-07-05"],
    }
    hours = times(holidays=new_york)

    def on(year: int, month: int, day: int) -> str:
        return state(hours, datetime(year, month, day, 12, 0))

    assert on(2026, 11, 26) == "holiday"  # Thanksgiving, the fourth Thursday
    assert on(2031, 11, 27) == "holiday"
    assert on(2026, 2, 12) == "holiday"  # Lincoln's Birthday is New York's
    assert on(2026, 10, 12) == "open"
    assert on(2026, 12, 24) == "holiday"
    assert on(2027, 7, 5) == "open"
    texas = times(holidays={"country": "US", "subdivision": "TX"})
    assert state(texas, datetime(2026, 2, 12, 12)) == "open"
    assert "Thanksgiving" in hours.moment(datetime(2026, 11, 26, 17, tzinfo=UTC)).why


def test_state_says_why() -> None:
    hours = times(open=[{"days": "mon-fri", "from": "08:00", "to": "18:00"}])
    at = datetime(2026, 11, 18, 23, 5, tzinfo=UTC)
    assert hours.moment(at).why == (
        "wed 2026-11-18 18:05 in America/New_York is outside mon-fri 08:00-18:00"
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"time_zone": "Europe/Berln"}, "did you mean 'Europe/Berlin'"),
        ({"open": [{"days": "mon-wed-fri"}]}, "one range of days"),
        ({"open": [{"days": "tuesday"}]}, "did you mean 'tue'"),
        ({"open": [{"days": "mon", "to": "25:00"}]}, "a time from 00:00 to 24:00"),
        ({"open": []}, "at least one entry"),
        ({"holidays": {"country": "GER"}}, "code of ISO 3166"),
        ({"holidays": {"country": "de"}}, "did you mean 'DE'"),
        ({"holidays": {"country": "DE", "subdivision": "BER"}}, "did you mean 'BE'"),
        ({"holidays": {"subdivision": "BE"}}, "should have 'country'"),
        ({"holidays": {"dates": ["02-30"]}}, "should be a day"),
        ({"holidays": {"dates": ["2026-02-29"]}}, "should be a day"),
        ({"holidays": {"except": ["2026-13-01"]}}, "should be a day"),
        ({"holidays": {"country": "US", "except": "Colombus Day"}}, "did you mean 'Columbus Day'"),
        ({"holidays": {"except": ["Columbus Day"]}}, "known: none"),
    ],
)
def test_mistakes_say_what_may_be_meant(parts: Given, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        times(**parts)


def test_leap_day_and_a_year_far_ahead_are_days() -> None:
    assert times(holidays={"dates": ["02-29", "2400-12-24"]}).holidays.dates == (
        "02-29",
        "2400-12-24",
    )
