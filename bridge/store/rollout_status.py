"""Reports the status of all rollouts for the command line and the console."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping

from bridge.config.rollouts import RolloutSettings
from bridge.routing.rollout import changes
from bridge.routing.rollout.state import RolloutState, caps_of, overrides_of
from bridge.store.rollouts import RolloutStore

CHANGES_SHOWN = 5
_SHOWN_OF_A_CHANGE = ("version", "action", "share", "was", "author", "reason", "at_ms")


def calls_by_arm(calls: Iterable[Mapping[str, object]]) -> Counter[str]:
    """Count live calls by the arm that serves them: the one that took a call over, where one did.

    Args:
        calls: fields of their hashes, or rows of the live list.
    """
    return Counter(str(call.get("rescued_by") or call.get("arm", "")) for call in calls)


def arms_of(
    plan: RolloutSettings, state: RolloutState, calls: Mapping[str, int]
) -> dict[str, dict[str, object]]:
    """Return each arm's role, its percent of the draws, its switch, its cap and its live calls.

    Args:
        calls: arm -> live calls.
    """
    roles = {plan.control: "control", plan.treatment: "treatment"}
    return {
        arm: {
            "role": role,
            "percent": state.percent if role == "treatment" else 100 - state.percent,
            "stopped": arm in state.stopped,
            "cap": caps_of(plan, state).get(arm),
            "calls_now": calls.get(arm, 0),
        }
        for arm, role in roles.items()
    }


async def rollout_status(
    store: RolloutStore,
    plans: Mapping[str, RolloutSettings],
    calls_now: Mapping[str, int],
    now_ms: int,
    most_changes: int = CHANGES_SHOWN,
    options: str = "",
) -> list[dict[str, object]]:
    """Return where each rollout stands, as JSON values.

    Args:
        plans: of the settings, by flag.
        calls_now: arm -> live calls.
        now_ms: wall time, ms since the Unix epoch.
        most_changes: how many of the latest changes to return.
        options: of the commands that are advised, such as ``--config FILE``.

    Raises:
        RedisUnavailableError: Redis is away.
        ConfigError: somebody else wrote a rollout's state.
    """
    states = await store.read(list(plans))
    leader = await store.leader()
    found = []
    for flag, plan in plans.items():
        state = states.get(flag, RolloutState())
        found.append(
            {
                "flag": flag,
                "arms": arms_of(plan, state, calls_now),
                "overrides": [
                    {"calls": each.words, "arm": each.arm or plan.control}
                    for each in overrides_of(plan, state)
                ],
                "version": state.version,
                "ai_off": state.ai_off,
                "paused": state.paused,
                "halt": state.halt.value,
                "next_step": changes.next_step(state, plan),
                "held": changes.why_held(state, plan, now_ms, f"{flag} {options}".strip()),
                "leader": leader,
                "verdict": await store.verdict(flag),
                "changes": [
                    {name: fields.get(name, "") for name in _SHOWN_OF_A_CHANGE}
                    for _, fields in await store.history(flag, most_changes)
                ],
            }
        )
    return found


def change_of(fields: Mapping[str, str]) -> dict[str, object]:
    """Return a change of the history with its state and its evidence read."""
    return {**fields, "state": _load(fields, "state"), "evidence": _load(fields, "evidence")}


def _load(fields: Mapping[str, str], name: str) -> object:
    try:
        return json.loads(fields.get(name, "null"))
    except ValueError:
        return None
