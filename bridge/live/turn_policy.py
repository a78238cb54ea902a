"""Compiles a dialplan's turn-taking into the policy of its calls, without phrases not at hand."""

from collections.abc import Callable, Iterator

from bridge.engine.policy import BargeInPolicy, CallerSilencePolicy, DeadAirPolicy
from bridge.routing.barge_in import CallerSilence, DeadAir, farewell, own_words
from bridge.routing.models import Agent, Dialplan

AtHand = Callable[[str | None], str | None]
"""Gives a phrase back if it was rendered."""


def barge_in_policy(agent: Agent) -> BargeInPolicy | None:
    """Return when the caller stops the agent; None where the service decides."""
    barge_in = agent.barge_in
    if not barge_in.is_ours:
        return None
    return BargeInPolicy(
        min_speech_ms=barge_in.guard_ms,
        yield_after_ms=barge_in.yields_ms,
        duck_after_ms=barge_in.duck_after_ms,
        duck_db=barge_in.duck_db,
        protects_greeting=barge_in.protect_greeting,
        transcribed=agent.transcription is not None,
        backchannel_words=barge_in.words,
    )


def dead_air_policy(dialplan: Dialplan, at_hand: AtHand) -> DeadAirPolicy | None:
    """Return what a caller hears who waits for the agent."""
    dead_air = dialplan.dead_air
    if not dead_air.enabled:
        return None
    apology, offer = _waiting_phrases(dead_air, dialplan.agent.language)
    return DeadAirPolicy(
        apology=at_hand(apology),
        apology_after_ms=round(dead_air.apology_after_s * 1000),
        offer=at_hand(offer),
        offer_after_ms=round(dead_air.offer_after_s * 1000),
    )


def caller_silence_policy(dialplan: Dialplan, at_hand: AtHand) -> CallerSilencePolicy | None:
    """Return what becomes of a silent caller."""
    silence = dialplan.caller_silence
    if not silence.enabled:
        return None
    reprompt, goodbye = _silence_phrases(silence, dialplan.agent.language)
    return CallerSilencePolicy(
        reprompt=at_hand(reprompt),
        reprompt_after_ms=round(silence.reprompt_after_s * 1000),
        reprompts=silence.reprompts,
        goodbye=at_hand(goodbye),
        close_after_ms=round(silence.close_after_s * 1000),
        cap_ms=round(silence.cap_s * 1000),
    )


def warning_of(dialplan: Dialplan) -> str | None:
    """Return what is said before the longest call ends."""
    words = own_words(dialplan.agent.language)
    return dialplan.limits.max_call_warning or (words.warning if words else None)


def turn_phrases(dialplan: Dialplan) -> Iterator[str | None]:
    """Yield what these rules may say, for rendering before any call."""
    language = dialplan.agent.language
    if dialplan.dead_air.enabled:
        apology, offer = _waiting_phrases(dialplan.dead_air, language)
        yield apology
        if dialplan.handoff.targets or dialplan.fallback.to is not None:
            yield offer
    if dialplan.caller_silence.enabled:
        yield from _silence_phrases(dialplan.caller_silence, language)
    yield warning_of(dialplan)
    yield farewell(language)


def _waiting_phrases(dead_air: DeadAir, language: str | None) -> tuple[str | None, str | None]:
    words = own_words(language)
    return (
        dead_air.apology or (words.apology if words else None),
        dead_air.offer or (words.offer if words else None),
    )


def _silence_phrases(silence: CallerSilence, language: str | None) -> tuple[str | None, str | None]:
    words = own_words(language)
    return (
        silence.reprompt or (words.reprompt if words else None),
        silence.goodbye or (words.goodbye if words else None),
    )
