import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.errors import ConfigError
from bridge.speech.synthesis import SAMPLE_RATE_HZ, Synthesizer, voice_of

pytestmark = pytest.mark.speech


def test_say_gives_speech_at_a_natural_pace() -> None:
    speech = Synthesizer("en-us", 160).say("Your order shipped on Monday and arrives on Thursday.")
    assert speech.dtype == np.int16
    # Nine words at 160 a minute are 3.4 s.
    assert 2.4 < speech.size / SAMPLE_RATE_HZ < 4.4
    assert 5_000 < np.abs(speech.astype(np.int32)).max() < 32_767


def same_length(one: NDArray[np.int16], other: NDArray[np.int16]) -> bool:
    return abs(one.size - other.size) < 5 * SAMPLE_RATE_HZ // 1000


def test_one_voice_does_not_rub_off_on_the_next() -> None:
    first = Synthesizer("en-us", 160).say("Hello there.")
    other = Synthesizer("en-us+f3", 240).say("Hello there.")
    assert same_length(first, Synthesizer("en-us", 160).say("Hello there."))
    assert not same_length(first, other)


def test_voices_differ_in_colour() -> None:
    deep, bright = (colour_hz(Synthesizer(voice).say("Hello.")) for voice in ("en-us", "en-us+f5"))
    assert bright > 1.15 * deep


def colour_hz(speech: NDArray[np.int16]) -> float:
    """Return the middle of the spectrum's mass."""
    spectrum = np.abs(np.fft.rfft(speech))
    hz = np.fft.rfftfreq(speech.size, 1 / SAMPLE_RATE_HZ)
    return float((spectrum * hz).sum() / spectrum.sum())


def test_say_nothing_gives_nothing() -> None:
    assert Synthesizer().say("... !").size == 0


@pytest.mark.parametrize("voice", ["xx-nowhere", "en-us+nobody"])
def test_unknown_voice_names_voice_and_remedy(voice: str) -> None:
    with pytest.raises(ConfigError, match=voice.replace("+", r"\+") + r".*en-us\+f3"):
        Synthesizer(voice)


def test_threads_do_not_mix_their_sentences() -> None:
    texts = ("One sentence.", "Another sentence, which is longer.")
    alone = [Synthesizer().say(text) for text in texts]
    mixed: dict[int, bool] = {}

    def talk(who: int) -> None:
        synthesizer = Synthesizer()
        mixed[who] = all(same_length(synthesizer.say(texts[who]), alone[who]) for _ in range(5))

    threads = [threading.Thread(target=talk, args=(who,)) for who in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mixed == {0: True, 1: True}


@pytest.mark.parametrize(
    ("language", "voice"),
    [
        (None, "en-us"),
        ("en-GB", "en"),
        ("en-US", "en-us"),
        ("pt-BR", "pt-br"),
        ("de-AT", "de"),
        ("en-ZA", "en"),
    ],
)
def test_language_finds_its_nearest_voice(language: str | None, voice: str) -> None:
    assert voice_of(language) == voice


def test_language_that_nobody_speaks_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no voice 'tlh'"):
        voice_of("tlh-Piqd")
