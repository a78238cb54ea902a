"""Opening times: days of the week, hours and holidays on the wall clock of a time zone.

A moment is put on the zone's wall clock first, so summer time needs no rule of its own: an hour
that the clocks skip is never open, and one that they repeat is open twice. A span that ends at or
before its begin goes on past midnight and belongs to the day on which it began. Pure: moments are
given, never read from a clock.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

import holidays as public_holidays
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from bridge.config.complaints import suggest
from bridge.config.parts import OneOrMore, Part, Text

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_MINUTES_A_DAY = 24 * 60

TimesState = Literal["open", "closed", "holiday"]
"""A holiday is closed, too."""


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())  # reads directories: some 20 ms


def _is_zone(name: str) -> str:
    if name not in _zones():
        hint = suggest(name, _zones())
        raise ValueError(
            f"should be a time zone of the IANA list, like 'Europe/Berlin', not '{name}'"
            + (f"; {hint}" if hint else "")
        )
    return name


def _is_time(text: str) -> str:
    if not re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", text):
        raise ValueError(f"should be a time from 00:00 to 24:00, like '08:30', not '{text}'")
    return text


def _are_days(text: str) -> str:
    _days(text)
    return text


def _days(text: str) -> frozenset[int]:
    """Return the days of ``mon`` or ``mon-fri``, Monday is 0; ``sat-mon`` goes round."""
    names = text.split("-")
    for name in names:
        if name not in WEEKDAYS:
            hint = suggest(name.lower()[:3], WEEKDAYS)
            raise ValueError(
                f"should be a day or a range of days, like 'sat' or 'mon-fri', not '{text}'"
                + (f"; {hint}" if hint else "")
            )
    if len(names) > 2:
        raise ValueError(f"should be a day or one range of days, like 'mon-fri', not '{text}'")
    first, last = WEEKDAYS.index(names[0]), WEEKDAYS.index(names[-1])
    return frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))


Zone = Annotated[str, AfterValidator(_is_zone)]
WallTime = Annotated[str, AfterValidator(_is_time)]
Days = Annotated[str, AfterValidator(_are_days)]
_DAY = re.compile(r"(?:(\d{4})-)?(\d\d)-(\d\d)")
_LEAP_YEAR = 2028
_LANGUAGE = "en_US"
"""Of the holidays' names, where the country has them; else the process's locale would choose it."""
_BETWEEN_NAMES = "; "
"""Put between the names of holidays that fall on one day."""
_NAMED_YEARS = range(2020, 2040)
"""Worked out when the file is read; others are in the call that asks for them (0.2 ms)."""


def _as_text(value: object) -> object:
    """Undo what YAML makes of a date."""
    return value.isoformat() if isinstance(value, date) else value


def _is_day(text: str) -> str:
    found = _DAY.fullmatch(text)
    try:
        if found is not None:
            year, month, day = found.groups()
            date(int(year or _LEAP_YEAR), int(month), int(day))
            return text
    except ValueError:
        pass
    raise ValueError(f"should be a day, '2026-12-24', or '12-24' for every year, not '{text}'")


ListedDay = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_day)]
DayOrName = Annotated[Text, BeforeValidator(_as_text)]


class Span(Part):
    """Hours of some days of the week.

    Attributes:
        days: a day or a range (``mon-fri``), or a list of those.
        from_: first minute, ``08:00``.
        to: first minute after; not later than the first: of the next day.
    """

    days: OneOrMore[Days]
    from_: WallTime = Field("00:00", alias="from")
    to: WallTime = "24:00"

    @functools.cached_property
    def _weekdays(self) -> frozenset[int]:
        return frozenset().union(*map(_days, self.days))

    def held(self, local: datetime) -> Iterator[date]:
        """Yield the days whose span holds a wall-clock time: this day's, the day before's."""
        begin, end = _minutes(self.from_), _minutes(self.to)
        if end <= begin:
            end += _MINUTES_A_DAY
        now = local.hour * 60 + local.minute
        for back in (0, 1):
            day = local.date() - timedelta(days=back)
            if day.weekday() in self._weekdays and begin <= now + back * _MINUTES_A_DAY < end:
                yield day

    def of_the_week(self) -> Iterator[tuple[int, int, int]]:
        """Yield (day, begin, end) in minutes of a day, Monday is 0; past midnight as two."""
        begin, end = _minutes(self.from_), _minutes(self.to)
        for day in sorted(self._weekdays):
            if begin < end:
                yield day, begin, end
                continue
            yield day, begin, _MINUTES_A_DAY
            if end:
                yield (day + 1) % 7, 0, end

    def __str__(self) -> str:
        return f"{' '.join(self.days)} {self.from_}-{self.to}"


class Holidays(Part):
    """Days that are closed whatever day of the week they are.

    Attributes:
        country: ISO 3166 code; its public holidays are known for every year.
        subdivision: state, province or canton, for the holidays of its own.
        dates: more of them: ``2026-12-24``, or ``12-24`` for every year.
        except_: days that are none here: dates, or names of public holidays.
    """

    country: str | None = None
    subdivision: str | None = None
    dates: OneOrMore[ListedDay] = ()
    except_: OneOrMore[DayOrName] = Field((), alias="except")

    @model_validator(mode="after")
    def _places_are_known(self) -> Self:
        if self.country is None:
            if self.subdivision is not None:
                raise ValueError("should have 'country' with 'subdivision'")
            return self
        known = public_holidays.list_supported_countries()
        if self.country not in known:
            hint = suggest(self.country.upper(), known)
            raise ValueError(
                f"has country '{self.country}', which should be a code of ISO 3166, like 'DE'"
                + (f"; {hint}" if hint else "")
            )
        places = known[self.country]
        if self.subdivision is not None and self.subdivision not in places:
            hint = suggest(self.subdivision, places) or f"known: {', '.join(places) or 'none'}"
            raise ValueError(
                f"has subdivision '{self.subdivision}', which {self.country} has not; {hint}"
            )
        return self

    @model_validator(mode="after")
    def _exceptions_are_known(self) -> Self:
        # Here, so that no call has to wait for the country's rules.
        public = {} if self._public is None else self._public
        names = {name for each in public.values() for name in each.split(_BETWEEN_NAMES)}
        for each in self.except_:
            if each in names:
                continue
            if not each[:1].isdigit():
                hint = suggest(each, names) or f"known: {', '.join(sorted(names)) or 'none'}"
                raise ValueError(f"has 'except' with '{each}', which is no holiday there; {hint}")
            _is_day(each)
        return self

    @functools.cached_property
    def _public(self) -> public_holidays.HolidayBase | None:
        if self.country is None:
            return None
        return public_holidays.country_holidays(
            self.country, subdiv=self.subdivision, years=_NAMED_YEARS, language=_LANGUAGE
        )

    def name_of(self, day: date) -> str | None:
        """Return what a day is called if it is a holiday, else None."""
        if _named(day, self.except_):
            return None
        if _named(day, self.dates):
            return "a day of the dialplan's list"
        names = "" if self._public is None else self._public.get(day, "")
        kept = [each for each in names.split(_BETWEEN_NAMES) if each and each not in self.except_]
        return " and ".join(kept) or None


@dataclass(frozen=True, slots=True)
class OpeningState:
    """The state of opening times at a moment, and the reason for it in words."""

    state: TimesState
    why: str


class Times(Part):
    """Opening times.

    Attributes:
        time_zone: IANA name, like ``Europe/Berlin``.
        open: any of these; none: always, but for holidays.
        holidays: closed all day.
    """

    time_zone: Zone
    open: tuple[Span, ...] = ()
    holidays: Holidays = Holidays()

    @field_validator("open")
    @classmethod
    def _are_no_empty_list(cls, spans: tuple[Span, ...]) -> tuple[Span, ...]:
        if not spans:
            raise ValueError("should have at least one entry; leave it out for always")
        return spans

    @functools.cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def local(self, at: datetime) -> datetime:
        """Return the wall-clock time of an aware moment."""
        return at.astimezone(self._zone)

    def week(self) -> list[list[tuple[int, int]]]:
        """Return what is open on each day, Monday first: (begin, end), minutes of the day."""
        days: list[list[tuple[int, int]]] = [[] for _ in WEEKDAYS]
        for span in self.open or (_ALWAYS,):
            for day, begin, end in span.of_the_week():
                days[day].append((begin, end))
        return [sorted(each) for each in days]

    def holidays_from(self, at: datetime, days: int) -> list[tuple[date, str]]:
        """Return the holidays of some days that begin with a moment's, and their names."""
        first = self.local(at).date()
        coming = (first + timedelta(days=ahead) for ahead in range(days))
        return [(day, name) for day in coming if (name := self.holidays.name_of(day)) is not None]

    def moment(self, at: datetime) -> OpeningState:
        """Return whether an aware moment is open."""
        local = self.local(at)
        shown = f"{WEEKDAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} in {self.time_zone}"
        for span in self.open or (_ALWAYS,):
            for day in span.held(local):
                if self.holidays.name_of(day) is None:
                    return OpeningState("open", f"{shown} is within {span}")
        holiday = self.holidays.name_of(local.date())
        if holiday is not None:
            return OpeningState("holiday", f"{shown} is {holiday}")
        return OpeningState("closed", f"{shown} is outside {', '.join(map(str, self.open))}")


_ALWAYS = Span.model_validate({"days": "mon-sun"})


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _named(day: date, listed: Sequence[str]) -> bool:
    return day.isoformat() in listed or f"{day:%m-%d}" in listed
