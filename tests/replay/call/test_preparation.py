"""What is made ready before a call."""

from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import write_wav
from bridge.errors import ConfigError
from bridge.replay.call.preparation import prepare
from bridge.replay.script import CallScript
from tests.softphone.far_end import tone

pytestmark = pytest.mark.speech


def script(**fields: object) -> CallScript:
    return CallScript.model_validate({"schema": "callscript/v1", "id": "test", **fields})


def test_words_are_rendered_and_the_recogniser_knows_each_sentence() -> None:
    prepared = prepare(
        script(
            hears=["Sure, go ahead. How can I help you?"],
            caller=[{"dtmf": {"digits": "1"}}, {"say": "Where is my order?"}],
        )
    )

    assert list(prepared.speeches) == [1]
    speech = prepared.speeches[1]
    assert 0 <= speech.begins_ms < 100
    assert 700 < speech.ends_ms <= len(speech.samples) * 1000 / 24_000
    assert prepared.recognizer is not None
    heard = prepare(script(caller=[{"say": "How can I help you?"}])).speeches[0].samples
    recognised = prepared.recognizer.hear(heard, 24_000)
    assert recognised is not None
    assert recognised.text == "How can I help you?"


def test_recorded_audio_begins_at_the_scripts_folder_and_its_words_are_found(
    tmp_path: Path,
) -> None:
    silence = np.zeros(24_000, np.int16)
    write_wav(tmp_path / "hello.wav", np.concatenate([silence, tone(500, 600), silence]), 24_000)
    chosen = script(caller=[{"say": {"text": "hello", "audio": "hello.wav"}}])

    speech = prepare(chosen, tmp_path).speeches[0]
    assert len(speech.samples) == pytest.approx(2.6 * 24_000, abs=10)
    assert speech.begins_ms == pytest.approx(1000, abs=20)
    assert speech.ends_ms == pytest.approx(1600, abs=20)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"caller": [{"say": "?!"}]}, "nothing to say"),
        ({"caller": [], "voice": "xx-none"}, "no voice"),
        ({"caller": [], "hears": ["Zzyzx."]}, "pronunciation of 'zzyzx'"),
        ({"caller": [{"say": {"text": "a", "audio": "missing.wav"}}]}, "can't read the WAV"),
    ],
)
def test_mistakes_show_before_anybody_is_dialled(
    fields: dict[str, object], what: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=what):
        prepare(script(**fields), tmp_path)
