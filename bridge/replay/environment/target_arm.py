"""Asks a running gateway for an arm by the signed test header.

A gateway follows the header (:mod:`bridge.routing.rollout.signed_arm`) where the dialplan's arm is
chosen by that rollout, and the arm is neither stopped, without a share, nor full.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.config.rollouts import RolloutSettings
from bridge.errors import ConfigError
from bridge.routing.rollout.signed_arm import HEADER, sign_arm

_VALID_S = 300
"""From signing to the INVITE; the gateway's clock may differ."""


@dataclass(frozen=True, slots=True)
class ArmSigner:
    """Signs the wish for an arm.

    Attributes:
        flag: the rollout that the arms are of.
        secret: that the gateway draws callers with; never shown.
    """

    flag: str
    secret: bytes = field(repr=False)

    def headers(self, arm: str) -> Mapping[str, str]:
        """Return the headers of an INVITE that is to be taken on an arm."""
        until_s = int(time.time()) + _VALID_S
        return {HEADER: sign_arm(self.secret, self.flag, arm, until_s)}


def find_flag(
    rollouts: Mapping[str, RolloutSettings], arms: Sequence[str], named: str | None
) -> str:
    """Return the rollout that chooses among arms.

    Args:
        rollouts: of the gateway's settings.
        arms: that are to be called.
        named: by the user; None: there is but one.

    Raises:
        ConfigError: there is none, or more than one.
    """
    if named is not None and named not in rollouts:
        known = ", ".join(rollouts) or "none"
        raise ConfigError(f"there is no rollout '{named}'", remedy=f"the settings have: {known}")
    fitting = [
        flag
        for flag, plan in rollouts.items()
        if named in (None, flag) and set(arms) <= set(plan.arms)
    ]
    if len(fitting) == 1:
        return fitting[0]
    wanted = " and ".join(arms)
    if not fitting:
        raise ConfigError(
            f"no rollout of the settings chooses among the arms {wanted}",
            remedy="a running gateway takes a call on an arm of a rollout alone: name its settings"
            " file with --config, and arms of one rollout",
        )
    raise ConfigError(
        f"more rollouts than one have the arms {wanted}: {', '.join(fitting)}",
        remedy="name one with --target-rollout",
    )
