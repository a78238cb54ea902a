"""The changes of a rollout: a person's, and those that follow from a verdict by themselves.

Each takes the state that is in force and returns the next one, without its version: whoever writes
it down gives that. Pure; times are wall time in ms since the Unix epoch.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bridge.config.complaints import suggest
from bridge.config.rollouts import HoursSettings, RolloutSettings
from bridge.errors import ConfigError
from bridge.routing.rollout.evidence import HarmEvidence
from bridge.routing.rollout.flag import Override
from bridge.routing.rollout.state import Halt, RolloutState
from bridge.routing.rollout.verdict import Action, Judgement

Change = Callable[[RolloutState], RolloutState | None]
"""Returns the next state, None where nothing is to be changed."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def set_share(state: RolloutState, percent: float, now_ms: int) -> RolloutState:
    """Give the treatment a share.

    Raises:
        ConfigError: it was halted, or the share is none.
    """
    share = round(percent * 10)
    if not 0 <= percent <= 100 or abs(share - percent * 10) > 1e-6:
        raise ConfigError(f"a share of {percent}%", remedy="0 to 100, in steps of 0.1")
    if share and state.halt is not Halt.NONE:
        raise ConfigError(
            f"the new arm was {state.halt.replace('_', ' ')}: {state.reason or 'see the history'}",
            remedy=_way_out(state.halt),
        )
    return replace(state, share=share, step_ms=now_ms, action="set")


def pause(state: RolloutState) -> RolloutState:
    """Take no step by itself until :func:`resume`."""
    return replace(state, paused=True, action="pause")


def resume(state: RolloutState, plan: RolloutSettings, now_ms: int) -> RolloutState:
    """Take steps again, and open an arm that was closed for failures in a row.

    Raises:
        ConfigError: the arm was stopped or rolled back.
    """
    if state.halt in (Halt.STOPPED, Halt.ROLLED_BACK):
        raise ConfigError(
            f"the new arm was {state.halt.replace('_', ' ')}", remedy=_way_out(state.halt)
        )
    going_on = replace(state, paused=False, action="resume")
    if state.halt is Halt.NONE:
        return going_on
    # A new step: the failures that closed it are not to close it again.
    return replace(
        going_on, stopped=state.stopped - {plan.treatment}, halt=Halt.NONE, step_ms=now_ms
    )


def roll_back(state: RolloutState, now_ms: int) -> RolloutState:
    """Give new calls to the control; calls that go on stay where they are."""
    return replace(
        state,
        share=0,
        step_ms=now_ms,
        halt=Halt.ROLLED_BACK,
        halted_ms=now_ms,
        action="rollback",
    )


def rearm(
    state: RolloutState, plan: RolloutSettings, now_ms: int, *, force: bool = False
) -> RolloutState:
    """Let a halted arm be tried again, from a share of 0 and with no evidence against it.

    Raises:
        ConfigError: it is not halted, or the cool-down is not over.
    """
    if state.halt is Halt.NONE:
        raise ConfigError("nothing is halted", remedy="`bridge rollout status` says what is")
    left_s = plan.cool_down_s - (now_ms - state.halted_ms) / 1000
    if left_s > 0 and not force:
        raise ConfigError(
            f"the cool-down lasts for {left_s:.0f} s more",
            remedy="wait, or say --force with a reason",
        )
    return replace(
        state,
        share=0,
        stopped=state.stopped - {plan.treatment},
        halt=Halt.NONE,
        trial=state.version + 1,
        step_ms=now_ms,
        evidence=HarmEvidence(),
        action="rearm",
    )


def switch_arm(state: RolloutState, plan: RolloutSettings, arm: str, *, on: bool) -> RolloutState:
    """Use an arm's kill switch: ``on`` lets it take calls.

    Raises:
        ConfigError: there is no such arm, or the machine halted it.
    """
    _know_arm(plan, arm)
    if on and arm == plan.treatment and state.halt is not Halt.NONE:
        raise ConfigError(
            f"arm '{arm}' was {state.halt.replace('_', ' ')}", remedy=_way_out(state.halt)
        )
    stopped = state.stopped - {arm} if on else state.stopped | {arm}
    return replace(state, stopped=stopped, action=f"arm {arm} {'on' if on else 'off'}")


def switch_ai(state: RolloutState, *, on: bool) -> RolloutState:
    """Use the kill switch of the AI as a whole."""
    return replace(state, ai_off=not on, action=f"ai {'on' if on else 'off'}")


def set_cap(state: RolloutState, plan: RolloutSettings, arm: str, cap: int | None) -> RolloutState:
    """Let an arm have so many calls at once; None: as many as come.

    Raises:
        ConfigError: there is no such arm, or the cap is negative.
    """
    _know_arm(plan, arm)
    if cap is not None and cap < 0:
        raise ConfigError(f"a cap of {cap}", remedy="0 or more calls")
    return replace(state, caps={**state.caps, arm: cap}, action=f"cap {arm}")


def reset_cap(state: RolloutState, plan: RolloutSettings, arm: str) -> RolloutState:
    """Let an arm have the settings' cap again.

    Raises:
        ConfigError: there is no such arm.
    """
    _know_arm(plan, arm)
    caps = {name: cap for name, cap in state.caps.items() if name != arm}
    return replace(state, caps=caps, action=f"cap {arm}")


