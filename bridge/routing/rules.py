"""The rules by which a dialplan takes calls, and the fields of a call that they look at.

All conditions of a rule must hold; those that it does not have hold for every call. Each one is
checked in one place, which the choice of a dialplan and its explanation share.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bridge.config.parts import HeaderName, Name, OneOrMore, Part, Text
from bridge.routing.numbers import (
    covers,
    normalise_called,
    normalise_pattern,
    pattern_matches,
)
from bridge.routing.times import Times, TimesState
from bridge.routing.verstat import Verstat
from bridge.sip.privacy import ANONYMOUS, hides_caller

EVERYTHING = "*"

NumberPattern = Annotated[Text, AfterValidator(normalise_pattern)]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """The facts of a call at its INVITE; made by :func:`incoming_call`.

    Attributes:
        called, caller: normalised numbers or names.
        at: an aware moment.
        headers: values by lower-case name, in their order.
        trunk: name of the settings' trunk that it came from, "" for none of them.
        stir: what is known about the truth of the caller's number.
        sip_call_id: its Call-ID.
    """

    called: str
    at: datetime
    caller: str = ""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trunk: str = ""
    stir: Verstat = Verstat.NONE
    sip_call_id: str = ""


def incoming_call(
    called: str,
    at: datetime,
    *,
    caller: str = "",
    headers: Mapping[str, tuple[str, ...]] | None = None,
    trunk: str = "",
    stir: Verstat = Verstat.NONE,
    sip_call_id: str = "",
) -> IncomingCall:
    """Describe a call; numbers in any spelling, as URIs or without.

    A caller whose headers ask for privacy is anonymous.
    """
    given = {name.lower(): values for name, values in (headers or {}).items()}
    return IncomingCall(
        normalise_called(called),
        at,
        normalise_called(ANONYMOUS if hides_caller(given) else caller),
        given,
        trunk,
        stir,
        sip_call_id,
    )


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """The result of one condition on one call.

    Attributes:
        name: the rule's key; ``wanted``: what stands there; ``got``: what the call has.
    """

    name: str
    wanted: str
    got: str
    holds: bool

    def __str__(self) -> str:
        if self.holds:
            return f"{self.name} {self.got or 'nothing'} meets {self.wanted}"
        return f"{self.name} is {self.got or 'nothing'}, not {self.wanted}"


class When(Times):
    """Times at which a rule takes calls.

    Attributes:
        is_: ``open`` within these times, ``closed`` outside of them (holidays among that), or
            ``holiday``.
    """

    is_: TimesState = Field("open", alias="is")

    def check(self, at: datetime) -> ConditionResult:
        """Compare a moment with these times."""
        moment = self.moment(at)
        state = moment.state
        holds = state == self.is_ or (state == "holiday" and self.is_ == "closed")
        return ConditionResult("when", self.is_, f"{state} ({moment.why})", holds)


class Rule(Part):
    """Conditions that all hold for a call that is taken.

    Attributes:
        called: the number or name dialled, normalised: exact, ``prefix*``, ``_`` and a pattern, or
            ``*`` for all.
        caller: who calls, in the same form; any of a list.
        headers: SIP headers of the INVITE by name, each one's value exact, ``prefix*``, or ``*``
            for any.
        trunk: a key of `sip.trunks` in the settings; any of a list.
        stir: what is known about the truth of the caller's number; any of a list.
        when: times of the week, and holidays.
    """

    called: NumberPattern = EVERYTHING
    caller: OneOrMore[NumberPattern] = ()
    headers: dict[HeaderName, Text] = Field(default_factory=dict)
    trunk: OneOrMore[Name] = ()
    stir: OneOrMore[Verstat] = ()
    when: When | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("should have a condition; 'called: \"*\"' takes every call")
        return self

    def checks(self, call: IncomingCall) -> Iterator[ConditionResult]:
        """Yield each of the rule's conditions against a call."""
        if self.called != EVERYTHING or self.model_fields_set <= {"called"}:
            holds = pattern_matches(self.called, call.called)
            yield ConditionResult("called", self.called, call.called, holds)
        if self.caller:
            holds = any(pattern_matches(each, call.caller) for each in self.caller)
            yield ConditionResult("caller", _any_of(self.caller), call.caller, holds)
        for name, wanted in self.headers.items():
            values = call.headers.get(name.lower(), ())
            holds = any(_value_matches(wanted, value) for value in values)
            yield ConditionResult(f"header {name}", wanted, ", ".join(values), holds)
        if self.trunk:
            yield ConditionResult(
                "trunk", _any_of(self.trunk), call.trunk, call.trunk in self.trunk
            )
        if self.stir:
            yield ConditionResult("stir", _any_of(self.stir), call.stir, call.stir in self.stir)
        if self.when is not None:
            yield self.when.check(call.at)

    def takes(self, call: IncomingCall) -> bool:
        """Return whether all conditions hold."""
        return all(check.holds for check in self.checks(call))

    def covers(self, other: "Rule") -> bool:
        """Return whether this rule surely takes every call that ``other`` takes.

        Times are compared as a whole: two rules with different ones are taken as different.
        """
        ours = {name.lower(): value for name, value in self.headers.items()}
        theirs = {name.lower(): value for name, value in other.headers.items()}
        return (
            covers(self.called, other.called)
            and _all_within(other.caller, self.caller)
            and all(
                name in theirs and _value_covers(value, theirs[name])
                for name, value in ours.items()
            )
            and _subset(other.trunk, self.trunk)
            and _subset(other.stir, self.stir)
            and (self.when is None or self.when == other.when)
        )

    def __str__(self) -> str:
        parts = {
            "caller": _any_of(self.caller),
            **{f"header {name}": value for name, value in self.headers.items()},
            "trunk": _any_of(self.trunk),
            "stir": _any_of(self.stir),
            "when": "" if self.when is None else f"{self.when.is_} in {self.when.time_zone}",
        }
        more = [f"{name} {value}" for name, value in parts.items() if value]
        return " and ".join([f"'{self.called}'", *more])


def _any_of(wanted: tuple[str, ...]) -> str:
    return " or ".join(wanted)


def _value_matches(wanted: str, value: str) -> bool:
    if wanted.endswith("*"):
        return value.startswith(wanted[:-1])
    return value == wanted


def _value_covers(first: str, second: str) -> bool:
    if first.endswith("*"):
        return second.removesuffix("*").startswith(first[:-1])
    return first == second


def _all_within(patterns: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Say whether a list of patterns takes nothing that another doesn't; an empty one takes all."""
    if not others:
        return True
    return bool(patterns) and all(any(covers(o, p) for o in others) for p in patterns)


def _subset(words: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return not others or (bool(words) and set(words) <= set(others))
