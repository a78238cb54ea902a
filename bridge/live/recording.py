"""The recording of one call: its files, its pauses, and the words spoken during them.

A pause is silence of the same length in the file, so positions stay true; the words of whoever
spoke in it are not written anywhere. The bridge's own phrases are: they are the operator's.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.markers import Header, encode_header, encode_marker
from bridge.audio.sounds import Sound, SoundStarted, SoundStopped
from bridge.clock import NS_PER_MS, Clock
from bridge.engine.effects import Effect, PauseRecording, RecordingHold, ResumeRecording
from bridge.engine.news import CallerTurnBegan
from bridge.live.filler import FILLER_ITEM
from bridge.realtime.events import ServerEvent, SpeechStarted, SpeechStopped, TranscriptDelta
from bridge.realtime.ids import ItemId
from bridge.telemetry.logs import call_context
from bridge.telemetry.metrics import MediaMetrics
from bridge.telephony.microphone import SUPERVISOR_ITEM
from bridge.telephony.pump import Pump
from bridge.telephony.recorder import Recorder, StopReason

log = structlog.get_logger(__name__)

NOT_RECORDED = "[not recorded]"
"""Stands for what was said while the recording paused."""

_SOUNDS = {SoundStarted: "caller_started", SoundStopped: "caller_stopped"}

Fields = Mapping[str, str | int | None]


_HOLDS_ON_THE_AGENT = frozenset({RecordingHold.AGENT, RecordingHold.SUPERVISOR})
"""Pauses in which the agent's words are not written, either: it may repeat what is to be kept from
the record. Secret digits it never knows, and before the consent only it has spoken."""


def _ignore(kind: str, fields: Fields) -> None:
    """Drop an event of a call that is over."""


class CallRecording:
    """Records one call.

    Args:
        path: of the recording; None records nothing.
        about: what its markers say of the call (`markers.HEADER_SCHEMA`), but for its begin.
        pump: moves the call's audio.
        clock: of the pump.
        media: counts what went wrong.
        record: puts an event into the call's record, which marks it here.

    Attributes:
        stopped: why it ended before the call.
    """

    def __init__(
        self,
        path: Path | None,
        about: Header,
        pump: Pump,
        clock: Clock,
        media: MediaMetrics,
        record: Callable[[str, Fields], None],
    ) -> None:
        self.path = path
        self.stopped: StopReason | None = None
        self._about = about
        self._pump = pump
        self._clock = clock
        self._media = media
        self._record = record
        self._recorder: Recorder | None = None
        self._row: int | None = None
        self._holds: set[RecordingHold] = set()
        self._agent_heard = False
        self._speaking: ItemId | None = None
        self._withheld: set[ItemId] = set()

    @property
    def begun(self) -> bool:
        """Whether there is a recording."""
        return self._recorder is not None

    @property
    def paused(self) -> bool:
        """Whether what happens now is not to be written."""
        return bool(self._holds)

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                PauseRecording: self._pause,
                ResumeRecording: self._resume,
                CallerTurnBegan: self._on_caller_turn,
            }
        )

    def open(self) -> Recorder | None:
        """Begin the recording, if there is to be one, in silence if it is paused."""
        if self.path is None:
            return None
        loop = asyncio.get_running_loop()

        def on_stopped(reason: StopReason) -> None:
            with suppress(RuntimeError):  # a disk that hung until the loop was gone
                loop.call_soon_threadsafe(self._stop, reason)

        self._recorder = Recorder(self.path, rate_hz=self._pump.rate_hz, on_stopped=on_stopped)
        self._recorder.paused = bool(self._holds)
        started_at_ms = self._clock.wall_ns() // NS_PER_MS
        self._recorder.mark(encode_header({**self._about, "started_at_ms": started_at_ms}))
        return self._recorder

    def follow(self, row: int | None) -> None:
        """Learn in which row the call's audio is; None once it is gone."""
        self._row = row
        if row is not None and self._holds:
            self.mark("recording_paused", {"reason": min(self._holds)})

    async def aclose(self) -> None:
        """End the files and report nothing any more; a disk that hangs is left to its thread."""
        try:
            if self._recorder is not None:
                await asyncio.to_thread(self._recorder.close)
                self._media.recorder_dropped(self._recorder.dropped_blocks)
        finally:
            # The recorder reports to this; apart from each other both are freed at once.
            self._recorder, self._record = None, _ignore

    def mark(self, kind: str, fields: Fields | None = None, at_ns: int | None = None) -> None:
        """Mark what happened at a moment (monotonic ns); None for now."""
        if self._recorder is None:
            return
        given = {name: each for name, each in (fields or {}).items() if each is not None}
        now_ns = self._clock.now_ns() if at_ns is None else at_ns
        if self._row is None:
            at_ms = self._recorder.samples * 1000 // self._recorder.rate_hz
        else:
            at_ms = self._pump.recorded_ms(self._row, now_ns)
        self._recorder.mark(encode_marker(at_ms, kind, given))

    def withholds(self, item_id: ItemId) -> bool:
        """Return whether an item was spoken, in part at least, while the recording paused."""
        return item_id in self._withheld

    def on_sound(self, event: Sound) -> None:
        """Mark where the caller's sound begins and ends."""
        kind = _SOUNDS.get(type(event))
        if kind is not None:
            self.mark(kind, at_ns=event.at_ns)

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Mark where the agent is heard; fillers and supervisors are none of its speech."""
        if isinstance(event, PlayoutStarted):
            if event.item_id == FILLER_ITEM or event.item_id.startswith(SUPERVISOR_ITEM):
                return
            self._agent_heard = True
            self.mark("agent_started", {"item_id": event.item_id})
        else:
            self.on_agent_silent()

    def on_agent_silent(self) -> None:
        """Mark that nothing of the agent's is left to be heard."""
        if self._agent_heard:
            self._agent_heard = False
            self.mark("agent_stopped")

    def on_server_event(self, event: ServerEvent) -> None:
        """Note who speaks while the recording pauses."""
        match event:
            case SpeechStarted():
                self._speaking = event.item_id
            case SpeechStopped():
                self._speaking = None
            case TranscriptDelta():
                self.on_agent_speaks(event.item_id)
                return
            case _:
                return
        if self._holds:
            self._withheld.add(event.item_id)

    def on_agent_speaks(self, item_id: ItemId) -> None:
        """Note an item of the agent's of which something is played, or known."""
        if not self._holds.isdisjoint(_HOLDS_ON_THE_AGENT):
            self._withheld.add(item_id)

    def _on_caller_turn(self, news: CallerTurnBegan) -> None:
        self._speaking = news.item_id
        if self._holds:
            self._withheld.add(news.item_id)

    def _pause(self, effect: PauseRecording) -> None:
        if effect.reason in self._holds:
            return
        self._holds.add(effect.reason)
        if len(self._holds) == 1:
            if self._speaking is not None:
                self._withheld.add(self._speaking)
            self._set_paused(paused=True)
            self._record_and_log("recording_paused", effect.reason)

    def _resume(self, effect: ResumeRecording) -> None:
        if effect.reason not in self._holds:
            return
        self._holds.remove(effect.reason)
        if not self._holds:
            self._set_paused(paused=False)
            self._record_and_log("recording_resumed", effect.reason)

    def _set_paused(self, *, paused: bool) -> None:
        if self._row is not None:
            self._pump.pause_recording(self._row, paused=paused)
        elif self._recorder is not None:
            self._recorder.paused = paused

    def _record_and_log(self, kind: str, reason: RecordingHold) -> None:
        self._record(kind, {"reason": reason.value})
        log.info(kind, reason=reason.value)

    def _stop(self, reason: StopReason) -> None:
        self.stopped = reason
        self._media.recording_stopped(reason)
        with call_context(str(self._about["call_id"])):
            self._record("recording_stopped", {"reason": reason.value})
