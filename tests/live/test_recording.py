"""One call's recording: who holds it, and whose words are withheld."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.audio.markers import decode
from bridge.audio.rings import FRAME_SAMPLES
from bridge.audio.wav import read_wav
from bridge.clock import ManualClock
from bridge.engine.effects import PauseRecording, RecordingHold, ResumeRecording
from bridge.live.recording import CallRecording, Fields
from bridge.realtime.events import SpeechStarted, SpeechStopped, TranscriptDelta
from bridge.realtime.ids import ItemId, ResponseId
from bridge.telemetry.metrics import Metrics
from bridge.telephony.pump import Pump
from tests.audio.signals import noise
from tests.telephony.fake_ports import Ear, FakePorts

U1, U2, A1, A2 = (ItemId(name) for name in ("u1", "u2", "a1", "a2"))


class Taped:
    """A call whose caller makes a noise all the time."""

    def __init__(self, path: Path) -> None:
        clock = ManualClock()
        self.ports = FakePorts(clock)
        self.pump = Pump(self.ports, clock, append_ms=20, ahead_ms=200)
        self.told: list[tuple[str, Fields]] = []
        self.recording = CallRecording(
            path, {"call_id": "c_1"}, self.pump, clock, Metrics("1").media, self._tell
        )

    def begin(self) -> None:
        row = self.ports.open_row()
        self.ports.say(row, noise(FRAME_SAMPLES * 500, seed=1))
        self.pump.add(row, Ear(), self.recording.open())
        self.recording.follow(row)
        self.row = row

    def run(self, frames: int) -> None:
        self.ports.step(frames, then=self.pump.tick)

    def pause(self, reason: RecordingHold) -> None:
        self.recording.effects[PauseRecording](PauseRecording(reason))

    def resume(self, reason: RecordingHold) -> None:
        self.recording.effects[ResumeRecording](ResumeRecording(reason))

    async def end(self) -> None:
        self.pump.remove(self.row)
        self.recording.follow(None)
        await self.recording.aclose()

    def _tell(self, kind: str, fields: Fields) -> None:
        self.told.append((kind, fields))
        self.recording.mark(kind, fields)


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Taped]:
    taped = Taped(tmp_path / "c_1.wav")
    yield taped
    await taped.recording.aclose()


def delta(item_id: ItemId) -> TranscriptDelta:
    return TranscriptDelta(
        response_id=ResponseId("r"), item_id=item_id, output_index=0, content_index=0, delta="hi"
    )


async def test_a_recording_goes_on_when_the_last_hold_is_gone(call: Taped, tmp_path: Path) -> None:
    call.begin()
    call.run(10)
    call.pause(RecordingHold.SENSITIVE)
    call.pause(RecordingHold.SENSITIVE)
    call.run(10)
    call.pause(RecordingHold.SUPERVISOR)
    call.resume(RecordingHold.SENSITIVE)
    call.run(10)
    call.resume(RecordingHold.SUPERVISOR)
    call.resume(RecordingHold.SUPERVISOR)
    call.run(10)
    await call.end()
    assert call.told == [
        ("recording_paused", {"reason": "sensitive"}),
        ("recording_resumed", {"reason": "supervisor"}),
    ]
    left = read_wav(tmp_path / "c_1.wav")[0][:, 0].reshape(40, FRAME_SAMPLES)
    assert [bool(frame.any()) for frame in left] == [True] * 10 + [False] * 20 + [True] * 10
    found = decode((tmp_path / "c_1.markers.jsonl").read_bytes())
    assert [(m["kind"], m["at_ms"]) for m in found.markers] == [
        ("recording_paused", 200),
        ("recording_resumed", 600),
    ]


async def test_a_recording_held_before_it_begins_begins_in_silence(
    call: Taped, tmp_path: Path
) -> None:
    call.pause(RecordingHold.CONSENT)
    call.begin()
    call.run(10)
    call.resume(RecordingHold.CONSENT)
    call.run(10)
    await call.end()
    left = read_wav(tmp_path / "c_1.wav")[0][:, 0].reshape(20, FRAME_SAMPLES)
    assert [bool(frame.any()) for frame in left] == [False] * 10 + [True] * 10
    found = decode((tmp_path / "c_1.markers.jsonl").read_bytes())
    assert [(m["kind"], m["at_ms"]) for m in found.markers] == [
        ("recording_paused", 0),
        ("recording_resumed", 200),
    ]


async def test_words_are_withheld_of_whoever_speaks_in_a_pause(call: Taped) -> None:
    recording = call.recording
    recording.on_server_event(SpeechStarted(U1, 0))
    recording.on_server_event(SpeechStopped(U1, 500))
    recording.on_server_event(delta(A1))
    call.pause(RecordingHold.AGENT)
    recording.on_server_event(SpeechStarted(U2, 900))
    recording.on_server_event(delta(A2))
    call.resume(RecordingHold.AGENT)
    recording.on_server_event(SpeechStopped(U2, 1500))
    assert [recording.withholds(item) for item in (U1, A1, U2, A2)] == [False, False, True, True]


async def test_a_turn_around_a_pause_is_withheld_whole(call: Taped) -> None:
    call.recording.on_server_event(SpeechStarted(U1, 0))
    call.pause(RecordingHold.SENSITIVE)
    call.resume(RecordingHold.SENSITIVE)
    call.recording.on_server_event(SpeechStopped(U1, 500))
    call.recording.on_server_event(SpeechStarted(U2, 900))
    assert call.recording.withholds(U1)
    assert not call.recording.withholds(U2)
