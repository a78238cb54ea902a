"""A dialplan's rules for callers in an emergency: their words, and the instruction they get.

The words are looked for in the transcript, so a dialplan without ``agent.transcription`` hears
none. The lists hold phrases, not words: whoever ordered a fire engine for a child is in no
emergency. An instruction too many costs ten seconds, one too few may cost more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from bridge.config.parts import Part, Text
from bridge.routing.parts import AtHand, Phrase
from bridge.routing.wording import WordList


class OwnEmergency(NamedTuple):
    """The words by which the bridge knows an emergency in one language, and answers it."""

    phrases: tuple[str, ...]
    unless: tuple[str, ...]
    instruction: str


# fmt: off
_ENGLISH = OwnEmergency(
    phrases=(
        "call 911", "dial 911", "call 9 1 1", "call nine one one", "call 999", "call 112",
        "call an ambulance", "call me an ambulance", "send an ambulance", "need an ambulance",
        "call the police", "send the police", "need the police", "call the fire department",
        "call the fire brigade", "this is an emergency", "it's an emergency", "medical emergency",
        "heart attack", "having a stroke", "can't breathe", "cannot breathe", "can not breathe",
        "isn't breathing", "not breathing", "stopped breathing", "chest pain", "chest pains",
        "is unconscious", "bleeding badly", "won't stop bleeding", "took an overdose",
        "overdosed", "i'm dying", "i am dying",
        "house is on fire", "kitchen is on fire", "building is on fire", "car is on fire",
        "there's a fire", "there is a fire", "smell gas", "gas leak", "carbon monoxide alarm",
        "kill myself", "end my life", "want to die", "want to hurt myself", "suicidal",
        "he has a gun", "she has a gun", "they have a gun", "he has a knife", "she has a knife",
        "they have a knife", "being attacked", "being followed",
        "breaking into my house", "broke into my house", "someone broke in",
        "going to kill me",
    ),
    unless=(
        "emergency kit", "emergency blanket", "emergency contact", "ambulance toy", "ambulance set",
        "ambulance costume", "ambulance bill", "gas leak detector", "fire sale", "fire pit",
        "fire engine", "fire truck", "fire extinguisher", "fire drill", "dying to",
    ),
    instruction=(
        "If this is an emergency, please hang up now and dial your local emergency number. "
        "This line cannot send help."
    ),
)
_GERMAN = OwnEmergency(
    phrases=(
        "ruf einen krankenwagen", "rufen sie einen krankenwagen", "brauche einen krankenwagen",
        "brauchen einen krankenwagen", "schicken sie einen krankenwagen", "brauche einen notarzt",
        "rufen sie den notarzt", "rufen sie die polizei", "rufen sie die feuerwehr",
        "schicken sie die polizei", "das ist ein notfall", "ein medizinischer notfall",
        "herzinfarkt", "schlaganfall", "bekomme keine luft", "kriege keine luft", "atmet nicht",
        "ist bewusstlos", "blutet stark", "es brennt bei uns", "die wohnung brennt",
        "das haus brennt", "hier brennt es", "es riecht nach gas", "bringe mich um",
        "mich umbringen", "will sterben", "er hat eine waffe", "er hat ein messer",
        "werde angegriffen", "wird eingebrochen",
    ),
    unless=("krankenwagen spielzeug", "krankenwagen kostüm"),
    instruction=(
        "Wenn dies ein Notfall ist, legen Sie bitte sofort auf und wählen Sie den Notruf. "
        "Über diese Leitung kann keine Hilfe geschickt werden."
    ),
)
_SPANISH = OwnEmergency(
    phrases=(
        "llame a una ambulancia", "llamen a una ambulancia", "necesito una ambulancia",
        "necesitamos una ambulancia", "manden una ambulancia", "llame a la policía",
        "llamen a la policía", "llame a los bomberos", "llamen a los bomberos",
        "es una emergencia", "emergencia médica", "ataque al corazón", "un infarto",
        "derrame cerebral", "no puedo respirar", "no puede respirar", "no respira",
        "está inconsciente", "la casa se quema", "hay un incendio", "hay fuego", "huele a gas",
        "quiero morir", "voy a matarme", "quitarme la vida", "tiene una pistola",
        "me están atacando",
    ),
    unless=("no es una emergencia", "ambulancia de juguete"),
    instruction=(
        "Si se trata de una emergencia, cuelgue ahora y llame al número de emergencias local. "
        "Desde esta línea no podemos enviar ayuda."
    ),
)
_FRENCH = OwnEmergency(
    phrases=(
        "appelez une ambulance", "besoin d'une ambulance", "envoyez une ambulance",
        "appelez la police", "appelez les pompiers", "appelez le samu", "c'est une urgence",
        "urgence médicale", "crise cardiaque", "fait un avc", "peux pas respirer",
        "n'arrive pas à respirer", "ne respire plus", "ne respire pas", "est inconscient",
        "est inconsciente", "la maison brûle", "il y a le feu", "il y a un incendie",
        "ça sent le gaz", "me suicider", "veux mourir", "il a une arme", "il a un couteau",
        "on m'attaque",
    ),
    unless=("ambulance en jouet",),
    instruction=(
        "S'il s'agit d'une urgence, raccrochez maintenant et composez le numéro d'urgence. "
        "Cette ligne ne peut pas envoyer de secours."
    ),
)
# fmt: on
_BUILT_IN: Mapping[str, OwnEmergency] = MappingProxyType(
    {"en": _ENGLISH, "de": _GERMAN, "es": _SPANISH, "fr": _FRENCH}
)


def own_emergency(language: str | None) -> OwnEmergency | None:
    """Return what the bridge knows in a language (BCP 47); English where none is given."""
    return _BUILT_IN.get((language or "en").split("-")[0])


@dataclass(frozen=True, slots=True)
class EmergencyPolicy:
    """The help for a caller in an emergency: the words that show one, and the instruction.

    Attributes:
        words: by which it is recognized.
        instruction: spoken to the caller.
        by_model: the bridge has no voice for it, so the agent says it.
        transfers: the call goes to a person then.
    """

    words: WordList
    instruction: str
    by_model: bool
    transfers: bool


class Emergency(Part):
    """The steps that are taken when a caller's words say that somebody is in danger.

    Attributes:
        enabled: whether words are looked for.
        phrases: that say so; None for the bridge's own in the agent's language.
        also: more of them.
        unless: words around them with which they mean something else, beside the bridge's own.
        say: the instruction; None for the bridge's own, where it has one in the language.
        then: the agent goes on, or the call goes to a person: the first of ``handoff.targets``,
            else ``fallback.to``.
    """

    enabled: bool = True
    phrases: tuple[Text, ...] | None = None
    also: tuple[Text, ...] = ()
    unless: tuple[Text, ...] = ()
    say: Phrase | None = None
    then: Literal["go_on", "transfer"] = "go_on"

    def words(self, language: str | None) -> WordList:
        """Return what is looked for in a language; empty where nothing is."""
        own = own_emergency(language)
        phrases = (own.phrases if own else ()) if self.phrases is None else self.phrases
        unless = own.unless if own and self.phrases is None else ()
        wanted = (*phrases, *self.also) if self.enabled else ()
        return WordList(wanted, unless=(*unless, *self.unless))

    def instruction(self, language: str | None) -> str | None:
        """Return the instruction to the caller; None where there are no words for it."""
        own = own_emergency(language)
        return self.say or (own.instruction if own else None)

    def policy(self, language: str | None, at_hand: AtHand) -> EmergencyPolicy | None:
        """Return what is done about words of an emergency; None where none are known."""
        words, instruction = self.words(language), self.instruction(language)
        if not words or instruction is None:
            return None
        return EmergencyPolicy(
            words=words,
            instruction=instruction,
            by_model=at_hand(instruction) is None,
            transfers=self.then == "transfer",
        )
