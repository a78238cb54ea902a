"""A dialplan's rules for interruptions, dead air and silent callers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from pydantic import Field

from bridge.audio.levels import DEFAULT_THRESHOLD_DBFS
from bridge.audio.sounds import SoundSettings
from bridge.config.parts import Part, Text
from bridge.routing.parts import AtHand, Phrase, in_ms

BACKCHANNELS = frozenset(
    {"mm", "mmm", "mhm", "hm", "hmm", "huh", "uh", "um", "ah", "aha", "oh"}
    | {"yeah", "yep", "yes", "yup", "ok", "okay", "right", "sure", "alright", "good"}
    | {"i", "see", "got", "it", "ja", "genau", "si", "oui"}
)
"""Single words; "uh-huh" is two."""

_MIN_SPEECH_MS = MappingProxyType({"ignore": 460, "stop": 200})
_YIELD_MS = MappingProxyType({"ignore": 360, "stop": 160})
"""A backchannel lasts 300 to 400 ms. The agent is silent some 30 ms after the length at which it
yields (`tests/bench/bench_barge_in.py`); 500 ms from the first sound on are allowed (`NEEDS.md`
section 5)."""


@dataclass(frozen=True, slots=True)
class BargeInPolicy:
    """The lengths of a caller's sound over the agent, and the action that each brings.

    Attributes:
        min_speech_ms: local sound of this length stops the agent: its answer is cancelled.
        yield_after_ms: local sound of this length silences the agent's audio, which comes back
            where the sound stays shorter than ``min_speech_ms``.
        duck_after_ms: local sound of this length lowers the agent's audio; None for never.
        duck_db: by how much.
        protects_greeting: the greeting is heard to its end.
        transcribed: the caller's words become known.
        backchannel_words: words that are no turn while the agent speaks, lower case; empty where
            every word is one.
    """

    min_speech_ms: int
    yield_after_ms: int | None
    duck_after_ms: int | None
    duck_db: float
    protects_greeting: bool
    transcribed: bool
    backchannel_words: frozenset[str]


class BargeIn(Part):
    """The conditions under which the caller's speech stops the agent.

    Attributes:
        decided_by: ``bridge``: by what follows, on the sound that is measured here; ``service``:
            by the service's own turn detection, at once.
        backchannels: whether a short "mm-hm" stops the agent.
        min_speech_ms: sound of the caller's that stops the agent; None for a figure that goes with
            ``backchannels``.
        yield_after_ms: sound of the caller's that silences the agent's audio, which comes back if
            the sound stays shorter than ``min_speech_ms``; None for a figure that goes with
            ``backchannels``.
        duck_after_ms: sound of the caller's that lowers the agent's audio; None for never.
        duck_db: by how much.
        threshold_dbfs: quieter than that is silence.
        echo_guard_db: the agent's echo comes back quieter than the agent by at least this much;
            what is quieter is no sound of the caller's. Phones have to do better (46 dB, 3GPP TS
            26.131 section 7.4), networks may do worse.
        protect_greeting: the greeting is heard to its end.
        backchannel_words: what counts as one where the caller's words are transcribed; None for a
            built-in list.
    """

    decided_by: Literal["bridge", "service"] = "bridge"
    backchannels: Literal["ignore", "stop"] = "ignore"
    min_speech_ms: int | None = Field(None, ge=60, le=5_000)
    yield_after_ms: int | None = Field(None, ge=60, le=5_000)
    duck_after_ms: int | None = Field(120, ge=60, le=5_000)
    duck_db: float = Field(12.0, ge=0, le=60)
    threshold_dbfs: float = Field(DEFAULT_THRESHOLD_DBFS, ge=-80, le=0)
    echo_guard_db: float = Field(30.0, ge=0, le=80)
    protect_greeting: bool = False
    backchannel_words: tuple[Text, ...] | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the bridge decides."""
        return self.decided_by == "bridge"

    @property
    def guard_ms(self) -> int:
        """The sound that stops the agent."""
        return self.min_speech_ms or _MIN_SPEECH_MS[self.backchannels]

    @property
    def yields_ms(self) -> int:
        """The sound that silences the agent."""
        return min(self.yield_after_ms or _YIELD_MS[self.backchannels], self.guard_ms)

    @property
    def words(self) -> frozenset[str]:
        """Words that are no turn over the agent, case folded; empty where every word is one."""
        if self.backchannels == "stop":
            return frozenset()
        listed = self.backchannel_words
        return BACKCHANNELS if listed is None else frozenset(map(str.casefold, listed))

    @property
    def sounds(self) -> SoundSettings:
        """What counts as a sound of the caller's."""
        lengths = {self.guard_ms, self.yields_ms}
        if self.duck_after_ms is not None:
            lengths.add(self.duck_after_ms)
        return SoundSettings(self.threshold_dbfs, self.echo_guard_db, tuple(sorted(lengths)))

    def policy(self, *, transcribed: bool) -> BargeInPolicy | None:
        """Return when the caller stops the agent; None where the service decides."""
        if not self.is_ours:
            return None
        return BargeInPolicy(
            min_speech_ms=self.guard_ms,
            yield_after_ms=self.yields_ms,
            duck_after_ms=self.duck_after_ms,
            duck_db=self.duck_db,
            protects_greeting=self.protect_greeting,
            transcribed=transcribed,
            backchannel_words=self.words,
        )


