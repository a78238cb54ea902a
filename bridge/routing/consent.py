"""A dialplan's disclosure before an AI listens, and its question for the caller's consent.

It announces that a machine speaks, that the call is recorded, that somebody may listen in. The text
is the dialplan's; the law is the operator's (`NEEDS.md` section 5 "Regulatory").
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from bridge.config.parts import Part, Text
from bridge.routing.handoff import Key
from bridge.routing.parts import AtHand, Phrase, in_ms
from bridge.routing.wording import WordList

HUMAN_KEY = "0"
"""Always a person; so it refuses, too."""

_DIGEST_CHARS = 12


class OwnConsent(NamedTuple):
    """The bridge's own words of consent, spoken and understood, for dialplans that give none."""

    question: str
    refused: str
    nobody: str
    yes: tuple[str, ...]
    no: tuple[str, ...]


# fmt: off
_BUILT_IN: Mapping[str, OwnConsent] = MappingProxyType({
    "en": OwnConsent(
        question="Press {agree} to agree, or {refuse} for a person.",
        refused="All right. I will put you through to a person.",
        nobody="I am sorry, nobody can be reached right now. Please call again later. Goodbye.",
        yes=("yes", "yeah", "i agree", "i do", "i consent", "that's fine", "go ahead", "okay", "ok",
             "sure"),
        no=("no", "i don't agree", "i do not agree", "i don't consent", "i do not consent",
            "i refuse", "i don't want that", "a person", "a human"),
    ),
    "de": OwnConsent(
        question="Drücken Sie {agree}, um zuzustimmen, oder {refuse} für einen Menschen.",
        refused="In Ordnung. Ich verbinde Sie mit einem Menschen.",
        nobody="Leider ist gerade niemand zu erreichen. Bitte rufen Sie später wieder an.",
        yes=("ja", "ich stimme zu", "einverstanden", "in ordnung", "okay", "ok"),
        no=("nein", "ich stimme nicht zu", "nicht einverstanden", "ein mensch", "einen menschen"),
    ),
    "es": OwnConsent(
        question="Pulse {agree} para aceptar, o {refuse} para hablar con una persona.",
        refused="De acuerdo. Le paso con una persona.",
        nobody="Lo siento, ahora no hay nadie disponible. Por favor, llame más tarde.",
        yes=("sí", "si", "acepto", "de acuerdo", "vale", "está bien"),
        no=("no", "no acepto", "no estoy de acuerdo", "una persona"),
    ),
    "fr": OwnConsent(
        question="Appuyez sur {agree} pour accepter, ou sur {refuse} pour parler à une personne.",
        refused="Très bien. Je vous mets en relation avec une personne.",
        nobody="Désolé, personne n'est disponible en ce moment. Merci de rappeler plus tard.",
        yes=("oui", "j'accepte", "je suis d'accord", "d'accord", "entendu"),
        no=("non", "je refuse", "je n'accepte pas", "je ne suis pas d'accord", "une personne"),
    ),
})
# fmt: on


def own_consent(language: str | None) -> OwnConsent | None:
    """Return the bridge's own words in a language (BCP 47); English where none is given."""
    return _BUILT_IN.get((language or "en").split("-")[0])


@dataclass(frozen=True, slots=True)
class ConsentPolicy:
    """The disclosure that the caller hears first, and the question, if one is asked.

    Attributes:
        disclosure: None where it can't be said, nor the question: then nobody can agree.
        version: of the text, for records.
        before_audio: none of the caller's audio leaves before it was heard to its end.
        notice: staying on the line is agreeing.
        question: None where nothing is asked.
        agree_key, refuse_key: answers; ``yes``, ``no``: likewise, in words.
        answer_within_ms: from the end of the question.
        questions: how often it is asked.
        silence_agrees: what no answer means.
        hold_recording: nothing is recorded before, either.
        refused: said to who refuses; ``nobody``: where no person was reached then.
    """

    disclosure: str | None
    version: str
    before_audio: bool
    notice: bool
    question: str | None
    agree_key: str
    refuse_key: str
    yes: WordList
    no: WordList
    answer_within_ms: int
    questions: int
    silence_agrees: bool
    hold_recording: bool
    refused: str | None
    nobody: str | None

    @property
    def asks(self) -> bool:
        """Whether the caller has to answer."""
        return self.question is not None


