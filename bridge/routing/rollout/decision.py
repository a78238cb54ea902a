"""The decision about one call, made once at its INVITE and frozen for its life.

Order (`NEEDS.md` section 4): AI off, arm off, signed test header, caller list, route, number,
trunk, draw, default. It never throws: what goes wrong is a decision with reason ERROR.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bridge.routing.rollout.draw import choose
from bridge.routing.rollout.flag import Flag, MatchBy


class Reason(enum.StrEnum):
    """The reason for which a call got its variant (OpenFeature's reasons)."""

    DISABLED = "DISABLED"
    """The AI is off, or no arm may take a call."""
    TARGETING_MATCH = "TARGETING_MATCH"
    """A test header or an override."""
    SPLIT = "SPLIT"
    """The draw: only these calls count in the statistics."""
    DEFAULT = "DEFAULT"
    """The control arm, because the draw's arm is stopped or full."""
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class CallFacts:
    """The facts of a call at its INVITE that a decision rests on.

    Attributes:
        key: :func:`bridge.routing.rollout.draw.targeting_key`.
        test_arm: what a test header asks for, whose signature was checked.
        active: calls of each arm now, on all nodes.
    """

    key: str
    caller: str = ""
    called: str = ""
    route: str = ""
    trunk: str = ""
    test_arm: str | None = None
    active: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The flag's decision for a call.

    Attributes:
        arm: None where no AI takes the call: a person or voicemail.
        shares: the chances of the draw, for calls that were drawn; empty for others.
        steps: what was looked at, in order, in words.
    """

    flag: str
    arm: str | None
    reason: Reason
    version: int
    shares: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[str, ...] = ()

    @property
    def randomised(self) -> bool:
        """Whether the call counts in the comparison of the arms."""
        return self.reason is Reason.SPLIT


def decide(flag: Flag, call: CallFacts) -> Decision:
    """Decide which arm a call gets."""
    try:
        return _decide(flag, call)
    except Exception as error:  # noqa: BLE001  # a call must get an arm, whatever is wrong here
        return Decision(
            flag.name, flag.control, Reason.ERROR, flag.version, steps=(f"error: {error!r}",)
        )


def _decide(flag: Flag, call: CallFacts) -> Decision:
    steps: list[str] = []

    def decided(
        arm: str | None, reason: Reason, shares: Mapping[str, float] | None = None
    ) -> Decision:
        return Decision(flag.name, arm, reason, flag.version, shares or {}, tuple(steps))

    if flag.ai_off:
        steps.append("the AI is switched off")
        return decided(None, Reason.DISABLED)
    closed = _closed(flag, call)
    steps.extend(f"arm {arm} {why}" for arm, why in closed.items())
    for arm, why in _wishes(flag, call):
        if arm in closed or arm not in flag.weights:
            steps.append(f"{why}: arm {arm} takes no calls, looked further")
            continue
        steps.append(f"{why}: arm {arm}")
        return decided(arm, Reason.TARGETING_MATCH)
    drawn = choose(call.key, flag.name, flag.salt, flag.weights)
    if drawn is not None and drawn not in closed:
        shares = {arm: flag.share(arm) for arm in flag.weights}
        steps.append(f"drawn: arm {drawn}, weight {shares[drawn]:.1%}")
        return decided(drawn, Reason.SPLIT, shares)
    # Not drawn anew among the others: a call that was to be another arm's is no fair sample.
    rest = [arm for arm in (flag.control, *flag.weights) if arm not in closed]
    if not rest:
        steps.append("no arm takes calls")
        return decided(None, Reason.DISABLED)
    steps.append(f"drawn: arm {drawn}, which takes no calls; instead arm {rest[0]}")
    return decided(rest[0], Reason.DEFAULT)


def _closed(flag: Flag, call: CallFacts) -> dict[str, str]:
    """Return the arms that take no call now, and why."""
    closed = dict.fromkeys(sorted(flag.stopped), "is stopped")
    for arm, cap in flag.caps.items():
        if call.active.get(arm, 0) >= cap:
            closed.setdefault(arm, f"is at its cap of {cap} calls")
    return closed


def _wishes(flag: Flag, call: CallFacts) -> Iterator[tuple[str, str]]:
    """Yield the arms that a call is to get without a draw, best first, and why."""
    if call.test_arm is not None:
        yield call.test_arm, "signed test header"
    values = {
        MatchBy.CALLER: call.caller,
        MatchBy.ROUTE: call.route,
        MatchBy.CALLED: call.called,
        MatchBy.TRUNK: call.trunk,
    }
    for by, value in values.items():
        for override in flag.overrides:
            if override.by is by and override.matches(value):
                yield override.arm or flag.control, f"override by {by} {override.pattern}"
