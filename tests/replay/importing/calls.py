"""Recorded calls for tests: tones where somebody speaks."""

from typing import Any

import numpy as np

from bridge.replay.importing.recorded import RecordedCall, RecordedSpeech, Sound

RATE_HZ = 8_000


def sound(*spans: tuple[int, int], ms: int = 20_000) -> Sound:
    """Return ``ms`` of silence with a tone in some spans (start, end) in ms."""
    samples = np.zeros(ms * 8, np.int16)
    tone = (8_000 * np.sin(2 * np.pi * 400 * np.arange(ms * 8) / RATE_HZ)).astype(np.int16)
    for start_ms, end_ms in spans:
        samples[start_ms * 8 : end_ms * 8] = tone[start_ms * 8 : end_ms * 8]
    return samples


def recorded(*acts: Any, agent: tuple[tuple[int, int], ...] = (), **fields: Any) -> RecordedCall:
    """Return a call of 20 s that was answered at its begin."""
    said = [(act.start_ms, act.end_ms) for act in acts if isinstance(act, RecordedSpeech)]
    call: dict[str, Any] = {
        "name": "c_1",
        "consent": "given on 2026-11-21 by key, text 1",
        "caller": sound(*said),
        "agent": sound(*agent),
        "rate_hz": RATE_HZ,
        "answered_ms": 0,
        "ended_ms": 20_000,
        "acts": acts,
        "agent_spans": agent,
    }
    return RecordedCall(**{**call, **fields})
