"""Writes an open-vocabulary transcript of the agent's turns beside the candidates, as evidence.

The words come from the installation's own recogniser, or from an endpoint of the user's that speaks
OpenAI's ``POST /v1/audio/transcriptions``. They decide nothing. Everything here blocks.
"""

import io
import json
import urllib.request
import uuid
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.audio.wav import read_wav
from bridge.errors import InfrastructureError
from bridge.replay.results.detail import RunDetail, TranscriptTurn
from bridge.speech.words import word_error_rate, words_of

Transcribe = Callable[[NDArray[np.int16], int], str]
"""(n,) int16 and its rate, in Hz, to words."""

_MARGIN_MS = 150
_TIMEOUT_S = 30.0
_MODEL = "whisper-1"


def at_endpoint(url: str, key: str | None, model: str = _MODEL) -> Transcribe:
    """Return what asks an endpoint.

    Args:
        url: whole, as ``http://127.0.0.1:8000/v1/audio/transcriptions``.
        key: sent as a bearer token; None for none.
        model: that the endpoint is asked for.
    """

    def transcribe(samples: NDArray[np.int16], rate_hz: int) -> str:
        boundary = uuid.uuid4().hex
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        body = _form(boundary, model, _as_wav(samples, rate_hz))
        request = urllib.request.Request(url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return str(json.load(answer)["text"]).strip()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InfrastructureError(
                f"{url} transcribed nothing: {error!r}",
                remedy="check the URL of --transcribe and the key in BRIDGE_TRANSCRIBE_KEY",
            ) from error

    return transcribe


def with_open_transcript(detail: RunDetail, audio: Path, transcribe: Transcribe) -> RunDetail:
    """Return a run's detail with the words of each of the agent's turns.

    Args:
        audio: stereo recording, the agent right.

    Raises:
        InfrastructureError: the endpoint does not answer, or the recording can't be read.
    """
    if not any(turn.speaker == "agent" for turn in detail.transcript):
        return detail
    samples, rate_hz = read_wav(audio)
    agent = samples[:, -1] if samples.ndim > 1 else samples
    turns = (_transcribed(turn, agent, rate_hz, transcribe) for turn in detail.transcript)
    return replace(detail, transcript=tuple(turns))


def _transcribed(
    turn: TranscriptTurn, agent: NDArray[np.int16], rate_hz: int, transcribe: Transcribe
) -> TranscriptTurn:
    if turn.speaker != "agent":
        return turn
    start = max(0, turn.start_ms - _MARGIN_MS) * rate_hz // 1000
    text = transcribe(agent[start : (turn.end_ms + _MARGIN_MS) * rate_hz // 1000], rate_hz)
    said = turn.reference or turn.text
    known = said is not None and bool(words_of(said))
    rate = round(word_error_rate(said or "", text), 3) if known else None
    return replace(turn, open_text=text, open_error_rate=rate)


def _form(boundary: str, model: str, wav: bytes) -> bytes:
    def part(name: str, more: str, content: bytes) -> bytes:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        return head.encode() + content + b"\r\n"

    file = '; filename="turn.wav"\r\nContent-Type: audio/wav'
    fields = (("model", "", model.encode()), ("response_format", "", b"json"), ("file", file, wav))
    return b"".join(part(*each) for each in fields) + f"--{boundary}--\r\n".encode()


def _as_wav(samples: NDArray[np.int16], rate_hz: int) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())
    return held.getvalue()
