"""Prepares a script for its call: renders everything spoken, and teaches the recogniser.

It blocks for about a second, so it is done before the call, and every mistake that a person made
shows before anybody is dialled.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.audio.levels import find_speech
from bridge.audio.wav import read_speech
from bridge.errors import ConfigError
from bridge.replay.call.noise import make_noise, through_band
from bridge.replay.call.timeline import NOT_UNDERSTOOD
from bridge.replay.chat.client import read_key
from bridge.replay.evidence.transcribing import Transcribe, at_endpoint
from bridge.replay.script import CallScript, TextModel, Utterance
from bridge.softphone.ear import EAR_HZ
from bridge.speech.open_recognition import OpenRecognizer
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import Synthesizer
from bridge.speech.words import sentences_of

ReadKey = Callable[[TextModel], str | None]

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Speech:
    """The audio of a speech, with its first and last sound.

    Attributes:
        samples: (n,) int16 at 24 kHz.
        begins_ms: where in them the first sound is.
        ends_ms: where the last one is.
    """

    text: str
    samples: npt.NDArray[np.int16]
    begins_ms: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class PersonaHearing:
    """A persona's ear: a recogniser, on the sound that came out of its own phone.

    Nothing else reaches the text model, so a word that the line swallowed was not heard.

    Attributes:
        name: `hears`, `local`, or the endpoint's model.
        hear: (n,) int16 and its rate in Hz to words; blocks.
    """

    name: str
    hear: Transcribe


@dataclass(frozen=True, slots=True)
class PreparedPersona:
    """The voice, the ear and the key of a persona, ready for its call.

    Attributes:
        say: its voice: words to (n,) int16 at 24 kHz, as its line lets them through; blocks.
        hearing: its ear for words.
        key: of its text model; None for none.
    """

    say: Callable[[str], Samples]
    hearing: PersonaHearing
    key: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedScript:
    """A script that can be played at once.

    Attributes:
        speeches: by the step's index, from 0.
        recognizer: None where the script hears nothing.
        noise: (n,) int16 at 24 kHz, under everything that the caller sends; None for none.
        persona: None where the caller's steps are written down.
    """

    script: CallScript
    speeches: dict[int, Speech]
    recognizer: Recognizer | None
    noise: npt.NDArray[np.int16] | None = None
    persona: PreparedPersona | None = None


def prepare(script: CallScript, folder: Path = Path()) -> PreparedScript:
    """Render and teach. Blocks.

    Args:
        script: the script.
        folder: where its relative audio paths begin.

    Raises:
        ConfigError: a voice, a word, a sound file or the key of a text model is no good.
    """
    synthesizer = Synthesizer(script.voice)
    line = _line_of(script)

    def say(text: str) -> Samples:
        return line(synthesizer.say(text))

    speeches = {
        index: _render(step.action, say, line, folder)
        for index, step in enumerate(script.caller)
        if isinstance(step.action, Utterance)
    }
    sentences = [sentence for text in script.hears for sentence in sentences_of(text)]
    recognizer = Recognizer(sentences, script.pronunciations) if script.hears else None
    noise = None
    if script.noise is not None:
        said = [speech.samples for speech in speeches.values()]
        if script.persona is not None:  # its words are not known: any of its voice's measure it
            said = [say(script.persona.goal)]
        noise = line(make_noise(script.noise, said, folder))
    persona = _prepare_persona(script, say, recognizer)
    return PreparedScript(script, speeches, recognizer, noise, persona)


def _line_of(script: CallScript) -> Callable[[Samples], Samples]:
    """Return what the line lets through of what the caller sends."""
    band = script.media.band
    if band is None:
        return lambda samples: samples
    return lambda samples: through_band(samples, band.low_hz, band.high_hz)


def _prepare_persona(
    script: CallScript, say: Callable[[str], Samples], recognizer: Recognizer | None
) -> PreparedPersona | None:
    persona = script.persona
    if persona is None:
        return None
    key = None if persona.model is None else read_key(persona.model, os.environ)
    hearing = make_hearing(script, recognizer, lambda model: read_key(model, os.environ))
    return PreparedPersona(say, hearing, key)


def _render(
    utterance: Utterance,
    say: Callable[[str], Samples],
    line: Callable[[Samples], Samples],
    folder: Path,
) -> Speech:
    if utterance.audio is not None:
        samples = line(read_speech(folder / utterance.audio, EAR_HZ))
    else:
        samples = say(utterance.text)
    if not samples.size:
        raise ConfigError(
            f"there is nothing to say in '{utterance.text}'",
            remedy="write words, or give audio",
        )
    return make_speech(utterance.text, samples)


def make_speech(text: str, samples: npt.NDArray[np.int16]) -> Speech:
    """Find the first and the last sound of speech.

    Args:
        text: the words.
        samples: (n,) int16 at 24 kHz.
    """
    stretches = find_speech(samples, EAR_HZ) or [(0, samples.size)]
    begins, ends = stretches[0][0], stretches[-1][1]
    return Speech(text, samples, begins * 1000 // EAR_HZ, ends * 1000 // EAR_HZ)


def make_hearing(
    script: CallScript, recognizer: Recognizer | None, read_key: ReadKey
) -> PersonaHearing:
    """Choose what hears for a script's persona: its endpoint, else `hears`, else any words. Blocks.

    Raises:
        ConfigError: the endpoint's key can't be read.
    """
    endpoint = None if script.persona is None else script.persona.transcription
    if endpoint is not None:
        url = f"{endpoint.url.rstrip('/').removesuffix('/audio/transcriptions')}"
        hear = at_endpoint(f"{url}/audio/transcriptions", read_key(endpoint), endpoint.model)
        return PersonaHearing(endpoint.model, hear)
    if recognizer is not None:
        return PersonaHearing("hears", _by_candidates(recognizer))
    return PersonaHearing("local", OpenRecognizer().transcribe)


def _by_candidates(recognizer: Recognizer) -> Transcribe:
    def hear(samples: npt.NDArray[np.int16], rate_hz: int) -> str:
        pieces = recognizer.hear_all(samples, rate_hz)
        return " ".join(piece.text or NOT_UNDERSTOOD for piece in pieces)

    return hear
