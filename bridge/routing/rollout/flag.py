"""A rollout flag: arms with weights, overrides, caps and kill switches. A value; changes make anew.

Terms are OpenFeature's: the flag's value is an arm's name, its variants are the arms. Rules:
`NEEDS.md` section 4 "Flag must support".
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bridge.errors import ConfigError
from bridge.routing.numbers import normalise_pattern, pattern_matches

WEIGHT_TOTAL = 1000
"""Weights are integers that add up to this: steps of 0.1%."""


class MatchBy(enum.StrEnum):
    """The fact of a call that an override looks at, most particular first."""

    CALLER = "caller"
    ROUTE = "route"
    CALLED = "called"
    TRUNK = "trunk"


@dataclass(frozen=True, slots=True)
class Override:
    """Calls that get an arm without a draw, and so count in no statistics.

    Attributes:
        pattern: a number or name, ``*`` at its end for any ending, as in a dialplan.
        arm: the arm that they get; None for "anything but a draw": the flag's control arm.
    """

    by: MatchBy
    pattern: str
    arm: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", normalise_pattern(self.pattern))

    @property
    def words(self) -> str:
        """What it looks at, as `bridge rollout set --override` takes it: ``caller:+1555*``."""
        return f"{self.by}:{self.pattern}"

    def matches(self, value: str) -> bool:
        """Return whether a caller, route, number or trunk is meant."""
        return bool(value) and pattern_matches(self.pattern, value)


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag at one version.

    Attributes:
        weights: arm to weight, per mille; an arm with weight 0 is known and gets no draw.
        control: the old arm: what a call gets where nothing else can be said.
        version: grows with every change.
        salt: changing it deals all callers anew.
        overrides: looked at in the order of :class:`MatchBy`, then as listed.
        caps: arm to calls at once; an arm at its cap gets none by draw or override.
        stopped: arms with their kill switch on.
        ai_off: no arm at all: a person or voicemail.
    """

    name: str
    weights: Mapping[str, int]
    control: str
    version: int = 0
    salt: str = ""
    overrides: tuple[Override, ...] = ()
    caps: Mapping[str, int] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()
    ai_off: bool = False

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        object.__setattr__(self, "caps", MappingProxyType(dict(self.caps)))

    def share(self, arm: str) -> float:
        """Return the chance with which a draw among all arms gives ``arm``."""
        return self.weights.get(arm, 0) / WEIGHT_TOTAL

    def _check(self) -> None:
        total = sum(self.weights.values())
        if any(weight < 0 for weight in self.weights.values()) or total != WEIGHT_TOTAL:
            raise ConfigError(
                f"flag '{self.name}': the weights add up to {total}",
                remedy=f"give integers of 0 or more that add up to {WEIGHT_TOTAL} (0.1% steps)",
            )
        named = {
            self.control,
            *self.caps,
            *self.stopped,
            *(override.arm for override in self.overrides if override.arm is not None),
        }
        unknown = sorted(named - self.weights.keys())
        if unknown:
            raise ConfigError(
                f"flag '{self.name}' names arms that have no weight: {', '.join(unknown)}",
                remedy=f"known arms: {', '.join(sorted(self.weights))}; give weight 0 to hold one",
            )
        if any(cap < 0 for cap in self.caps.values()):
            raise ConfigError(f"flag '{self.name}' has a negative cap", remedy="0 or more calls")
