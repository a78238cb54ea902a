"""The files that an audio frame crosses, up and back, are those of ARCHITECTURE.md."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
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
from tests.docs.pages import ROOT, read

BRIDGE = f"{ROOT / 'bridge'}/"
GENERATED = "<string>"
"""File of the methods that a dataclass is given: to keep a frame in one is not to hand it on."""

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


class Way:
    """Files of the bridge that take a frame's audio and hand it on: to another file, or back.

    A file that takes it and keeps it is not on its way.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._callers: list[tuple[str, bool]] = []

    def watch(self, frame: FrameType, event: str, given: object) -> None:
        """Take a call or a return, as :func:`sys.setprofile` reports them."""
        file, code = frame.f_code.co_filename, frame.f_code
        if event == "call":
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            carries = any(holds_audio(frame.f_locals.get(name)) for name in names)
            if carries and self._callers:
                caller, carried = self._callers[-1]
                if carried and file not in (caller, GENERATED):
                    self.files.add(caller)
            self._callers.append((file, carries))
        elif event == "return" and self._callers:
            self._callers.pop()
            if holds_audio(given):
                self.files.add(file)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what is called within."""
        sys.setprofile(self.watch)
        try:
            yield
        finally:
            sys.setprofile(None)

    @property
    def crossed(self) -> set[str]:
        """Those of the bridge, from its folder on."""
        return {file.removeprefix(BRIDGE) for file in self.files if file.startswith(BRIDGE)}


def drawn() -> set[str]:
    """What ARCHITECTURE.md says of both ways."""
    section = read(ROOT / "bridge" / "ARCHITECTURE.md").partition("## 6. ")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (?:up|down) \| (.*) \|$", section, flags=re.MULTILINE)
    assert len(lines) == 2
    return set(re.findall(r"`bridge/([\w/]+\.py)`", "".join(lines)))


async def test_a_frame_crosses_the_files_that_the_architecture_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    way, seen = Way(), {"up": 0, "from the service": 0, "laid": 0}
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
    assert way.crossed == drawn()
    assert len(way.crossed) <= MOST_FILES
