"""The settings of a rollout: two arms, its steps, and its limits (`NEEDS.md` section 4).

What is *in force* (shares, kill switches) is not here but in Redis, so that it can change within
seconds; see :mod:`bridge.routing.rollout.state`.
"""

from datetime import time
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bridge.config.complaints import suggest
from bridge.config.parts import Name

Percent = Annotated[float, Field(ge=0, le=100, multiple_of=0.1)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OverrideSettings(_Part):
    """Calls that get an arm without a draw.

    Attributes:
        by: what of a call is looked at.
        patterns: numbers or names, ``*`` at an end for any ending; trunks by their names.
        arm: None for the old arm.
    """

    by: Literal["caller", "route", "called", "trunk"]
    patterns: tuple[str, ...] = Field(min_length=1)
    arm: Name | None = None


class HoursSettings(_Part):
    """The hours in which the rollout may take a step by itself.

    Attributes:
        days: of the week.
        begin: on the wall clock of the time zone.
        end: likewise; from then on no step is taken.
        timezone: IANA's name.
        until_percent: greater steps may be taken at any time.
    """

    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri")
    begin: time = time(9)
    end: time = time(17)
    timezone: str = "UTC"
    until_percent: Percent = 25.0

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("should be a time zone, like Europe/Berlin") from None
        return name


class RolloutSettings(_Part):
    """A flag: which of two arms a call gets.

    Attributes:
        control: the old arm.
        treatment: the new one.
        salt: changing it deals all callers anew.
        steps: the treatment's shares, percent.
        gates: steps that a person takes.
        min_time_s: of a step, before the next one.
        min_calls: of the treatment in a step, before the next one.
        max_bad_rate: a promotion wants the upper bound of the treatment's bad calls below it, 0 to
            1.
        max_worse_by: and that of its difference to the control's below this.
        no_data_s: without a call for so long: one step back.
        setup_failures: in a row, that close the treatment.
        incident_rate: bad calls among the last ones of *each* arm that make an incident, 0 to 1.
        incident_calls: how many are looked at for that.
        on_incident: what is done where both arms fail.
        cool_down_s: after a rollback, before a person may arm the treatment again.
        slow_greeting_s: a greeting that is later makes a call a bad one.
        slow_turn_s: likewise an answer.
        dead_air_s: likewise a silence in which the caller waits.
        max_cut_offs: a caller whom the agent cuts off more often than that has had a bad call.
        hours: when steps may be taken; None: always.
        caps: arm to calls at once, on all nodes together.
        overrides: calls that are not drawn: by caller, route, called number, trunk, then as listed.
        rescue_after_s: without a session for so long, a ringing call tries the other arm.
    """

    control: Name
    treatment: Name
    salt: str = ""
    steps: tuple[Percent, ...] = (1.0, 5.0, 25.0, 50.0, 100.0)
    gates: tuple[Percent, ...] = ()
    min_time_s: float = Field(600.0, ge=0)
    min_calls: int = Field(50, ge=1)
    max_bad_rate: float = Field(0.02, gt=0, le=1)
    max_worse_by: float = Field(0.015, gt=0, le=1)
    no_data_s: float = Field(1800.0, gt=0)
    setup_failures: int = Field(3, ge=2)
    incident_rate: float = Field(0.5, gt=0, le=1)
    incident_calls: int = Field(5, ge=2)
    on_incident: Literal["alert", "ai_off"] = "alert"
    cool_down_s: float = Field(1800.0, ge=0)
    slow_greeting_s: float = Field(2.5, gt=0)
    slow_turn_s: float = Field(3.0, gt=0)
    dead_air_s: float = Field(5.0, gt=0)
    max_cut_offs: int = Field(2, ge=0)
    hours: HoursSettings | None = None
    caps: dict[Name, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    overrides: tuple[OverrideSettings, ...] = ()
    rescue_after_s: float = Field(2.5, gt=0, le=60)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.control == self.treatment:
            raise ValueError("has the same arm as control and treatment")
        if not self.steps or list(self.steps) != sorted(set(self.steps)) or self.steps[0] <= 0:
            raise ValueError("should have steps that grow, all above 0")
        if not set(self.gates) <= set(self.steps):
            raise ValueError("has gates that are no steps")
        arms = {self.control, self.treatment}
        named = {*self.caps, *(each.arm for each in self.overrides if each.arm is not None)}
        for arm in sorted(named - arms):
            hint = suggest(arm, arms) or f"the arms are {self.control} and {self.treatment}"
            raise ValueError(f"names an arm that it does not have: {arm} ({hint})")
        return self

    @property
    def arms(self) -> tuple[str, str]:
        """Control and treatment."""
        return self.control, self.treatment
