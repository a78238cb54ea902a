"""The state of a rollout in force: a value that is kept in Redis, in a file, and in every node.

The settings say what a rollout may do (:class:`~bridge.config.rollouts.RolloutSettings`); this says
where it stands. It only ever changes to a greater version (:mod:`~bridge.routing.rollout.changes`).
"""

import enum
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from bridge.config.rollouts import RolloutSettings
from bridge.errors import ConfigError
from bridge.routing.rollout.evidence import HarmEvidence
from bridge.routing.rollout.flag import WEIGHT_TOTAL, Flag, MatchBy, Override
from bridge.routing.rollout.verdict import Guards


class Halt(enum.StrEnum):
    """The reason for which the treatment gets no calls until a person acts."""

    NONE = "none"
    STOPPED = "stopped"
    """It refuses calls for good: `rearm`."""
    CLOSED = "closed"
    """Several calls in a row were left without a session: `resume` goes on at the same share."""
    ROLLED_BACK = "rolled_back"
    """It harmed calls: `rearm`, after the cool-down."""


@dataclass(frozen=True, slots=True)
class RolloutState:
    """The state of a rollout.

    Attributes:
        version: grows with every change.
        share: the treatment's weight, per mille; the rest is the control's.
        stopped: arms with their kill switch on.
        ai_off: no call gets an arm.
        paused: no step is taken by itself.
        caps: arm to calls at once, over the settings' ones; None: none.
        overrides: ``by:pattern`` to arm, over the settings' ones; None: those calls are drawn.
        halted_ms: since when; wall time, as all times here, ms since the Unix epoch.
        trial: the version at which the evidence begins.
        step_ms: when the present share was set.
        evidence: of the trial, up to the call of the log at ``cursor``.
        arms: digests of the settings of the arms that the evidence is about, by name; empty where
            nobody knows.
        action, author, reason, at_ms: of the last change.
    """

    version: int = 0
    share: int = 0
    stopped: frozenset[str] = frozenset()
    ai_off: bool = False
    paused: bool = False
    caps: Mapping[str, int | None] = field(default_factory=dict)
    overrides: Mapping[str, str | None] = field(default_factory=dict)
    halt: Halt = Halt.NONE
    halted_ms: int = 0
    trial: int = 0
    step_ms: int = 0
    evidence: HarmEvidence = field(default_factory=HarmEvidence)
    cursor: str = "0"
    arms: Mapping[str, str] = field(default_factory=dict)
    action: str = "declared"
    author: str = ""
    reason: str = ""
    at_ms: int = 0

    @property
    def percent(self) -> float:
        """The treatment's share, percent."""
        return self.share / 10

    def to_fields(self) -> dict[str, str]:
        """Return the fields of a Redis hash, each as JSON."""
        evidence = self.evidence
        values: dict[str, object] = {
            "version": self.version,
            "share": self.share,
            "stopped": sorted(self.stopped),
            "ai_off": self.ai_off,
            "paused": self.paused,
            "caps": dict(self.caps),
            "overrides": dict(self.overrides),
            "halt": self.halt,
            "halted_ms": self.halted_ms,
            "trial": self.trial,
            "step_ms": self.step_ms,
            "evidence": [evidence.log_ratios, evidence.bad_treatment, evidence.bad_control],
            "cursor": self.cursor,
            "arms": dict(self.arms),
            "action": self.action,
            "author": self.author,
            "reason": self.reason,
            "at_ms": self.at_ms,
        }
        return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> "RolloutState":
        """Read what :meth:`to_fields` made; fields that are missing have their defaults.

        Raises:
            ConfigError: a field is not what it should be: somebody else wrote there.
        """
        try:
            values = {name: json.loads(text) for name, text in fields.items() if name in _FIELDS}
            if "stopped" in values:
                values["stopped"] = frozenset(map(str, values["stopped"]))
            if "halt" in values:
                values["halt"] = Halt(values["halt"])
            if "evidence" in values:
                ratios, treatment, control = values["evidence"]
                values["evidence"] = HarmEvidence(tuple(map(float, ratios)), treatment, control)
            state = _READER.validate_python(values)
            for words in state.overrides:
                MatchBy(words.partition(":")[0])
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"the state of a rollout can't be read: {error}",
                remedy="`bridge rollout history` shows what was in force",
            ) from error
        if not 0 <= state.share <= WEIGHT_TOTAL:
            raise ConfigError(f"the state of a rollout has a share of {state.share} per mille")
        return state


_FIELDS = frozenset(RolloutState.__dataclass_fields__)
_READER = TypeAdapter(RolloutState)


def flag_of(name: str, plan: RolloutSettings, state: RolloutState) -> Flag:
    """Return the flag that decides about calls now."""
    return Flag(
        name=name,
        weights={plan.control: WEIGHT_TOTAL - state.share, plan.treatment: state.share},
        control=plan.control,
        version=state.version,
        salt=plan.salt,
        overrides=tuple(overrides_of(plan, state)),
        caps=caps_of(plan, state),
        # An arm that the settings dropped may still be named in Redis.
        stopped=state.stopped & set(plan.arms),
        ai_off=state.ai_off,
    )


def caps_of(plan: RolloutSettings, state: RolloutState) -> dict[str, int]:
    """Return the caps in force: the settings', but for those that were set or lifted since."""
    caps = {**plan.caps, **{arm: cap for arm, cap in state.caps.items() if arm in plan.arms}}
    return {arm: cap for arm, cap in caps.items() if cap is not None}


def overrides_of(plan: RolloutSettings, state: RolloutState) -> Iterator[Override]:
    """Yield the overrides in force: those that were set since, then the rest of the settings'."""
    for words, arm in state.overrides.items():
        by, _, pattern = words.partition(":")
        if arm in plan.arms:
            yield Override(MatchBy(by), pattern, arm)
    for each in plan.overrides:
        for pattern in each.patterns:
            override = Override(MatchBy(each.by), pattern, each.arm)
            if override.words not in state.overrides:
                yield override


def guards_of(plan: RolloutSettings) -> Guards:
    """Return the limits of a step."""
    return Guards(
        setup_failures=plan.setup_failures,
        max_bad_rate=plan.max_bad_rate,
        max_worse_by=plan.max_worse_by,
        min_calls=plan.min_calls,
        min_time_s=plan.min_time_s,
        incident_rate=plan.incident_rate,
        incident_calls=plan.incident_calls,
        no_data_s=plan.no_data_s,
    )


def stop_here(state: RolloutState, arms: frozenset[str]) -> RolloutState:
    """Return a state with more arms stopped, of the same version: what one node knows already."""
    return replace(state, stopped=state.stopped | arms)
