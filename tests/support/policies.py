"""Policies as the sections of an empty dialplan compile them, without words; a test changes them.

    call_policy(greet=False, barge_in=barge_in_policy(transcribed=True))

Arguments are the fields of the policy in their order; those of the limits and of the agent are
`call_policy`'s, too.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from bridge.engine.policy import CallPolicy, policy_of
from bridge.routing.barge_in import BargeIn, CallerSilence, DeadAir
from bridge.routing.consent import Consent
from bridge.routing.emergency import EmergencyPolicy
from bridge.routing.fallback import Fallback, Recovery
from bridge.routing.handoff import Handoff
from bridge.routing.keypad import ChoicePolicy, Digits, Keypad, Menu
from bridge.routing.models import Dialplan
from bridge.routing.tools import ToolPolicy
from bridge.routing.wording import NO_WORDS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def like(base: T | None, **changes: Any) -> Callable[..., T]:
    """Return what makes policies like this one, but for the fields that are given."""
    assert base is not None
    made = replace(base, **changes)
    names = [each.name for each in fields(base)]

    def make(*given: Any, **more: Any) -> T:
        return replace(made, **dict(zip(names, given, strict=False)), **more)

    return make


def _silent(text: str | None) -> str | None:
    return None


barge_in_policy = like(BargeIn(backchannel_words=()).policy(transcribed=False))
dead_air_policy = like(DeadAir().policy("xx", _silent))
caller_silence_policy = like(CallerSilence().policy("xx", _silent))
consent_policy = like(
    Consent(disclosure="An AI listens.", consent="none").policy("xx", _silent), version=""
)
emergency_policy = like(EmergencyPolicy(NO_WORDS, "", by_model=False, transfers=False))
menu_policy = like(Menu.model_construct(keys={}).policy("menu", None))
choice_policy = like(ChoicePolicy(say=None, tell=None, transfer=None, menu=None))
digits_policy = like(Digits().policy("digits", None))
keypad_policy = like(Keypad().policy("xx", _silent, transcribed=False), by_model=False)
fallback_policy = like(Fallback().policy("xx", _silent), is_apology=False)
recovery_policy = like(Recovery().policy(Fallback()))
tool_policy = like(ToolPolicy({}, filler=None, background=False))
handoff_target = like(
    Handoff(announce="x").person_at("sip:nobody@pbx.example", _silent, warm=False),
    announce="",
    ask="",
)

_EMPTY = Dialplan.model_validate(
    {
        "schema": "dialplan/v1",
        "name": "empty",
        "match": [{"called": "*"}],
        "arm": "ga",
        "agent": {"instructions": "Answer.", "language": "xx"},
    }
)
_COMPILED = policy_of(_EMPTY, _silent)
_LIMITS = replace(_COMPILED.limits, max_call_ms=None)
_AGENT = replace(_COMPILED.agent, greet=True, vad_trailing_silence_ms=0, turn_overdue_ms=None)
_LEFT_ALONE = replace(
    _COMPILED,
    limits=_LIMITS,
    agent=_AGENT,
    barge_in=None,
    dead_air=None,
    caller_silence=None,
    filler_after_ms=None,
    stalled_after_ms=None,
    fallback=fallback_policy(),
    keypad=keypad_policy(),
    emergency=None,
)


_PARTS: "dict[str, DataclassInstance]" = {"limits": _LIMITS, "agent": _AGENT}


def call_policy(**given: Any) -> CallPolicy:
    """Return a policy that interrupts, fills and ends nothing by itself, but for what is given."""
    parts = {name: like(part)(**_of(part, given)) for name, part in _PARTS.items()}
    return replace(_LEFT_ALONE, **{**parts, **given})


def with_agent(policy: CallPolicy, **changes: Any) -> CallPolicy:
    """Return a policy with other fields of its agent."""
    return replace(policy, agent=replace(policy.agent, **changes))


def _of(part: "DataclassInstance", given: dict[str, Any]) -> dict[str, Any]:
    """Take out of what is given what are fields of a part."""
    return {name: given.pop(name) for name in {each.name for each in fields(part)} & given.keys()}