class OwnTurnWords(NamedTuple):
    """The bridge's own words about turns, for dialplans that give none."""

    apology: str
    offer: str
    reprompt: str
    goodbye: str
    warning: str


_ENGLISH = OwnTurnWords(
    apology="I am sorry that this takes so long. I am still here.",
    offer="This takes longer than it should. Press zero to be put through to a person.",
    reprompt="Are you still there?",
    goodbye="I cannot hear you, so I am ending this call. Please call again. Goodbye.",
    warning="Just so you know, this call has to end in a moment.",
)
_BUILT_IN: Mapping[str, OwnTurnWords] = MappingProxyType({"en": _ENGLISH})

_FAREWELLS: Mapping[str, str] = MappingProxyType(
    {
        "en": "I have to end this call now. Thank you for calling. Goodbye.",
        "de": "Ich muss dieses Gespräch jetzt beenden. Danke für Ihren Anruf. Auf Wiederhören.",
        "es": "Tengo que terminar esta llamada. Gracias por llamar. Adiós.",
        "fr": "Je dois mettre fin à cet appel. Merci de votre appel. Au revoir.",
    }
)
"""The languages in which the bridge asks for consent, too."""


def own_words(language: str | None) -> OwnTurnWords | None:
    """Return the bridge's own words in a language (BCP 47); English where none is given."""
    return _BUILT_IN.get((language or "en").split("-")[0])


def farewell(language: str | None) -> str | None:
    """Return what is said before a supervisor ends a call; English where no language is given."""
    return _FAREWELLS.get((language or "en").split("-")[0])


@dataclass(frozen=True, slots=True)
class DeadAirPolicy:
    """The phrases for a caller who waits for the agent, beside the filler; each may be None.

    Attributes:
        apology_after_ms: of waiting; ``offer_after_ms`` likewise.
        offer: of a person: the first of ``CallPolicy.handoff``, or the fallback's.
    """

    apology: str | None
    apology_after_ms: int
    offer: str | None
    offer_after_ms: int


class DeadAir(Part):
    """The words that a caller hears while waiting for the agent, beside the filler.

    Attributes:
        apology, offer: None for the bridge's own words.
        enabled: whether there is any of it.
    """

    enabled: bool = True
    apology: Phrase | None = None
    apology_after_s: float = Field(5.0, ge=1, le=60)
    offer: Phrase | None = None
    offer_after_s: float = Field(10.0, ge=1, le=120)

    def policy(self, language: str | None, at_hand: AtHand) -> DeadAirPolicy | None:
        """Return what a caller hears who waits for the agent; None for nothing of this."""
        if not self.enabled:
            return None
        return DeadAirPolicy(
            apology=at_hand(self._apology(language)),
            apology_after_ms=in_ms(self.apology_after_s),
            offer=at_hand(self._offer(language)),
            offer_after_ms=in_ms(self.offer_after_s),
        )

    def phrases(self, language: str | None, *, has_person: bool) -> Iterator[str | None]:
        """Yield what the bridge has to say, known before any call."""
        if self.enabled:
            yield self._apology(language)
            if has_person:
                yield self._offer(language)

    def _apology(self, language: str | None) -> str | None:
        words = own_words(language)
        return self.apology or (words.apology if words else None)

    def _offer(self, language: str | None) -> str | None:
        words = own_words(language)
        return self.offer or (words.offer if words else None)


@dataclass(frozen=True, slots=True)
class CallerSilencePolicy:
    """The patience with a caller who says nothing. Phrases may be None.

    Attributes:
        reprompt_after_ms: of silence; again after as much more.
        reprompts: how often.
        close_after_ms: from the silence's begin to the goodbye.
        cap_ms: longest time without a word of the caller's, whatever turn detection hears.
    """

    reprompt: str | None
    reprompt_after_ms: int
    reprompts: int
    goodbye: str | None
    close_after_ms: int
    cap_ms: int


class CallerSilence(Part):
    """The steps that are taken with a caller who says nothing.

    Attributes:
        reprompt, goodbye: None for the bridge's own words; where it has none in the language, the
            model asks, and the call ends without a goodbye.
        enabled: whether there is any of it.
        cap_s: longest time without a word of the caller's, whatever the service hears.
    """

    enabled: bool = True
    reprompt: Phrase | None = None
    reprompt_after_s: float = Field(8.0, ge=1, le=120)
    reprompts: int = Field(2, ge=0, le=10)
    goodbye: Phrase | None = None
    close_after_s: float = Field(25.0, ge=2, le=600)
    cap_s: float = Field(120.0, ge=5, le=3600)

    def policy(self, language: str | None, at_hand: AtHand) -> CallerSilencePolicy | None:
        """Return what becomes of a silent caller; None leaves them alone."""
        if not self.enabled:
            return None
        reprompt, goodbye = self._words(language)
        return CallerSilencePolicy(
            reprompt=at_hand(reprompt),
            reprompt_after_ms=in_ms(self.reprompt_after_s),
            reprompts=self.reprompts,
            goodbye=at_hand(goodbye),
            close_after_ms=in_ms(self.close_after_s),
            cap_ms=in_ms(self.cap_s),
        )

    def phrases(self, language: str | None) -> Iterator[str | None]:
        """Yield what the bridge has to say, known before any call."""
        if self.enabled:
            yield from self._words(language)

    def _words(self, language: str | None) -> tuple[str | None, str | None]:
        words = own_words(language)
        return (
            self.reprompt or (words.reprompt if words else None),
            self.goodbye or (words.goodbye if words else None),
        )
