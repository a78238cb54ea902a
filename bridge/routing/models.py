"""Dialplans: the arm and the agent that answer a called number.

One YAML file is one dialplan; `dialplans/README.md` teaches the format. Everything is checked at
the door, so the rest of the bridge trusts it. Seconds (`_s`) are for the person who writes the
file; properties in milliseconds are for the code.
"""

from typing import Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from bridge.config.complaints import Location
from bridge.config.parts import Name, OneOrMore, Part
from bridge.config.yaml_source import YamlSource
from bridge.errors import ConfigError
from bridge.routing.agent import Agent
from bridge.routing.barge_in import CallerSilence, DeadAir
from bridge.routing.consent import Consent
from bridge.routing.emergency import Emergency
from bridge.routing.fallback import Fallback, Recovery
from bridge.routing.handoff import Handoff
from bridge.routing.hours import Hours
from bridge.routing.keypad import Keypad
from bridge.routing.limits import Limits
from bridge.routing.origin import MAX_KEPT_HEADERS, KeptHeader, PassedHeader
from bridge.routing.parts import MAX_PHRASE_CHARS
from bridge.routing.recording import Recording
from bridge.routing.rules import Rule
from bridge.routing.tools import TRANSFER_TOOL


class Dialplan(Part):
    """A dialplan: the calls that it takes, and their treatment.

    Attributes:
        name: its name in logs, metrics (label `route`) and the call's record.
        match: any of these rules takes the call.
        arm: the arm that answers, a key of `arms` in the settings.
        rollout: the flag that chooses the arm, a key of `rollouts` there; in the place of `arm`.
        keep_headers: SIP headers of the INVITE that are kept with the call, and given to tools.
        pass_headers: SIP headers of the INVITE that go on in the REFER, or the INVITE, by which the
            call is handed to a person, and in the bridge's BYEs to both.
        agent: what the agent is told, how it sounds and what it can do.
        hours: when the line is open; None: always.
    """

    # `schema` is a (deprecated) method of pydantic's models, hence the alias.
    schema_: Literal["dialplan/v1"] = Field(alias="schema")
    name: Name
    match: tuple[Rule, ...]
    arm: Name | None = None
    rollout: Name | None = Field(None, validate_default=True)
    keep_headers: OneOrMore[KeptHeader] = Field((), max_length=MAX_KEPT_HEADERS)
    pass_headers: OneOrMore[PassedHeader] = Field((), max_length=MAX_KEPT_HEADERS)
    agent: Agent
    hours: Hours | None = None
    limits: Limits = Limits()
    recovery: Recovery = Recovery()
    fallback: Fallback = Fallback()
    handoff: Handoff = Handoff()
    keypad: Keypad = Keypad()
    dead_air: DeadAir = DeadAir()
    caller_silence: CallerSilence = CallerSilence()
    recording: Recording = Recording()
    consent: Consent = Consent()
    emergency: Emergency = Emergency()

    _source: YamlSource | None = PrivateAttr(None)

    # Not `min_length`: pydantic counts only the good rules, and would report a bad one twice.
    @field_validator("match")
    @classmethod
    def _has_a_rule(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if not rules:
            raise ValueError("should have at least one rule")
        return rules

    # Not of the model: it would only be reported once everything else is right.
    @field_validator("rollout")
    @classmethod
    def _is_in_the_place_of_arm(cls, rollout: str | None, info: ValidationInfo) -> str | None:
        if "arm" in info.data and (info.data["arm"] is None) == (rollout is None):
            raise ValueError("or 'arm' should be there, and not both")
        return rollout

    @model_validator(mode="after")
    def _somebody_takes_transfers(self) -> Self:
        wanted = any(tool.name == TRANSFER_TOOL for tool in self.agent.tools)
        if wanted and not self.handoff.targets:
            raise ValueError(f"the tool '{TRANSFER_TOOL}' needs 'handoff.targets': to whom?")
        return self

    @model_validator(mode="after")
    def _keys_lead_to_somebody(self) -> Self:
        missing = sorted(self.keypad.targets - self.handoff.targets.keys())
        if missing:
            raise ValueError(f"'keypad' transfers to {', '.join(missing)}: no 'handoff.targets'")
        return self

    @model_validator(mode="after")
    def _closed_greeting_is_short(self) -> Self:
        greeting = self.hours.closed.greeting if self.hours is not None else None
        if self.agent.greeting_by == "cached" and len(greeting or "") > MAX_PHRASE_CHARS:
            raise ValueError(
                "should have with 'greeting_by: cached' a 'hours.closed.greeting' of at most"
                f" {MAX_PHRASE_CHARS} characters"
            )
        return self

    @model_validator(mode="after")
    def _safety_is_whole(self) -> Self:
        has_person = bool(self.handoff.targets) or self.fallback.to is not None
        if self.emergency.then == "transfer" and not has_person:
            raise ValueError(
                "'emergency.then: transfer' needs 'handoff.targets' or 'fallback.to': to whom?"
            )
        problem = self.consent.problem(
            self.agent.language,
            has_person=has_person,
            bridge_decides=self.agent.barge_in.is_ours,
        )
        if problem is not None:
            raise ValueError(problem)
        return self

    @classmethod
    def from_source(cls, source: YamlSource) -> Self:
        """Validate a YAML document and remember where it came from.

        Raises:
            ConfigError: every mistake with file and line.
        """
        dialplan = source.parse(cls)
        dialplan._source = source
        return dialplan

    def place(self, location: Location = ()) -> str:
        """Return ``file:line`` of a part of this dialplan, or its name if it has no file."""
        if self._source is None:
            return f"dialplan '{self.name}'"
        return f"{self._source.path}:{self._source.line(location)}"

    def complain(self, what: str, location: Location = (), *, remedy: str = "") -> ConfigError:
        """Make the error to raise about a part of this dialplan, with file and line if it has."""
        if self._source is None:
            return ConfigError(f"dialplan '{self.name}': {what}", remedy=remedy)
        return self._source.complain(what, location, remedy=remedy)
