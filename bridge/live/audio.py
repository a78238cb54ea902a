"""One call's audio: from its row in the pump up to the session, from the core down to the row.

BYE goes after the audio: a phone drops what its jitter buffer still holds when BYE comes.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from bridge.audio.formats import silence_of
from bridge.audio.ledger import PlayedItem, PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import Sound, SoundSettings, SoundStopped
from bridge.clock import NS_PER_MS, NS_PER_S, Clock
from bridge.engine.effects import (
    Effect,
    FlushPlayout,
    HangUp,
    PauseUplink,
    PlayAudio,
    ResumeUplink,
    SendKeptAudio,
    UplinkHold,
)
from bridge.engine.media import AudioAppended, PlayoutFlushed
from bridge.errors import TelephonyError, UpstreamError
from bridge.live.driver import CoreDriver
from bridge.live.recording import CallRecording
from bridge.live.records.record import CallRecord
from bridge.live.services import Services
from bridge.live.upstream.sessions import Upstream
from bridge.realtime.duplex_events import VoiceDelta
from bridge.realtime.events import AudioDelta
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import AudioFormat
from bridge.telemetry.labels import Path
from bridge.telephony.end_reasons import EndReason, reason_for
from bridge.telephony.leg import Leg
from bridge.telephony.lines import Line, Sounds

SILENT_AFTER_S = 5.0
"""A caller who has heard nothing for so long after the answer is in a silent call."""

PHONE_HOLDS_MS = 200
"""What a phone's jitter buffer may hold: 40 to 80 ms on a good line (`NEEDS.md` section 5), some
180 where packets come late."""


class CallAudio:
    """Moves one call's audio; the pump's listener of its line.

    Args:
        services: what calls share.
        driver: of the call's core.
        upstream: takes the caller's audio.
        record: counts and records what is heard.
        recording: of both sides.
        sounds: finds where the caller's sounds begin and end.

    Attributes:
        line: in the pump; None before there is media, and after its end.
        answered: whether the conversation has begun.
        drained_ns: when the last sample left of all that was to be heard; None where there is more,
            and where it was cut.
    """

    def __init__(
        self,
        services: Services,
        driver: CoreDriver,
        upstream: Upstream,
        record: CallRecord,
        recording: CallRecording,
        sounds: SoundSettings,
    ) -> None:
        self.line: Line | None = None
        self.answered = False
        self.drained_ns: int | None = None
        self._pump = services.pump
        self._downlink = services.pump.downlink
        self._metrics = services.metrics
        self._driver = driver
        self._appended = driver.appended
        self._upstream = upstream
        upstream.on_agent_audio = self.on_agent_audio
        upstream.on_audio_format = self._hand_up
        self._record = record
        self._recording = recording
        self._sounds = sounds
        self._clock = services.clock
        self._gate = UplinkGate(services.clock, services.append_ms)
        self._silent: asyncio.TimerHandle | None = None
        self._heard_ms: Callable[[ItemId], int] = lambda item_id: 0

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                PlayAudio: self._play,
                FlushPlayout: self._flush,
                SendKeptAudio: self._send_kept,
                **self._gate.effects,
            }
        )

    def take_up(self, row: int) -> None:
        """Have the pump move the audio of a row."""
        self.line = self._pump.add(
            row,
            self,
            self._recording.open(),
            on_downlink=self._on_downlink,
            sounds=Sounds(self._sounds, self._on_sound),
            audio_format=self._upstream.audio_format,
        )
        self._heard_ms = self.line.playout.ledger.heard_ms
        self._recording.follow(row)

    def begin(self) -> None:
        """Begin the conversation: caller audio goes up from now on."""
        self.answered = True
        loop = asyncio.get_running_loop()
        self._silent = loop.call_later(SILENT_AFTER_S, self._count_silent)

    def let_go(self, row: int) -> None:
        """Leave the row."""
        self._silence()
        line, self.line = self.line, None
        self._recording.follow(None)
        self._pump.remove(row)
        for _ in range(0 if line is None else line.underruns):
            self._metrics.media.underrun(self._record.summary.arm_in_use)

    def heard_ms(self, item_id: ItemId) -> int:
        """Return how much of an item the caller heard by the end of the call, which is now."""
        self._silence()
        return self._heard_ms(item_id)

    def end_silence(self) -> None:
        """Note that the caller hears something, or that nobody waits for it any more."""
        if self._silent is not None:
            self._silent.cancel()
            self._silent = None

    # From the session

    def on_agent_audio(self, delta: AudioDelta | VoiceDelta, received_ns: int) -> None:
        """Take a piece of the agent's voice, and when it was read from the socket."""
        self._driver.feed(delta, received_ns)

    def _hand_up(self, audio_format: AudioFormat) -> None:
        if self.line is not None:
            self._pump.hand_up(self.line.row, audio_format)

    # Listener of the line

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Send caller audio up, from the moment on that the call is answered."""
        if not self.answered:
            return
        if not self._gate.lets_through(captured_ns):
            if not self._upstream.needs_sound:
                return
            # What is held back is silence to a clock of sound.
            audio = silence_of(self._upstream.audio_format) * len(audio)
        appended = self._appended
        appended.captured_ns = captured_ns
        try:
            appended_ms = self._upstream.append(audio, captured_ns)
        except UpstreamError as error:
            self._driver.feed(self._upstream.fail(error))
            return
        if appended_ms is not None:
            appended.ms = appended_ms
            appended.pieces += 1

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Take what the caller hears."""
        self.drained_ns = self._clock.now_ns() if isinstance(event, PlayoutDrained) else None
        self._recording.on_playout(event)
        self._record.vitals.on_playout(event)
        self.end_silence()
        self._driver.feed(event)

    def _on_sound(self, event: Sound) -> None:
        if not self.answered:
            return
        self._recording.on_sound(event)
        self._record.vitals.on_sound(event)
        self._driver.feed(event)
        if isinstance(event, SoundStopped):
            self._upstream.sound_ended(event.at_ns)

    def _on_downlink(self, added_ns: int) -> None:
        self._metrics.media.added_latency(self._record.summary.arm_in_use, Path.DOWNLINK, added_ns)

    # Effects

    def _play(self, effect: PlayAudio) -> None:
        line, item_id = self.line, effect.item_id
        self._recording.on_agent_speaks(item_id)
        if line is not None:
            self._downlink.play(
                line.row, item_id, effect.content_index, effect.audio, effect.audio_format
            )

    def _flush(self, effect: FlushPlayout) -> None:
        self.drained_ns = None
        parts = self._silence()
        self._recording.on_agent_silent()
        self._record.vitals.on_agent_silent()
        self._driver.put_first(PlayoutFlushed(parts))

    def _silence(self) -> tuple[PlayedItem, ...]:
        return () if self.line is None else self._downlink.flush(self.line.row)

    def _send_kept(self, effect: SendKeptAudio) -> None:
        sent_ms = self._upstream.send_kept(effect)
        self._driver.put(AudioAppended(sent_ms, self._appended.captured_ns, pieces=0))

    def _count_silent(self) -> None:
        self._metrics.turns.silent(self._record.summary.arm_in_use)
        self._record.event("silent")


