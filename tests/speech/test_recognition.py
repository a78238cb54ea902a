import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.audio.g711 import Law
from bridge.audio.levels import find_speech
from bridge.audio.resample import downsample_whole
from bridge.errors import ConfigError
from bridge.simulator.scenario import default_scenario
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import Synthesizer
from bridge.speech.words import sentences_of
from tests.speech.line import over_the_phone, silence

pytestmark = pytest.mark.speech

SCENARIO = default_scenario()
RATE_HZ = 24_000


@functools.cache
def caller_ears() -> Recognizer:
    return Recognizer(SCENARIO.phrases, SCENARIO.pronunciations)


@functools.cache
def agent_ears() -> Recognizer:
    sentences = [each for text in SCENARIO.sentences() for each in sentences_of(text)]
    return Recognizer(sentences, SCENARIO.pronunciations)


def said(text: str, voice: str = "en-us", words_per_minute: int = 160) -> NDArray[np.int16]:
    return over_the_phone(Synthesizer(voice, words_per_minute).say(text))


@pytest.mark.parametrize("voice", ["en-us", "en-us+m3", "en-us+f2"])
@pytest.mark.parametrize("phrase", SCENARIO.phrases)
def test_every_phrase_is_understood_over_the_phone(phrase: str, voice: str) -> None:
    heard = caller_ears().hear(said(phrase, voice), RATE_HZ)
    assert heard is not None
    assert heard.text == phrase


def test_silence_around_and_a_low_level_change_nothing() -> None:
    quiet = (said("Where is my order?") // 16).astype(np.int16)
    heard = caller_ears().hear(np.concatenate([silence(2000), quiet, silence(900)]), RATE_HZ)
    assert heard is not None
    assert heard.text == "Where is my order?"


def test_8_khz_a_law_is_understood() -> None:
    speech = downsample_whole(
        over_the_phone(Synthesizer().say("Are you from Northwind?"), Law.PCMA)
    )
    heard = caller_ears().hear(speech, 8_000)
    assert heard is not None
    assert heard.text == "Are you from Northwind?"


def test_half_a_sentence_is_not_guessed() -> None:
    assert caller_ears().hear(said("What are your opening"), RATE_HZ) is None


@pytest.mark.parametrize(
    "text",
    [
        "Hello.",
        "My cat is on the roof.",
        "The weather is nice today.",
        "Can you help me please?",
    ],
)
def test_what_is_no_phrase_is_not_understood(text: str) -> None:
    assert caller_ears().hear(said(text), RATE_HZ) is None


def test_silence_and_noise_are_not_understood() -> None:
    noise = np.random.default_rng(0).normal(0, 2000, 2 * RATE_HZ).astype(np.int16)
    assert caller_ears().hear(silence(2000), RATE_HZ) is None
    assert caller_ears().hear(noise, RATE_HZ) is None
    assert caller_ears().hear(silence(0), RATE_HZ) is None


@pytest.mark.parametrize("text", list(SCENARIO.sentences()))
def test_hear_all_splits_the_agents_replies_into_sentences(text: str) -> None:
    speech = said(text, SCENARIO.voice, SCENARIO.words_per_minute)
    pieces = agent_ears().hear_all(speech, RATE_HZ)
    assert tuple(piece.text for piece in pieces) == sentences_of(text)
    ends = [0, *(piece.end_ms for piece in pieces)]
    assert all(
        before <= piece.start_ms < piece.end_ms for before, piece in zip(ends, pieces, strict=False)
    )
    assert speech.size * 1000 // RATE_HZ - 250 < ends[-1] <= speech.size * 1000 // RATE_HZ


def test_hear_all_keeps_what_it_did_not_understand() -> None:
    speech = np.concatenate(
        [said("My cat is on the roof."), silence(800), said("Where is my order?")]
    )
    assert [piece.text for piece in caller_ears().hear_all(speech, RATE_HZ)] == [
        None,
        "Where is my order?",
    ]


def test_unknown_word_names_it_and_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"'qwyzzle'.*pronunciations"):
        Recognizer(["call qwyzzle now"])


def test_wrong_phones_name_the_word() -> None:
    with pytest.raises(ConfigError, match=r"'northwind'.*ARPABET"):
        Recognizer(["call northwind"], {"Northwind": "N O R T H"})


def test_second_pronunciation_is_reported_as_the_word() -> None:
    recognizer = Recognizer(["call tomato"], {"tomato": "T AH M AA T OW"})
    heard = recognizer.hear(said("call tomahto"), RATE_HZ)
    assert heard is not None
    assert heard.text == "call tomato"


def test_no_phrases_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no phrases"):
        Recognizer(["..."])


def test_sentences_without_a_pause_between_them_are_one_piece_with_both() -> None:
    first, second = "One moment, please.", "Your invoice is forty two dollars."
    recognizer = Recognizer([first, second, "Your invoice is fourteen dollars."])
    synthesizer = Synthesizer("en-us+f3", 175)
    spoken = [synthesizer.say(text) for text in (first, second)]
    [piece] = recognizer.hear_all(np.concatenate([_trimmed(each) for each in spoken]), 24_000)
    assert piece.text == f"{first} {second}"


def _trimmed(speech: NDArray[np.int16]) -> NDArray[np.int16]:
    [*_, (_, end)] = stretches = find_speech(speech, 24_000)
    return speech[stretches[0][0] : end]
