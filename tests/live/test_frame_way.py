"""The files that an audio frame crosses, up and back, are those of ARCHITECTURE.md."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.engine.effects import PlayAudio
from bridge.realtime.events import AudioDelta
from bridge.session.realtime import RealtimeSession
from bridge.telephony.downlink import Downlink
from bridge.telephony.pump import Uplink
from tests.bench.bench_tick import tone_server
from tests.bench.lines import Lines
from tests.live.way import Way, drawn

MOST_FILES = 14
FRAMES = 10
"""Watched on each stretch: one alone may be the first of a burst, or lie across two deltas."""


def holds_audio(value: object) -> bool:
    """Whether a value is a frame's audio, or has it: 20 ms are 160 samples at 8 kHz."""
    match value:
        case bytes() | str():
            return len(value) >= 320
        case np.ndarray():
            return value.dtype in (np.int16, np.float32) and value.size >= 160
        case AudioDelta() | PlayAudio():
            return bool(getattr(value, "audio", None))  # it may be in the making
        case tuple() | list():
            return any(holds_audio(each) for each in value)
    return False


async def test_a_frame_crosses_the_files_that_the_architecture_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    way, seen = Way(holds_audio), {"up": 0, "from the service": 0, "laid": 0}
    enough = asyncio.Event()

    def watch(owner: type, name: str, stretch: str, concerns: Callable[..., bool]) -> None:
        function = getattr(owner, name)

        def watched(self: Any, *arguments: Any) -> Any:
            if not concerns(*arguments):
                return function(self, *arguments)
            with way.watching():
                result = function(self, *arguments)
            seen[stretch] += 1
            if min(seen.values()) >= FRAMES:
                enough.set()
            return result

        monkeypatch.setattr(owner, name, watched)

    watch(Uplink, "_move_block", "up", lambda *_: True)
    watch(RealtimeSession, "_on_frame", "from the service", lambda frame, _: "audio.delta" in frame)
    watch(Downlink, "_lay", "laid", lambda *_: True)
    with tone_server(delta_ms=100) as url:
        lines = Lines(url, 1, tmp_path, append_ms=40, recording=False)
        await lines.start()
        async with asyncio.timeout(60):
            await enough.wait()
        await lines.stop()
    assert way.crossed == drawn("6", "up", "down")
    assert len(way.crossed) <= MOST_FILES
