"""What a dialplan means for the core of its calls."""

from bridge.engine.policy import CallPolicy, FallbackPolicy, ToolPolicy
from bridge.live.phrases import Phrases
from bridge.live.turn_policy import (
    barge_in_policy,
    caller_silence_policy,
    dead_air_policy,
    warning_of,
)
from bridge.routing.fallback import recovery_policy
from bridge.routing.models import Dialplan
from bridge.routing.session import greeting_instructions, trailing_silence_ms

_FILLER_AFTER_MS = 1_500
"""From the caller's last sound on. Two seconds of silence are dead air (`needs.md` (e)); what is
left of them is for the jitter buffers on both ways, and a busy machine."""


def policy_of(dialplan: Dialplan, phrases: Phrases) -> CallPolicy:
    """Return the core's policy for calls on a dialplan; what could not be rendered is not said."""
    limits, fallback = dialplan.limits, dialplan.fallback
    language = dialplan.agent.language

    def at_hand(text: str | None) -> str | None:
        return phrases.at_hand(language, text)

    return CallPolicy(
        session_ready_ms=limits.session_ready_ms,
        max_duration_ms=limits.max_call_ms,
        max_duration_warning=at_hand(warning_of(dialplan)),
        warn_before_ms=round(limits.warn_before_s * 1000),
        barge_in=barge_in_policy(dialplan.agent),
        dead_air=dead_air_policy(dialplan, at_hand),
        caller_silence=caller_silence_policy(dialplan, at_hand),
        greet=dialplan.agent.greeting is not None,
        greeting_instructions=greeting_instructions(dialplan),
        response_timeout_ms=limits.response_timeout_ms,
        filler_after_ms=_FILLER_AFTER_MS,
        stalled_after_ms=limits.response_timeout_ms,
        vad_trailing_silence_ms=trailing_silence_ms(dialplan),
        tools={
            tool.name: ToolPolicy(tool.schema_of_arguments, at_hand(tool.filler), tool.background)
            for tool in dialplan.agent.tools
        },
        mcp_approved=frozenset(
            name for server in dialplan.agent.mcp_servers for name in server.approve
        ),
        recovery=recovery_policy(dialplan.recovery, fallback),
        outage_phrase=at_hand(dialplan.recovery.phrase),
        fallback=FallbackPolicy(
            say=at_hand(fallback.say),
            transfer_to=fallback.to,
            say_if_failed=at_hand(fallback.say_if_failed),
            answers=fallback.before_answer == "answer",
        ),
    )
