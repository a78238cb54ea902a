"""Compiles a dialplan's consent and emergency sections into the policy of its calls."""

from collections.abc import Callable, Iterator

from bridge.engine.policy import ConsentPolicy, EmergencyPolicy
from bridge.routing.models import Dialplan

AtHand = Callable[[str | None], str | None]
"""Gives a phrase back if it was rendered."""


def consent_policy(dialplan: Dialplan, at_hand: AtHand) -> ConsentPolicy | None:
    """Return what the caller is told first; a text of which a part can't be said is not said."""
    consent, language = dialplan.consent, dialplan.agent.language
    if consent.disclosure is None:
        return None
    question = at_hand(consent.question(language))
    sayable = question is not None or not consent.asks
    refused, nobody = consent.goodbyes(language)
    yes, no = consent.answers(language)
    return ConsentPolicy(
        disclosure=at_hand(consent.disclosure) if sayable else None,
        version=consent.text_version(language),
        before_audio=consent.heard_before_audio,
        notice=consent.consent == "notice",
        question=question,
        agree_key=consent.agree,
        refuse_key=consent.refuse,
        yes=yes,
        no=no,
        answer_within_ms=round(consent.answer_within_s * 1000),
        questions=consent.questions,
        silence_agrees=consent.on_silence == "agrees",
        hold_recording=consent.hold_recording,
        refused=at_hand(refused),
        nobody=at_hand(nobody),
    )


def emergency_policy(dialplan: Dialplan, at_hand: AtHand) -> EmergencyPolicy | None:
    """Return what is done about words of an emergency; None where none are known."""
    emergency, language = dialplan.emergency, dialplan.agent.language
    words, instruction = emergency.words(language), emergency.instruction(language)
    if not words or instruction is None:
        return None
    return EmergencyPolicy(
        words=words,
        instruction=instruction,
        by_model=at_hand(instruction) is None,
        transfers=emergency.then == "transfer",
    )


def safety_phrases(dialplan: Dialplan) -> Iterator[str | None]:
    """Yield what these rules may say, for rendering before any call."""
    language = dialplan.agent.language
    yield from dialplan.consent.phrases(language)
    if dialplan.agent.transcription is not None and dialplan.emergency.words(language):
        yield dialplan.emergency.instruction(language)