class Farewell:
    """Sends BYE, once the caller's phone has played what it was sent.

    Args:
        leg: the caller's.
        audio: of the call.
        clock: which its end is counted by.
    """

    def __init__(self, leg: Leg, audio: CallAudio, clock: Clock) -> None:
        self._leg = leg
        self._audio = audio
        self._clock = clock
        self._reason: EndReason | None = None

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effect that is carried out here."""
        return MappingProxyType({HangUp: self._hang_up})

    async def sent(self) -> None:
        """Wait until a BYE that is due has left; it leaves at once where the wait is cancelled."""
        reason, self._reason = self._reason, None
        if reason is None:
            return
        try:
            await asyncio.sleep(self._left_s)
        finally:
            with suppress(TelephonyError):  # PJSIP has ended the call
                self._leg.hangup(reason)

    @property
    def _left_s(self) -> float:
        """How long the phone may still play."""
        drained_ns = self._audio.drained_ns
        if drained_ns is None:
            return 0.0
        return PHONE_HOLDS_MS / 1000 - (self._clock.now_ns() - drained_ns) / NS_PER_S

    def _hang_up(self, effect: HangUp) -> None:
        reason = reason_for(effect.outcome)
        if self._left_s > 0:
            self._reason = reason
        else:
            self._leg.hangup(reason)


class UplinkGate:
    """The gate in the caller's way to the session, open while nobody has a reason to close it.

    Args:
        piece_ms: audio in one piece.
    """

    def __init__(self, clock: Clock, piece_ms: int) -> None:
        self._clock = clock
        self._piece_ns = piece_ms * NS_PER_MS
        self._holds: set[UplinkHold] = set()
        self._open_since_ns: int | None = None

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType({PauseUplink: self._pause, ResumeUplink: self._resume})

    def lets_through(self, captured_ns: int) -> bool:
        """Return whether a piece may leave: all of it was said since the gate was opened.

        Args:
            captured_ns: when its last sample came in, monotonic.
        """
        if self._holds:
            return False
        if self._open_since_ns is None:
            return True
        if captured_ns - self._piece_ns < self._open_since_ns:
            return False
        self._open_since_ns = None
        return True

    def _pause(self, effect: PauseUplink) -> None:
        self._holds.add(effect.reason)

    def _resume(self, effect: ResumeUplink) -> None:
        if effect.reason in self._holds:
            self._holds.discard(effect.reason)
            self._open_since_ns = self._clock.now_ns()