def set_override(
    state: RolloutState, plan: RolloutSettings, what: Override, arm: str | None
) -> RolloutState:
    """Give calls an arm without a draw; None: draw them, whatever the settings say.

    Raises:
        ConfigError: there is no such arm.
    """
    if arm is not None:
        _know_arm(plan, arm)
    # The latest stands first: it is looked at before the others.
    others = {words: each for words, each in state.overrides.items() if words != what.words}
    return replace(state, overrides={what.words: arm, **others}, action=f"override by {what.by}")


def reset_override(state: RolloutState, what: Override) -> RolloutState:
    """Leave calls to the settings again."""
    others = {words: each for words, each in state.overrides.items() if words != what.words}
    return replace(state, overrides=others, action=f"override by {what.by}")


def _know_arm(plan: RolloutSettings, arm: str) -> None:
    if arm not in plan.arms:
        raise ConfigError(
            f"no arm '{arm}'",
            remedy=suggest(arm, plan.arms) or f"the arms are {' and '.join(plan.arms)}",
        )


def follow(
    state: RolloutState,
    plan: RolloutSettings,
    judgement: Judgement,
    now_ms: int,
) -> RolloutState | None:
    """Return what follows from a verdict; None where nothing does."""
    known = replace(state, reason="; ".join(judgement.reasons))
    halted = replace(known, halted_ms=now_ms, stopped=state.stopped | {plan.treatment})
    match judgement.action:
        case Action.STOP if state.halt is not Halt.STOPPED:
            return replace(halted, share=0, step_ms=now_ms, halt=Halt.STOPPED, action="stop")
        case Action.PAUSE if state.halt is Halt.NONE:
            return replace(halted, halt=Halt.CLOSED, action="close")
        case Action.ROLL_BACK if state.halt is Halt.NONE and state.share:
            return roll_back(known, now_ms)
        case Action.RAISE_INCIDENT if plan.on_incident == "ai_off" and not state.ai_off:
            return replace(known, ai_off=True, paused=True, action="incident: ai off")
        case Action.RAISE_INCIDENT if not state.paused:
            return replace(known, paused=True, action="incident")
        case Action.STEP_BACK if state.halt is Halt.NONE and not state.paused and state.share:
            return _step_back(known, plan, now_ms)
        case Action.PROMOTE:
            return _promote(known, plan, now_ms)
        case _:
            return None


def next_step(state: RolloutState, plan: RolloutSettings) -> float | None:
    """Return the next greater step, percent; None at the last one."""
    return next((step for step in plan.steps if round(step * 10) > state.share), None)


def why_held(
    state: RolloutState, plan: RolloutSettings, now_ms: int, flag: str = "FLAG"
) -> str | None:
    """Return why no step is taken by itself now, and the command that helps; None where one may be.

    Args:
        flag: the rollout's name, and options, as the command is to have them.
    """
    step = next_step(state, plan)
    if state.halt is not Halt.NONE:
        return f"the new arm was {state.halt.replace('_', ' ')}: {_way_out(state.halt, flag)}"
    if state.paused:
        return f"paused: `bridge rollout resume {flag}`"
    if state.ai_off or state.stopped:
        switch = "--ai on" if state.ai_off else f"--arm {min(state.stopped)}=on"
        return f"a kill switch is on: `bridge rollout set {flag} {switch}`"
    if not state.share:
        return f"not begun: `bridge rollout set {flag} --percent {plan.steps[0]:g}`"
    if step is None:
        return "done"
    if step in plan.gates:
        return (
            f"the step to {step:g}% is a person's: `bridge rollout set {flag} --percent {step:g}`"
        )
    if plan.hours is not None and step <= plan.hours.until_percent:
        return None if _is_open(plan.hours, now_ms) else "outside of the hours for steps"
    return None


def _promote(state: RolloutState, plan: RolloutSettings, now_ms: int) -> RolloutState | None:
    step = next_step(state, plan)
    if step is None or why_held(state, plan, now_ms) is not None:
        return None
    return replace(state, share=round(step * 10), step_ms=now_ms, action="promote")


def _step_back(state: RolloutState, plan: RolloutSettings, now_ms: int) -> RolloutState:
    lower = [round(step * 10) for step in plan.steps if round(step * 10) < state.share]
    return replace(state, share=lower[-1] if lower else 0, step_ms=now_ms, action="step back")


def _is_open(hours: HoursSettings, now_ms: int) -> bool:
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(hours.timezone))
    return _DAYS[local.weekday()] in hours.days and hours.begin <= local.time() < hours.end


def _way_out(halt: Halt, flag: str = "FLAG") -> str:
    return _WAY_OUT[halt].format(flag=flag)


_WAY_OUT = {
    Halt.STOPPED: "`bridge rollout rearm {flag}` once it is repaired",
    Halt.ROLLED_BACK: "`bridge rollout rearm {flag}` after the cool-down, with `--force` before",
    Halt.CLOSED: "`bridge rollout resume {flag}`, once it is repaired",
    Halt.NONE: "",
}