class Consent(Part):
    """The disclosure, and what is made of it.

    Attributes:
        disclosure: what the caller is told: AI, recording, live monitoring; None for nothing.
        version: of the text, as it stands in records; None for a digest of what is said.
        when: ``before_audio``: nothing of the caller's is sent to the provider until they have
            heard it whole; ``with_greeting``: it is only said first.
        consent: ``none``: they are told; ``notice``: staying on the line is agreeing; ``ask``: they
            are asked.
        ask: the question; None for the bridge's own.
        agree, refuse: keys. Before audio may leave no words can be understood; with the greeting a
            plain yes or no does, too, where the caller is transcribed.
        answer_within_s: from the end of the question.
        questions: how often it is asked.
        on_silence: what no answer means.
        hold_recording: nothing is recorded before the caller has heard the disclosure, and agreed
            where they are asked.
        refused: said to who refuses, before they are put through to a person.
        nobody: said where no person could be reached, before the call ends.
    """

    disclosure: Phrase | None = None
    version: Text | None = None
    when: Literal["before_audio", "with_greeting"] = "before_audio"
    consent: Literal["none", "notice", "ask"] = "notice"
    ask: Phrase | None = None
    agree: Key = "1"
    refuse: Key = "2"
    answer_within_s: float = Field(8.0, ge=2, le=60)
    questions: int = Field(2, ge=1, le=5)
    on_silence: Literal["agrees", "refuses"] = "refuses"
    hold_recording: bool = True
    refused: Phrase | None = None
    nobody: Phrase | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.disclosure is None and self.model_fields_set - {"disclosure"}:
            raise ValueError("should have 'disclosure': what the caller is told")
        if self.agree == self.refuse:
            raise ValueError(f"'agree' and 'refuse' are the same key, {self.agree}")
        if self.agree == HUMAN_KEY:
            raise ValueError(f"should not have 'agree: \"{HUMAN_KEY}\"': that is always a person")
        return self

    @property
    def asks(self) -> bool:
        """Whether the caller has to answer."""
        return self.disclosure is not None and self.consent == "ask"

    @property
    def heard_before_audio(self) -> bool:
        """Whether the caller's audio waits for it."""
        return self.disclosure is not None and self.when == "before_audio"

    def question(self, language: str | None) -> str | None:
        """Return what is asked; None where nothing is, or there are no words for it."""
        own = own_consent(language)
        if not self.asks:
            return None
        keys = {"agree": self.agree, "refuse": self.refuse}
        return self.ask or (own.question.format_map(keys) if own else None)

    def problem(
        self, language: str | None, *, has_person: bool, bridge_decides: bool
    ) -> str | None:
        """Return what a dialplan lacks to ask its callers; None where it lacks nothing.

        Args:
            language: the agent's.
            has_person: there is somebody for those who refuse.
            bridge_decides: the service makes no answer by itself.
        """
        if not self.asks:
            return None
        if not has_person:
            return (
                "'consent: ask' needs 'handoff.targets' or 'fallback.to': who refuses gets a person"
            )
        if not self.heard_before_audio and not bridge_decides:
            return (
                "'consent: ask' needs 'when: before_audio' where the service decides about turns:"
                " it would answer before the caller has"
            )
        unsaid = [name for name in ("ask", "refused", "nobody") if getattr(self, name) is None]
        if unsaid and own_consent(language) is None:
            names = ", ".join(f"'consent.{name}'" for name in unsaid)
            return f"the bridge has no words of its own in '{language}': give {names}"
        return None

    def text_version(self, language: str | None) -> str:
        """Return by what name records know what was said."""
        if self.version is not None:
            return self.version
        said = "\n".join(filter(None, (self.disclosure, self.question(language))))
        return hashlib.sha256(said.encode()).hexdigest()[:_DIGEST_CHARS]

    def goodbyes(self, language: str | None) -> tuple[str | None, str | None]:
        """Return what is said to who refuses, and where nobody was reached."""
        own = own_consent(language)
        return self.refused or (own and own.refused), self.nobody or (own and own.nobody)

    def answers(self, language: str | None) -> tuple[WordList, WordList]:
        """Return the words that agree, and those that refuse."""
        own = own_consent(language)
        return WordList(own.yes if own else ()), WordList(own.no if own else ())

    def phrases(self, language: str | None) -> Iterator[str]:
        """Yield what the bridge has to say, known before any call."""
        spoken = [self.disclosure]
        if self.disclosure is not None:
            spoken += [self.question(language), *self.goodbyes(language)]
        yield from filter(None, spoken)

    def policy(self, language: str | None, at_hand: AtHand) -> ConsentPolicy | None:
        """Return the announcement to the caller; nothing where a part can't be said."""
        if self.disclosure is None:
            return None
        question = at_hand(self.question(language))
        sayable = question is not None or not self.asks
        refused, nobody = self.goodbyes(language)
        yes, no = self.answers(language)
        return ConsentPolicy(
            disclosure=at_hand(self.disclosure) if sayable else None,
            version=self.text_version(language),
            before_audio=self.heard_before_audio,
            notice=self.consent == "notice",
            question=question,
            agree_key=self.agree,
            refuse_key=self.refuse,
            yes=yes,
            no=no,
            answer_within_ms=in_ms(self.answer_within_s),
            questions=self.questions,
            silence_agrees=self.on_silence == "agrees",
            hold_recording=self.hold_recording,
            refused=at_hand(refused),
            nobody=at_hand(nobody),
        )
