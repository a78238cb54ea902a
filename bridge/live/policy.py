"""Turns a dialplan into the policy of its calls' core."""

from collections.abc import Callable

from bridge.engine.handoff.policy import FallbackPolicy, HandoffTarget
from bridge.engine.policy import CallPolicy, NoAgent, ToolPolicy
from bridge.live.keypad_policy import keypad_policy
from bridge.live.phrases import Phrases
from bridge.live.safety_policy import consent_policy, emergency_policy
from bridge.live.turn_policy import (
    barge_in_policy,
    caller_silence_policy,
    dead_air_policy,
    warning_of,
)
from bridge.routing.barge_in import farewell
from bridge.routing.fallback import recovery_policy
from bridge.routing.handoff import Handoff, Target
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode, has_agent
from bridge.routing.session import (
    cached_greeting,
    greeting_instructions,
    trailing_silence_ms,
    turn_overdue_ms,
)

_FILLER_AFTER_MS = 1_500
"""From the caller's last sound on. Two seconds of silence are dead air (`NEEDS.md` section 5); what
is left of them is for the jitter buffers on both ways, and a busy machine."""


_NO_AGENT = {
    Mode.CLOSED: NoAgent.CLOSED,
    Mode.FULL: NoAgent.FULL,
    Mode.AI_OFF: NoAgent.AI_OFF,
}


def policy_of(dialplan: Dialplan, phrases: Phrases, mode: Mode = Mode.OPEN) -> CallPolicy:
    """Return the core's policy for calls on a dialplan; what could not be rendered is not said.

    Args:
        dialplan: as it is for calls that are treated so (:func:`bridge.routing.modes.during`).
        mode: how they are treated.
    """
    limits, fallback = dialplan.limits, dialplan.fallback
    language = dialplan.agent.language

    def at_hand(text: str | None) -> str | None:
        return phrases.at_hand(language, text)

    return CallPolicy(
        no_agent=None if has_agent(dialplan, mode) else _NO_AGENT[mode],
        session_ready_ms=limits.session_ready_ms,
        max_duration_ms=limits.max_call_ms,
        max_duration_warning=at_hand(warning_of(dialplan)),
        warn_before_ms=round(limits.warn_before_s * 1000),
        barge_in=barge_in_policy(dialplan.agent),
        dead_air=dead_air_policy(dialplan, at_hand),
        caller_silence=caller_silence_policy(dialplan, at_hand),
        greet=dialplan.agent.greeting is not None,
        greeting_instructions=greeting_instructions(dialplan),
        cached_greeting=at_hand(cached_greeting(dialplan)),
        response_timeout_ms=limits.response_timeout_ms,
        filler_after_ms=_FILLER_AFTER_MS,
        stalled_after_ms=limits.response_timeout_ms,
        vad_trailing_silence_ms=trailing_silence_ms(dialplan),
        turn_overdue_ms=turn_overdue_ms(dialplan),
        tools={
            tool.name: ToolPolicy(tool.schema_of_arguments, at_hand(tool.filler), tool.background)
            for tool in dialplan.agent.tools
        },
        consent=consent_policy(dialplan, at_hand),
        emergency=emergency_policy(dialplan, at_hand),
        handoff=_targets(dialplan.handoff, at_hand),
        goodbye=at_hand(farewell(language)),
        keypad=keypad_policy(dialplan, at_hand),
        mcp_approved=frozenset(
            name for server in dialplan.agent.mcp_servers for name in server.approve
        ),
        recovery=recovery_policy(dialplan.recovery, fallback),
        outage_phrase=at_hand(dialplan.recovery.phrase),
        fallback=FallbackPolicy(
            say=at_hand(fallback.first_words(language)),
            transfer_to=None if fallback.to is None else _fallback_target(fallback.to),
            say_if_failed=at_hand(fallback.words_if_failed(language)),
            answers=fallback.before_answer == "answer",
            is_apology=fallback.say is None,
        ),
    )


def _fallback_target(to: str) -> HandoffTarget:
    return HandoffTarget("fallback", to, refer_to_headers=False)


def _targets(
    handoff: Handoff, at_hand: Callable[[str | None], str | None]
) -> dict[str, HandoffTarget]:
    """Return the people of a dialplan; what can't be said to the caller is left out."""
    return {
        name: _target(name, target, handoff, at_hand) for name, target in handoff.targets.items()
    }


def target_at(
    to: str, handoff: Handoff, at_hand: Callable[[str | None], str | None], *, warm: bool
) -> HandoffTarget:
    """Return somebody whom the dialplan does not name, with what it says about its people."""
    target = Target(to=to, mode="warm" if warm else "blind")
    return _target("other", target, handoff, at_hand)


def _target(
    name: str, target: Target, handoff: Handoff, at_hand: Callable[[str | None], str | None]
) -> HandoffTarget:
    accept = handoff.accept
    return HandoffTarget(
        name,
        target.to,
        warm=target.mode == "warm",
        refer=target.refer,
        refer_to_headers=target.refer_to_headers,
        ring_ms=round(target.ring_s * 1000),
        decide_ms=round(accept.within_s * 1000),
        before=at_hand(handoff.before),
        on_failure=at_hand(handoff.on_failure),
        on_hand_back=at_hand(handoff.on_hand_back),
        announce=handoff.announce,
        ask=handoff.ask or accept.question,
        accept_key=None if accept.by == "speech" else accept.key,
        refuse_key=accept.refuse,
        accept_speech=accept.by != "key",
        hand_back=target.when_person_leaves == "hand_back",
        hand_back_key=handoff.hand_back_key,
    )
