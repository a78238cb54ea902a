"""What a dialplan means for the core of its calls."""

from bridge.engine.policy import CallPolicy, FallbackPolicy, ToolPolicy
from bridge.live.phrases import Phrases
from bridge.routing.fallback import recovery_policy
from bridge.routing.models import Dialplan
from bridge.routing.session import greeting_instructions, trailing_silence_ms

_FILLER_AFTER_MS = 1_400
"""Two seconds of silence are dead air (`needs.md` (e)); the server's own wait for the end of the
caller's turn, 500 ms by default, comes before these."""


def policy_of(dialplan: Dialplan, phrases: Phrases) -> CallPolicy:
    """Return the core's policy for calls on a dialplan; what could not be rendered is not said."""
    limits, fallback = dialplan.limits, dialplan.fallback
    language = dialplan.agent.language
    return CallPolicy(
        session_ready_ms=limits.session_ready_ms,
        max_duration_ms=limits.max_call_ms,
        greet=dialplan.agent.greeting is not None,
        greeting_instructions=greeting_instructions(dialplan),
        response_timeout_ms=limits.response_timeout_ms,
        filler_after_ms=_FILLER_AFTER_MS,
        stalled_after_ms=limits.response_timeout_ms,
        vad_trailing_silence_ms=trailing_silence_ms(dialplan),
        tools={
            tool.name: ToolPolicy(
                tool.schema_of_arguments, phrases.at_hand(language, tool.filler), tool.background
            )
            for tool in dialplan.agent.tools
        },
        mcp_approved=frozenset(
            name for server in dialplan.agent.mcp_servers for name in server.approve
        ),
        recovery=recovery_policy(dialplan.recovery, fallback),
        outage_phrase=phrases.at_hand(language, dialplan.recovery.phrase),
        fallback=FallbackPolicy(
            say=phrases.at_hand(language, fallback.say),
            transfer_to=fallback.to,
            say_if_failed=phrases.at_hand(language, fallback.say_if_failed),
            answers=fallback.before_answer == "answer",
        ),
    )
