"""Hears a call's sessions: passes their events to the call's core, its record and its recording."""

from collections.abc import Callable
from typing import Protocol

from bridge.engine.inputs import (
    AgentElsewhere,
    Input,
    SessionFailed,
    SessionReady,
    SpareFailed,
    SpareReady,
)
from bridge.engine.media import AudioLost, LastSoundSent
from bridge.live.recording import CallRecording
from bridge.live.records.record import CallRecord
from bridge.live.services import Route
from bridge.realtime.events import ServerEvent
from bridge.telemetry.labels import Path
from bridge.telemetry.metrics.media import MediaMetrics

SessionNews = AgentElsewhere | SessionReady | SessionFailed | SpareReady | SpareFailed


class UpstreamListener(Protocol):
    """The interface of whatever hears a call's sessions."""

    def on_server_event(self, event: ServerEvent, received_ns: int) -> None:
        """Take an event of the present session, and when it was read from the socket."""
        ...

    def on_session(self, news: SessionNews) -> None:
        """Learn that a session or a spare stands, or is gone, or that the arm has none."""
        ...

    def on_session_taken(self, session_id: str, model: str) -> None:
        """Learn which session is the present one from now on, before its events."""
        ...

    def on_arm_switched(self, rescuer: Route, code: str) -> None:
        """Learn that sessions are opened on another arm from now on; ``code`` says why."""
        ...

    def on_oddity(self, kind: str) -> None:
        """Learn, once a session, that it sends an ``unknown_event`` or a ``malformed_event``."""
        ...

    def on_audio_lost(self) -> None:
        """Learn that a piece of the agent's voice could not be decoded."""
        ...

    def on_uplink(self, added_ns: int) -> None:
        """Learn what the bridge added to a piece of caller audio on its way up."""
        ...

    def on_last_sound_sent(self, event: LastSoundSent) -> None:
        """Learn how the end of a sound of the caller's went up."""
        ...


class SessionListener:
    """Hears the sessions of one live call; knows neither them nor the call.

    Args:
        feed: takes inputs of the call's core, and when they happened.
        record, recording: of the call.
        media: counts delays.
    """

    def __init__(
        self,
        feed: Callable[[Input, int | None], None],
        record: CallRecord,
        recording: CallRecording,
        media: MediaMetrics,
    ) -> None:
        self._feed = feed
        self._record = record
        self._recording = recording
        self._media = media

    def on_server_event(self, event: ServerEvent, received_ns: int) -> None:
        """Record an event, and feed it; it happened when the socket had it."""
        self._record.on_server_event(event)
        self._recording.on_server_event(event)
        self._feed(event, received_ns)

    def on_session(self, news: SessionNews) -> None:
        """Feed the begin or the end of a session or a spare, or that there is none."""
        if isinstance(news, SessionReady):
            self._record.watch.session_ready()
        self._feed(news, None)

    def on_session_taken(self, session_id: str, model: str) -> None:
        """Record the session that the call has, and its model."""
        self._record.sessions.taken(session_id)
        self._record.model_taken(model)

    def on_arm_switched(self, rescuer: Route, code: str) -> None:
        """Record that another arm has taken the call over."""
        self._record.rescued(rescuer, code)

    def on_oddity(self, kind: str) -> None:
        """Record that the session sends what is no event of its dialect."""
        self._record.watch.odd()
        self._record.event(kind)

    def on_audio_lost(self) -> None:
        """Feed that a piece of the agent's voice can't be heard."""
        self._feed(AudioLost(), None)

    def on_uplink(self, added_ns: int) -> None:
        """Count what the bridge added to the delay of caller audio."""
        self._media.added_latency(self._record.summary.arm_in_use, Path.UPLINK, added_ns)

    def on_last_sound_sent(self, event: LastSoundSent) -> None:
        """Feed how the end of a sound of the caller's went up."""
        self._feed(event, None)
