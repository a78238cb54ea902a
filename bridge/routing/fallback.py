"""A dialplan's rules for an AI that can't be reached: retries, a phrase, a transfer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from bridge.config.parts import Part
from bridge.realtime.recovery import RecoveryPolicy
from bridge.routing.handoff import Handoff, HandoffTarget, Target
from bridge.routing.parts import AtHand, Phrase, TransferTarget, in_ms

TONE = "tone"
"""What is heard in the place of a phrase where a dialplan wants none."""

_SORRY = {
    "en": "I am sorry, I can't help you right now. Please call again a little later.",
    "de": "Es tut mir leid, ich kann Ihnen gerade nicht helfen. Bitte rufen Sie später wieder an.",
    "es": "Lo siento, ahora mismo no puedo ayudarle. Por favor, llame un poco más tarde.",
    "fr": "Je suis désolé, je ne peux pas vous aider pour le moment. Merci de rappeler plus tard.",
}
"""Last words to a caller whom nobody takes, where a dialplan has none of its own."""


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """The way on for a call whose session can't be had (again).

    Phrases are None where there are none, or where they could not be rendered; then a tone is
    heard in their place.

    Attributes:
        say: the caller hears this.
        transfer_to: who then gets the call; None to hang up.
        say_if_failed: the caller hears this when they could not be put through.
        answers: a call that still rings is answered for it; else it is refused with 503.
        is_apology: ``say`` is the bridge's own, for a call that was answered already: no reason to
            answer one that a carrier may take elsewhere.
    """

    say: str | None
    transfer_to: HandoffTarget | None
    say_if_failed: str | None
    answers: bool
    is_apology: bool

    @property
    def heard(self) -> bool:
        """Whether the dialplan has more for the caller than a tone."""
        return (self.say is not None and not self.is_apology) or self.transfer_to is not None


class Fallback(Part):
    """The end of a call whose session can't be had, or can't be had again.

    Attributes:
        say: what the caller is told first, or ``tone``; None: an apology in the dialplan's language
            before the bridge hangs up, and a tone before a transfer.
        then: what comes after it.
        to: where the call is sent (`then: transfer`).
        say_if_failed: what the caller is told when the transfer failed, or ``tone``; None: the
            apology.
        before_answer: what a call that still rings gets: 503, so that the carrier may try another
            route, or our answer and the same as any other.
    """

    say: Phrase | None = None
    then: Literal["hang_up", "transfer"] = "hang_up"
    to: TransferTarget | None = None
    say_if_failed: Phrase | None = None
    before_answer: Literal["reject", "answer"] = "reject"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.then == "transfer" and self.to is None:
            raise ValueError("should have 'to', where 'then: transfer' sends the call")
        if self.then == "hang_up" and (self.to or self.say_if_failed):
            raise ValueError("should have 'then: transfer' with 'to' or 'say_if_failed'")
        if self.before_answer == "answer" and self.then == "hang_up" and self.say is None:
            raise ValueError("should have 'say' or 'then: transfer' with 'before_answer: answer'")
        return self

    def first_words(self, language: str | None) -> str | None:
        """Return what the caller hears first; None for a tone."""
        return self._words(self.say, language, last=self.then == "hang_up")

    def words_if_failed(self, language: str | None) -> str | None:
        """Return what the caller hears when the transfer failed; None for a tone."""
        return self._words(self.say_if_failed, language, last=self.then == "transfer")

    def _words(self, given: str | None, language: str | None, *, last: bool) -> str | None:
        if given is not None:
            return None if given == TONE else given
        return _SORRY.get((language or "en").split("-")[0].lower()) if last else None

    def phrases(self, language: str | None) -> Iterator[str]:
        """Yield what it has to say."""
        yield from filter(None, (self.first_words(language), self.words_if_failed(language)))

    def policy(self, language: str | None, at_hand: AtHand) -> FallbackPolicy:
        """Return what becomes of the call; a phrase that can't be said is a tone."""
        return FallbackPolicy(
            say=at_hand(self.first_words(language)),
            transfer_to=None if self.to is None else _person_at(self.to),
            say_if_failed=at_hand(self.words_if_failed(language)),
            answers=self.before_answer == "answer",
            is_apology=self.say is None,
        )


def _person_at(to: str) -> HandoffTarget:
    """Return the person to whom a fallback leads: dialled without announcement or question."""
    target = Target(to=to, refer_to_headers=False)
    return replace(
        Handoff(targets={"fallback": target}).people(lambda text: text)["fallback"],
        announce="",
        ask="",
    )


class Recovery(Part):
    """The way in which a lost session is got back while the caller hears a filler.

    Attributes:
        max_failures: sessions lost in a row, or responses failed, after which it is given up;
            attempts to connect are bounded by time alone.
        max_outage_s: longest time without a session; attempts are spread over it.
        attempt_s: longest time of one attempt.
        filler_after_s: silence before the caller hears the filler in an outage, while a person is
            called, and after a phrase that is said meanwhile; over 2 s is dead air (`NEEDS.md`
            section 5).
        kept_audio_s: what the caller says meanwhile, kept for the next session.
        filler: ``tone``, or what the caller is told once, before the tones.
    """

    max_failures: int = Field(5, ge=1, le=20)
    max_outage_s: float = Field(15.0, gt=0, le=120)
    attempt_s: float = Field(5.0, gt=0, le=60)
    filler_after_s: float = Field(1.2, ge=0, le=2)
    kept_audio_s: float = Field(30.0, ge=0, le=60)
    filler: Phrase = TONE

    @property
    def phrase(self) -> str | None:
        """The filler's words; None for tones alone."""
        return None if self.filler == TONE else self.filler

    def policy(self, fallback: Fallback) -> RecoveryPolicy:
        """Return the bounds for the recovery's plan."""
        return RecoveryPolicy(
            max_failures=self.max_failures,
            max_outage_ms=in_ms(self.max_outage_s),
            attempt_ms=in_ms(self.attempt_s),
            filler_after_ms=in_ms(self.filler_after_s),
            kept_audio_ms=in_ms(self.kept_audio_s),
            fallback=fallback.then,
        )
