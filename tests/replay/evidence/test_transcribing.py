"""The open-vocabulary transcript: any words, beside the candidates, with a word error rate."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import write_wav
from bridge.errors import InfrastructureError
from bridge.replay.evidence.transcribing import at_endpoint, with_open_transcript
from bridge.replay.results.detail import RunDetail, TranscriptTurn
from bridge.speech.open_recognition import OpenRecognizer
from bridge.speech.synthesis import Synthesizer

_SAID = "You owe forty three dollars."


class _Endpoint(HTTPServer):
    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.body = body
        self.seen: list[tuple[str, str | None, bytes]] = []


class _Answers(BaseHTTPRequestHandler):
    server: _Endpoint

    def do_POST(self) -> None:
        got = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Authorization"], got))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def endpoint(request: pytest.FixtureRequest) -> Iterator[_Endpoint]:
    server = _Endpoint(getattr(request, "param", b'{"text": "You owe 43 dollars."}'))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _call(path: Path) -> RunDetail:
    """Write a recording whose right side is the agent; return its detail."""
    speech = Synthesizer().say(_SAID)
    agent = np.concatenate([np.zeros(24_000, np.int16), speech])
    write_wav(path, np.stack([np.zeros_like(agent), agent], axis=1), 24_000)
    end_ms = agent.size * 1000 // 24_000
    turns = (
        TranscriptTurn("caller", "What?", "What?", None, 0, 900),
        TranscriptTurn("agent", "You owe forty two dollars.", _SAID, None, 1000, end_ms),
    )
    return RunDetail({}, transcript=turns)


def _url(endpoint: _Endpoint) -> str:
    return f"http://127.0.0.1:{endpoint.server_port}/v1/audio/transcriptions"


def test_an_endpoint_is_asked_for_each_of_the_agents_turns(
    endpoint: _Endpoint, tmp_path: Path
) -> None:
    detail = _call(tmp_path / "call.wav")
    transcribe = at_endpoint(_url(endpoint), "secret")
    caller, agent = with_open_transcript(detail, tmp_path / "call.wav", transcribe).transcript

    assert caller.open_text is None
    assert (agent.open_text, agent.open_error_rate) == ("You owe 43 dollars.", 0.0)
    ((path, key, body),) = endpoint.seen
    assert (path, key) == ("/v1/audio/transcriptions", "Bearer secret")
    assert b'name="model"' in body
    assert b"RIFF" in body
    assert b"WAVEfmt " in body


@pytest.mark.parametrize("endpoint", [b"no json", b'{"words": 1}'], indirect=True)
def test_an_endpoint_that_answers_otherwise_is_named(endpoint: _Endpoint, tmp_path: Path) -> None:
    detail = _call(tmp_path / "call.wav")
    with pytest.raises(InfrastructureError, match="transcribed nothing"):
        with_open_transcript(detail, tmp_path / "call.wav", at_endpoint(_url(endpoint), None))


@pytest.mark.speech
def test_the_built_in_recogniser_hears_a_number_that_was_no_candidate(tmp_path: Path) -> None:
    detail = _call(tmp_path / "call.wav")
    transcribe = OpenRecognizer().transcribe
    _, agent = with_open_transcript(detail, tmp_path / "call.wav", transcribe).transcript

    assert agent.open_text is not None
    assert "forty three" in agent.open_text
    assert agent.open_error_rate is not None
    assert 0.0 <= agent.open_error_rate <= 0.5
    assert transcribe(np.zeros(24_000, np.int16), 24_000) == ""
