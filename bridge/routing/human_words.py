"""Words by which a caller asks for a person, by language. Pure.

A list of words would put callers through who speak of their travel agent, or who say that they
don't need an operator. So a person has to be asked for ("can I talk to someone", "get me a human"),
or be all that is said ("agent, please"). Matched on words, case folded, in any script.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from bridge.routing.wording import WordList, words_in


class OwnHumanWords(NamedTuple):
    """The bridge's own words in one language, alternatives as regular expressions over words.

    Attributes:
        asks: what comes before a person who is asked for.
        between: what may stand between the two, and before a person who is named alone.
        who: the person; ``named``: those who need no asking where they are all that is said.
        polite: what may stand around that.
        not_wanted: what comes at most three words before ``asks`` and turns it round.
        whole: other ways to ask.
    """

    asks: tuple[str, ...]
    between: tuple[str, ...]
    who: tuple[str, ...]
    named: tuple[str, ...]
    polite: tuple[str, ...]
    not_wanted: tuple[str, ...]
    whole: tuple[str, ...] = ()


# fmt: off
_ENGLISH = OwnHumanWords(
    asks=(
        "(?:speak|talk|chat) (?:to|with)", "get me", "give me", "connect me (?:to|with)",
        "put me (?:through |on )?(?:to|with)", "transfer(?: me| this call)? to",
        "(?:i|we) (?:just |really )?(?:want|need)", "(?:i'd|we'd|i would|we would) like",
        "can i (?:have|get)",
    ),
    between=(
        "an?", "the", "your", "any", "some", "real", "live", "actual", "human", "other",
        "customer", "service", "support",
    ),
    who=(
        "person", "people", "human(?: being)?s?", "(?:someone|somebody) (?:real|human|else)",
        "agents?", "operators?", "representatives?", "rep", "receptionist", "colleagues?",
        "supervisor", "manager", "staff member", "member of staff",
        "customer (?:service|support|care)",
    ),
    named=(
        "person", "human(?: being)?", "agent", "operator", "representative", "receptionist",
        "(?:someone|somebody) real",
    ),
    polite=(
        "please", "now", "hello", "hi", "hey", "yes", "yeah", "no", "um", "uh", "just", "thanks",
        "thank you", "i said",
    ),
    not_wanted=(
        "don't", "doesn't", "do not", "no need to", "needn't", "not", "never", "rather than",
        "instead of", "without",
    ),
    whole=(
        "(?:speak|talk|chat) (?:to|with) (?:someone|somebody|anyone|anybody)",
        "is there (?:someone|somebody|anyone|anybody|a (?:real )?person)"
        "(?: there| here)? (?:i|that i|who i) can (?:speak|talk) (?:to|with)",
    ),
)
_GERMAN = OwnHumanWords(
    asks=(
        "verbinden sie mich", "verbinde mich", "verbinden sie mich bitte", "geben sie mir",
        "gib mir",
        "(?:ich|wir) (?:will|wollen|möchte|möchten|brauche|brauchen|hätte gern|hätte gerne)",
        "(?:kann|könnte|darf) ich",
    ),
    between=(
        "bitte", "gern", "gerne", "jetzt", "mit", "eine[nmr]?", "der", "dem", "den", "die",
        "ihre[nmr]?", "echten?", "richtigen?", "wirklichen?", "menschlichen?",
    ),
    who=(
        "menschen?", "person", "mitarbeiter(?:in)?", "berater(?:in)?", "kollegen", "kollegin",
        "sachbearbeiter(?:in)?", "vorgesetzten", "operator",
    ),
    named=(
        "mensch(?:en)?", "mitarbeiter(?:in)?", "berater(?:in)?", "operator", "person",
    ),
    polite=(
        "bitte", "jetzt", "hallo", "ja", "nein", "äh", "ähm", "danke",
    ),
    not_wanted=(
        "nicht", "keine[nm]?", "kein", "ohne", "statt",
    ),
    whole=(
        "mit (?:jemandem|jemand|wem) (?:sprechen|reden)",
    ),
)
_FRENCH = OwnHumanWords(
    asks=(
        "parler (?:à|a|avec)", "passez moi", "passe moi", "donnez moi",
        "mettez moi en relation avec", "transférez moi (?:à|vers)",
        "(?:je|nous) (?:veux|voudrais|voulons|voudrions)(?: avoir)?", "j'ai besoin",
    ),
    between=(
        "une?", "le", "la", "d'une?", "de", "vraie?", "réelle?", "autre",
    ),
    who=(
        "personne(?: réelle| humaine)?", "humain", "être humain", "quelqu'un", "conseillère",
        "conseiller", "agent", "opérateur", "opératrice", "responsable", "collègue",
    ),
    named=(
        "humain", "conseillère", "conseiller", "agent", "opérateur", "opératrice",
        "personne réelle",
    ),
    polite=(
        "s'il vous plaît", "s'il te plaît", "svp", "maintenant", "bonjour", "oui", "non", "euh",
        "merci",
    ),
    not_wanted=(
        "pas", "jamais", "sans",
    ),
)
_SPANISH = OwnHumanWords(
    asks=(
        "hablar con", "p[áa]seme con", "p[áa]same con", "comuníqueme con", "comunícame con",
        "póngame con", "transfiérame (?:a|con)", "(?:quiero|quisiera|necesito|deme|dame)(?: a)?",
    ),
    between=(
        "una?", "el", "la", "alguna?", "algún", "otra", "otro", "verdadera",
    ),
    who=(
        "persona(?: real| humana)?", "humano", "ser humano", "alguien", "agente", "operadora?",
        "representante", "asesora?", "encargad[oa]", "supervisora?",
    ),
    named=(
        "persona(?: real)?", "humano", "agente", "operadora?", "representante", "asesora?",
    ),
    polite=(
        "por favor", "ahora", "hola", "sí", "si", "no", "eh", "gracias",
    ),
    not_wanted=(
        "no", "nunca", "sin", "en vez de", "en lugar de",
    ),
)
_ITALIAN = OwnHumanWords(
    asks=(
        "parlare con", "passatemi", "passami", "mi passi", "mettetemi in contatto con",
        "trasferitemi a", "(?:voglio|vorrei|ho bisogno di)",
    ),
    between=(
        "una?", "uno", "il", "la", "con", "vera", "vero", "altra", "altro", "qualche",
    ),
    who=(
        "persona(?: reale)?", "umano", "essere umano", "qualcuno", "operatore", "operatrice",
        "agente", "addetto", "addetta", "responsabile", "collega",
    ),
    named=(
        "persona(?: reale)?", "umano", "operatore", "operatrice", "agente", "addetto",
    ),
    polite=(
        "per favore", "per piacere", "adesso", "ora", "ciao", "buongiorno", "sì", "no", "eh",
        "grazie",
    ),
    not_wanted=(
        "non", "mai", "senza", "invece di",
    ),
)
_PORTUGUESE = OwnHumanWords(
    asks=(
        "falar com", "conversar com", "me pass[ae] (?:para|pra|com)", "passe me (?:para|a)",
        "me transfir[ae] (?:para|pra)", "(?:quero|queria|gostaria de|preciso de)",
    ),
    between=(
        "uma?", "o", "a", "alguma?", "algum", "de", "outra", "outro", "verdadeira",
    ),
    who=(
        "pessoa(?: real| de verdade)?", "humano", "ser humano", "alguém", "atendente",
        "operadora?", "agente", "representante", "supervisora?",
    ),
    named=(
        "pessoa(?: real)?", "humano", "atendente", "operadora?", "agente", "representante",
    ),
    polite=(
        "por favor", "agora", "olá", "oi", "sim", "não", "eh", "obrigad[oa]",
    ),
    not_wanted=(
        "não", "nunca", "sem", "em vez de",
    ),
)
# fmt: on
_BUILT_IN: Mapping[str, OwnHumanWords] = MappingProxyType(
    {
        "en": _ENGLISH,
        "de": _GERMAN,
        "fr": _FRENCH,
        "es": _SPANISH,
        "it": _ITALIAN,
        "pt": _PORTUGUESE,
    }
)


class HumanWords:
    """The words in one language by which a caller asks for a person.

    Args:
        language: BCP 47; English where none is given, nothing of the bridge's own in one that it
            does not know.
        also: phrases of a dialplan's own, which ask wherever they stand.
    """

    def __init__(self, language: str | None, also: Iterable[str] = ()) -> None:
        self._also = WordList(also)
        own = _BUILT_IN.get((language or "en").split("-")[0])
        self._asked = self._not_asked = self._alone = None
        if own is None:
            return
        between = _any(own.between)
        person = rf"{_any(own.asks)} (?:{between} )*{_any(own.who)}"
        asked = rf"{_any((person, *own.whole))}\b"
        self._asked = re.compile(rf"\b{asked}")
        self._not_asked = re.compile(rf"\b{_any(own.not_wanted)} (?:\S+ ){{0,3}}?{asked}")
        around = _any((*own.polite, *own.between))
        self._alone = re.compile(rf"(?:{around} )*{_any(own.named)}(?: {around})*")

    def ask(self, text: str) -> bool:
        """Return whether a turn of the caller's asks for a person."""
        if self._also.find(text) is not None:
            return True
        words = " ".join(words_in(text.replace("-", " ")))
        if self._asked is None or self._not_asked is None or self._alone is None:
            return False
        if self._alone.fullmatch(words):
            return True
        return self._asked.search(words) is not None and self._not_asked.search(words) is None


def _any(alternatives: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(alternatives)})"
