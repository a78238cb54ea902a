"""A persona's hearing: a recogniser, on the sound that came out of its own phone.

Nothing else reaches the text model: no transcript of the gateway's, no text of the service's. So a
word that the line swallowed was not heard.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge.replay.call.timeline import NOT_UNDERSTOOD
from bridge.replay.evidence.transcribing import Transcribe, at_endpoint
from bridge.replay.script import CallScript, TextModel
from bridge.speech.open_recognition import OpenRecognizer
from bridge.speech.recognition import Recognizer

ReadKey = Callable[[TextModel], str | None]


@dataclass(frozen=True, slots=True)
class Hearing:
    """What hears the agent.

    Attributes:
        name: `hears`, `local`, or the endpoint's model.
        hear: (n,) int16 and its rate in Hz to words; blocks.
    """

    name: str
    hear: Transcribe


def make_hearing(script: CallScript, recognizer: Recognizer | None, read_key: ReadKey) -> Hearing:
    """Choose what hears for a script's persona: its endpoint, else `hears`, else any words. Blocks.

    Raises:
        ConfigError: the endpoint's key can't be read.
    """
    endpoint = None if script.persona is None else script.persona.transcription
    if endpoint is not None:
        url = f"{endpoint.url.rstrip('/').removesuffix('/audio/transcriptions')}"
        hear = at_endpoint(f"{url}/audio/transcriptions", read_key(endpoint), endpoint.model)
        return Hearing(endpoint.model, hear)
    if recognizer is not None:
        return Hearing("hears", _by_candidates(recognizer))
    return Hearing("local", OpenRecognizer().transcribe)


def _by_candidates(recognizer: Recognizer) -> Transcribe:
    def hear(samples: npt.NDArray[np.int16], rate_hz: int) -> str:
        pieces = recognizer.hear_all(samples, rate_hz)
        return " ".join(piece.text or NOT_UNDERSTOOD for piece in pieces)

    return hear
