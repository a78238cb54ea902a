"""One call's way to its Realtime service: a session at a time, and a spare while it is rolled over.

Events of a link that is not the present one are not passed on. Loop's thread; every task that is
started here is awaited by :meth:`Upstream.aclose`.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.audio.sounds import FRAME_MS
from bridge.clock import NS_PER_MS
from bridge.engine.effects import (
    CloseSession,
    Effect,
    KeepSpeech,
    KeepTurns,
    OpenSession,
    OpenSpare,
    Send,
    SendKeptAudio,
    SwitchArm,
    TakeSpare,
)
from bridge.engine.inputs import (
    AgentElsewhere,
    SessionFailed,
    SessionReady,
    SpareFailed,
    SpareReady,
)
from bridge.errors import ConfigError, ProtocolError, UpstreamError
from bridge.live.kept_audio import KeptAudio, bundles, holds_speech
from bridge.live.services import Route, Services
from bridge.live.upstream.connecting import Connector
from bridge.live.upstream.link import Endings, Link
from bridge.live.upstream.listener import UpstreamListener
from bridge.realtime.commands import AppendAudio, Command
from bridge.realtime.duplex_events import VoiceDelta
from bridge.realtime.events import AudioDelta, ServerEvent, UnknownEvent
from bridge.realtime.session_config import AudioFormat, SessionInfo
from bridge.telemetry.labels import UpstreamPhase

log = structlog.get_logger(__name__)


def _nobody_asks(audio_format: AudioFormat) -> None:
    """Take a format that is of no use to anybody."""


class Upstream:
    """The sessions of one call.

    Args:
        route: models to try, settings.
        services: what calls share.
        listener: hears of the sessions.
        name: for the tasks.
        kept_ms: caller audio that is kept for the next session.

    Attributes:
        route: that sessions are opened by.
        on_agent_audio: takes the present session's audio in the place of the listener.
        on_audio_format: takes the format of caller audio, when another arm's sessions are opened.
    """

    def __init__(
        self,
        route: Route,
        services: Services,
        listener: UpstreamListener,
        name: str,
        *,
        kept_ms: int,
    ) -> None:
        self.route = route
        self._services = services
        self._metrics = services.metrics.upstream
        self._listener = listener
        self.on_agent_audio: Callable[[AudioDelta | VoiceDelta, int], None] = (
            listener.on_server_event
        )
        self.on_audio_format: Callable[[AudioFormat], None] = _nobody_asks
        self._name = name
        self._endings = Endings(self._metrics, name)
        self._wire_log = services.wire_log_of(name)
        self._connector = self._make_connector()
        self._link: Link | None = None
        self._spare: Link | None = None
        self._kept = KeptAudio(services.append_ms, kept_ms)
        # The first frame of an append is the one that waited for the others.
        self._since_first_frame_ns = (services.append_ms - FRAME_MS) * NS_PER_MS
        self._opening: asyncio.Task[None] | None = None
        self._spare_opening: asyncio.Task[None] | None = None

    def _make_connector(self) -> Connector:
        on_sound_sent = self._listener.on_last_sound_sent
        return Connector(self.route, self._services, self._endings, on_sound_sent, self._wire_log)

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                OpenSession: self.open,
                SwitchArm: self.switch,
                OpenSpare: self.open_spare,
                TakeSpare: lambda _: self.take_spare(),
                KeepSpeech: lambda effect: self._kept.suppose_turn(effect.ms_ago),
                KeepTurns: lambda effect: self._kept.keep_from(effect.first),
                CloseSession: lambda _: self.close(),
                Send: lambda effect: self.send(effect.command),
            }
        )

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the caller audio that its sessions hear."""
        return self.route.arm.audio.input

    @property
    def round_trip_ms(self) -> float | None:
        """The present session's last ping; None without a session or before its first pong."""
        session = None if self._link is None else self._link.session
        return None if session is None else session.round_trip_ms

    @property
    def needs_sound(self) -> bool:
        """Whether the service's clock is the caller's audio, which must not pause."""
        return self.route.arm.spoken.capabilities.needs_sound

    def switch(self, order: SwitchArm) -> None:
        """Open sessions on the route's other arm from now on; the present one is let go."""
        rescuer = self.route.rescuer
        if rescuer is None:
            raise AssertionError("there is no other arm")
        self._listener.on_arm_switched(rescuer, order.code)
        self.route = rescuer
        self._drop_present()
        self._connector = self._make_connector()
        self.on_audio_format(self.audio_format)

    def open(self, order: OpenSession) -> None:
        """Open a session in the place of the present one; the listener is notified how it went.

        On an arm that is a SIP URI it is notified who its agent is.
        """
        self._drop_present()
        self._opening = asyncio.create_task(self._open(order), name=f"open-session-{self._name}")

    def open_spare(self, order: OpenSpare) -> None:
        """Open a second session beside the present one; the listener is notified how it went."""
        self._drop_spare()
        self._spare_opening = asyncio.create_task(
            self._open_spare(order), name=f"open-spare-{self._name}"
        )

    def take_spare(self) -> None:
        """Put the spare in the place of the present session, which is closed."""
        spare, self._spare = self._spare, None
        self._drop_present()
        if spare is None or spare.lost is not None:
            error = None if spare is None else spare.lost
            self._listener.on_session(SessionFailed(error or _late()))
            return
        self._adopt(spare)

    def send(self, command: Command) -> None:
        """Send a command, if there is a session.

        Raises:
            UpstreamError: the peer takes nothing any more (``stuck``).
        """
        if self._link is None or self._link.session is None:
            return
        try:
            self._link.session.send(command)
        except UpstreamError as error:
            if error.code != "not_open":  # its end is reported by on_closed
                raise

    def append(self, audio: bytes, captured_ns: int) -> float | None:
        """Send caller audio, and keep it; while there is no session, keep it for the next one.

        Args:
            captured_ns: when its last sample was captured.

        Returns:
            Milliseconds of audio that the session was sent so far; None where there is none.

        Raises:
            UpstreamError: as :meth:`send`.
        """
        link = self._link
        self._kept.add(audio, self.audio_format, sent=link is not None)
        if link is None:
            return None
        link.appends.handed(captured_ns, self._services.clock.now_ns())
        session = link.session
        if session is not None:
            try:
                session.append(audio)
            except UpstreamError as error:
                if error.code != "not_open":  # its end is reported by on_closed
                    raise
        return self._kept.session_ms

    def send_kept(self, order: SendKeptAudio) -> float:
        """Send the new session what it needs of the caller's audio; return its length, ms."""
        pieces = self._kept.due(order.max_ms)
        self._kept.begin_session(pieces)
        for audio in bundles(pieces, self._services.append_ms, self.audio_format):
            if self._link is not None:
                self._link.appends.skip()
            self.send(AppendAudio(audio))
        return self._kept.session_ms

    def sound_ended(self, at_ns: int) -> None:
        """Notify the listener when the end of a sound has gone up, at once if it has already."""
        if self._link is not None:
            self._link.appends.sound_ended(at_ns)

    def fail(self, error: UpstreamError) -> SessionFailed:
        """Give the present session up because of ``error``."""
        link = self._link
        self._drop_present()
        return SessionFailed(error) if link is None else link.failed(error)

    def close(self) -> None:
        """Let the present session go, or stop opening one, and open no other."""
        self._drop_present()

    async def aclose(self) -> None:
        """Close everything in order and wait for its end. Idempotent."""
        self._drop_present()
        # Frees whatever took these.
        self.on_agent_audio, self.on_audio_format = self._listener.on_server_event, _nobody_asks
        await self._endings.aclose()
        if self._wire_log is not None:
            await asyncio.to_thread(self._wire_log.close)

    async def _open(self, order: OpenSession) -> None:
        try:
            if order.after_ms:
                await asyncio.sleep(order.after_ms / 1000)
            if (agent := self.route.arm.agent) is not None:
                self._listener.on_session(AgentElsewhere(agent))
                return
            link, info = await self._connector.connect(
                self,
                new_token=order.new_token,
                within_s=None if order.within_ms is None else order.within_ms / 1000,
                talk=order.talk,
            )
        except UpstreamError as error:
            self._report_failed(error)
        except Exception as error:  # task root: the call must learn of it, or it waits for ever
            log.exception("session_open_broken")
            self._report_failed(_broken(error))
        else:
            if link.lost is not None:
                self._report_failed(link.lost)
                return
            self._adopt(link)
            self._listener.on_session(
                SessionReady(
                    info.session_id,
                    expires_in_ms=self._expires_in_ms(info),
                    kept_speech=holds_speech(self._kept.unsent),
                    service=self.route.arm.spoken.capabilities,
                )
            )

    async def _open_spare(self, order: OpenSpare) -> None:
        try:
            link, info = await self._connector.connect(
                self, new_token=False, within_s=order.within_ms / 1000, talk=order.talk
            )
        except UpstreamError as error:
            self._spare_failed(error)
        except Exception as error:  # task root: the call must learn of it, or never tries again
            log.exception("spare_open_broken")
            self._spare_failed(_broken(error))
        else:
            if link.lost is not None:
                self._spare_failed(link.lost)
                return
            self._spare = link
            self._listener.on_session(SpareReady(info.session_id, self._expires_in_ms(info)))

    def _spare_failed(self, error: UpstreamError) -> None:
        log.warning("spare_session_failed", code=error.code)
        self._listener.on_session(SpareFailed(error))

    def _report_failed(self, error: UpstreamError) -> None:
        log.warning("session_failed", code=error.code, error=str(error))
        self._listener.on_session(self._connector.failed(error))

    def _adopt(self, link: Link) -> None:
        self._link = link
        self._listener.on_session_taken(link.session_id, link.choice.endpoint.model)
        while link.early:
            self._listener.on_server_event(link.early.popleft(), self._services.clock.now_ns())

    def on_event(self, link: Link, event: ServerEvent, received_ns: int) -> None:
        """Pass an event of the present session on; keep those of one that isn't yet."""
        self._metrics.event(link.arm, type(event).__name__)
        if isinstance(event, UnknownEvent):
            self._metrics.unknown_event(link.arm)
            self._report_oddity(link, "unknown_event")
        if link is not self._link:
            if not isinstance(event, VoiceDelta):  # a spare streams its silence
                link.early.append(event)
        elif isinstance(event, AudioDelta | VoiceDelta):  # nearly all, and no turn of the caller's
            self.on_agent_audio(event, received_ns)
        else:
            self._kept.follow(event)
            self._listener.on_server_event(event, received_ns)

    def on_closed(self, link: Link, error: UpstreamError | None) -> None:
        """Report the end of the present session, or of the spare."""
        link.session = None
        if error is None:
            return
        link.lost = error
        self._metrics.disconnected(link.arm, close_code=error.close_code, phase=UpstreamPhase.TALK)
        if link is self._link:
            self._link = None
            self._listener.on_session(link.failed(error))
        elif link is self._spare:
            self._spare = None
            self._spare_failed(error)

    def on_malformed(self, link: Link, error: ProtocolError) -> None:
        """Count what is no event of the dialect."""
        self._metrics.malformed_event(link.arm)
        self._report_oddity(link, "malformed_event")
        log.debug("malformed_event", error=error.what)
        if error.loses_audio and link is self._link:
            self._listener.on_audio_lost()

    def _report_oddity(self, link: Link, kind: str) -> None:
        if kind not in link.oddities:
            link.oddities.add(kind)
            self._listener.on_oddity(kind)

    def on_audio_sent(self, link: Link, sequence: int, sent_ns: int) -> None:
        """Report the delay that the bridge added to an append."""
        captured_ns = link.appends.sent(sequence, sent_ns)
        if captured_ns is not None:
            self._listener.on_uplink(sent_ns - captured_ns + self._since_first_frame_ns)

    def _expires_in_ms(self, info: SessionInfo) -> int | None:
        if info.expires_at_s is None:
            life_s = self.route.arm.spoken.flavour.session_s
            return None if life_s is None else life_s * 1000
        return info.expires_at_s * 1000 - self._services.clock.wall_ns() // NS_PER_MS

    def _drop_present(self) -> None:
        link, self._link = self._link, None
        self._endings.end(link)
        opening, self._opening = self._opening, None
        self._endings.cancel(opening)
        self._drop_spare()

    def _drop_spare(self) -> None:
        spare, self._spare = self._spare, None
        self._endings.end(spare)
        opening, self._spare_opening = self._spare_opening, None
        self._endings.cancel(opening)


def _late() -> UpstreamError:
    return UpstreamError("no session within the time of an attempt", code="timeout")


def _broken(error: Exception) -> UpstreamError:
    code = "config_error" if isinstance(error, ConfigError) else "internal"
    broken = UpstreamError("our own failure while a session was opened", code=code)
    broken.__cause__ = error
    return broken
