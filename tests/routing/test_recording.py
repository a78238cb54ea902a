"""What a dialplan may say about keeping a call."""

import pytest
from pydantic import ValidationError

from bridge.redaction.kinds import DEFAULT_KINDS, Kind
from bridge.routing.recording import KeepDays, Recording


def test_by_default_all_is_recorded_and_kept() -> None:
    recording = Recording()
    assert recording.enabled
    assert recording.keep_days == KeepDays(audio=None, transcript=None, events=None)
    assert set(recording.redact) == DEFAULT_KINDS


def test_kinds_are_named() -> None:
    assert Recording.model_validate({"redact": []}).redact == ()
    assert Recording.model_validate({"redact": ["cards"]}).redact == (Kind.CARDS,)
    with pytest.raises(ValidationError):
        Recording.model_validate({"redact": ["names"]})


def test_nothing_is_kept_longer_than_what_says_whose_it_is() -> None:
    KeepDays(audio=30, transcript=7, events=30)
    KeepDays(events=30)
    with pytest.raises(ValidationError, match=r"'audio' no longer than 'events' \(7 days\)"):
        KeepDays(audio=30, events=7)
