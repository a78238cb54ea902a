"""One call's way to its Realtime service: a session at a time, and a spare while it is rolled over.

Whatever is true for one connection alone is in one :class:`_Link`, which is replaced, never reset.
Events of a link that is not the present one are not passed on. Loop's thread; every task that is
started here is awaited by :meth:`Upstream.aclose`.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from bridge.audio.sounds import FRAME_MS
from bridge.clock import NS_PER_MS
from bridge.engine.effects import OpenSession, OpenSpare, SendKeptAudio
from bridge.engine.inputs import (
    LastSoundSent,
    SessionFailed,
    SessionReady,
    SpareFailed,
    SpareReady,
)
from bridge.errors import BridgeError, ProtocolError, UpstreamError
from bridge.live.appends import Appends
from bridge.live.kept_audio import KeptAudio, bundles, holds_speech
from bridge.live.services import Choice, Route, Services
from bridge.realtime.commands import AppendAudio, Command
from bridge.realtime.events import (
    AudioDelta,
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptFailed,
    OutputItemAdded,
    ServerEvent,
    SessionUpdated,
    SpeechStarted,
    UnknownEvent,
)
from bridge.realtime.failures import classify
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import SessionInfo
from bridge.session.realtime import RealtimeSession
from bridge.session.tokens import Credential
from bridge.telemetry.labels import UpstreamPhase

log = structlog.get_logger(__name__)

_EARLY_EVENTS = 64
"""Events before a session is taken into use; a server sends three of them."""


SessionNews = SessionReady | SessionFailed | SpareReady | SpareFailed


class UpstreamListener(Protocol):
    """Who hears of a call's sessions."""

    def on_server_event(self, event: ServerEvent, received_ns: int) -> None:
        """Take an event of the present session, and when it was read from the socket."""
        ...

    def on_session(self, news: SessionNews) -> None:
        """Learn that a session or a spare stands, or is gone."""
        ...

    def on_oddity(self, kind: str) -> None:
        """Learn, once a session, that it sends an ``unknown_event`` or a ``malformed_event``."""
        ...

    def on_uplink(self, added_ns: int) -> None:
        """Learn what the bridge added to a piece of caller audio on its way up."""
        ...

    def on_last_sound_sent(self, event: LastSoundSent) -> None:
        """Learn how the end of a sound of the caller's went up."""
        ...


@dataclass(slots=True)
class _Link:
    """One connection, with the arm that it is counted for; the call may have left that since."""

    arm: str
    choice: Choice
    credential: Credential
    key_is_fresh: bool
    appends: Appends
    session: RealtimeSession | None = None
    lost: UpstreamError | None = None
    early: deque[ServerEvent] = field(default_factory=lambda: deque(maxlen=_EARLY_EVENTS))
    oddities: set[str] = field(default_factory=set)

    def failed(self, error: BridgeError) -> SessionFailed:
        return SessionFailed(error, self.key_is_fresh, self.credential.expires_ns)


class Upstream:
    """The sessions of one call.

    Args:
        route: models to try, settings.
        services: what calls share.
        listener: hears of the sessions.
        name: for the tasks.
        kept_ms: caller audio that is kept for the next session.
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
        self._route = route
        self._services = services
        self._metrics = services.metrics.upstream
        self._listener = listener
        self._name = name
        self._choices = route.choices
        self._link: _Link | None = None
        self._spare: _Link | None = None
        self._kept = KeptAudio(services.append_ms, kept_ms)
        self._kept_ms = kept_ms
        # The first frame of an append is the one that waited for the others.
        self._since_first_frame_ns = (services.append_ms - FRAME_MS) * NS_PER_MS
        self._turn: ItemId | None = None
        self._credential: Credential | None = None
        self._key_is_fresh = False
        self._opening: asyncio.Task[None] | None = None
        self._spare_opening: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._wire_log = services.wire_log_of(name)

    @property
    def round_trip_ms(self) -> float | None:
        """The present session's last ping; None without a session or before its first pong."""
        session = None if self._link is None else self._link.session
        return None if session is None else session.round_trip_ms

    def switch(self, route: Route) -> None:
        """Open sessions on another arm from now on; the present one is let go."""
        self._drop_present()
        self._route = route
        self._choices = route.choices
        self._credential = None
        self._key_is_fresh = False

    def open(self, order: OpenSession) -> None:
        """Open a session in the place of the present one; the listener is told how it went."""
        self._drop_present()
        self._opening = asyncio.create_task(self._open(order), name=f"open-session-{self._name}")

    def open_spare(self, order: OpenSpare) -> None:
        """Open a second session beside the present one; the listener is told how it went."""
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
            if error.code != "not_open":  # its end is told by on_closed
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
        self._kept.add(audio, sent=link is not None)
        if link is None:
            return None
        link.appends.handed(captured_ns, self._services.clock.now_ns())
        session = link.session
        if session is not None:
            try:
                session.append(audio)
            except UpstreamError as error:
                if error.code != "not_open":  # its end is told by on_closed
                    raise
        return self._kept.session_ms

    def send_kept(self, order: SendKeptAudio) -> float:
        """Send the new session what it needs of the caller's audio; return its length, ms."""
        pieces = self._kept.due(order.max_ms, resend_turn=order.resend_turn)
        self._kept.begin_session(pieces)
        for audio in bundles(pieces, self._services.append_ms):
            if self._link is not None:
                self._link.appends.skip()
            self.send(AppendAudio(audio))
        return self._kept.session_ms

    def keep_speech(self, ms_ago: int) -> None:
        """Keep the caller's audio of the last ``ms_ago``, which the session has told nothing of."""
        self._kept.turn_supposed(ms_ago)

    def sound_ended(self, at_ns: int) -> None:
        """Have the listener told how the end of a sound went up, now or when it has."""
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
        while self._ending:
            await asyncio.wait(self._ending)
        if self._wire_log is not None:
            await asyncio.to_thread(self._wire_log.close)

    async def _open(self, order: OpenSession) -> None:
        try:
            if order.after_ms:
                await asyncio.sleep(order.after_ms / 1000)
            within_s = None if order.within_ms is None else order.within_ms / 1000
            async with asyncio.timeout(within_s):
                link, info = await self._connect(new_token=order.new_token)
        except UpstreamError as error:
            self._tell_failed(error)
        except TimeoutError:
            self._tell_failed(_late())
        except Exception as error:  # task root: the call must learn of it, or it waits for ever
            log.exception("session_open_broken")
            self._tell_failed(_broken(error))
        else:
            if link.lost is not None:
                self._tell_failed(link.lost)
                return
            self._adopt(link)
            unheard = self._kept.due(self._kept_ms, resend_turn=False)
            self._listener.on_session(
                SessionReady(
                    info.session_id,
                    expires_in_ms=self._expires_in_ms(info),
                    kept_speech=holds_speech(unheard),
                )
            )

    async def _open_spare(self, order: OpenSpare) -> None:
        try:
            async with asyncio.timeout(order.within_ms / 1000):
                link, info = await self._connect(new_token=False)
        except UpstreamError as error:
            self._spare_failed(error)
        except TimeoutError:
            self._spare_failed(_late())
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

    def _tell_failed(self, error: UpstreamError) -> None:
        log.warning("session_failed", code=error.code, error=str(error))
        expires_ns = None if self._credential is None else self._credential.expires_ns
        self._listener.on_session(SessionFailed(error, self._key_is_fresh, expires_ns))

    def _adopt(self, link: _Link) -> None:
        self._link = link
        while link.early:
            self._listener.on_server_event(link.early.popleft(), self._services.clock.now_ns())

    async def _connect(self, *, new_token: bool) -> tuple[_Link, SessionInfo]:
        """Connect with the first model that a session can be had with, and stay with it."""
        *others, last = self._choices
        for choice in others:
            try:
                found = await self._try(choice, new_token=new_token)
            except UpstreamError as error:
                log.warning("model_fallback", model=choice.endpoint.model, code=error.code)
            else:
                self._choices = (choice,)
                return found
        found = await self._try(last, new_token=new_token)
        self._choices = (last,)
        return found

    async def _try(self, choice: Choice, *, new_token: bool) -> tuple[_Link, SessionInfo]:
        arm = self._route.arm
        self._metrics.connecting(arm.name)
        begun_ns = self._services.clock.now_ns()
        link: _Link | None = None
        try:
            credential = await choice.credentials.get(
                other_than=self._credential if new_token else None
            )
            self._credential = credential
            self._key_is_fresh = new_token or credential.is_long_lived
            appends = Appends(self._listener.on_last_sound_sent)
            link = _Link(arm.name, choice, credential, self._key_is_fresh, appends)
            link.session = session = self._make_session(link)
            info = await session.open(self._route.config(choice))
        except UpstreamError as error:
            self._metrics.connect_failed(arm.name, classify(error).code)
            if link is not None and link.session is not None:
                session, link.session = link.session, None
                self._count_closed(link.arm, session, UpstreamPhase.SETUP)
            raise
        except asyncio.CancelledError:
            self._end(link)
            raise
        self._metrics.session_ready(arm.name, self._services.clock.now_ns() - begun_ns)
        return link, info

    def _make_session(self, link: _Link) -> RealtimeSession:
        return RealtimeSession(
            link.choice.endpoint.with_key(link.credential.value),
            self._route.arm.dialect,
            self._services.session,
            clock=self._services.clock,
            on_event=lambda event, received_ns: self._on_event(link, event, received_ns),
            on_closed=lambda error: self._on_closed(link, error),
            on_protocol_error=lambda error: self._on_malformed(link, error),
            on_audio_sent=lambda sequence, sent_ns: self._on_audio_sent(link, sequence, sent_ns),
            wire=None if self._wire_log is None else self._wire_log.tap(),
        )

    def _on_event(self, link: _Link, event: ServerEvent, received_ns: int) -> None:
        self._metrics.event(link.arm, type(event).__name__)
        if isinstance(event, UnknownEvent):
            self._metrics.unknown_event(link.arm)
            self._tell_oddity(link, "unknown_event")
        if link is self._link:
            if not isinstance(event, AudioDelta):  # nearly all that comes, and no turn of theirs
                self._follow_turn(event)
            self._listener.on_server_event(event, received_ns)
        else:
            link.early.append(event)

    def _on_closed(self, link: _Link, error: UpstreamError | None) -> None:
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

    def _on_malformed(self, link: _Link, error: ProtocolError) -> None:
        self._metrics.malformed_event(link.arm)
        self._tell_oddity(link, "malformed_event")
        log.debug("malformed_event", error=error.what)

    def _tell_oddity(self, link: _Link, kind: str) -> None:
        if kind not in link.oddities:
            link.oddities.add(kind)
            self._listener.on_oddity(kind)

    def _follow_turn(self, event: ServerEvent) -> None:
        match event:
            case SpeechStarted():
                self._turn = event.item_id
                self._kept.turn_began(event.audio_start_ms)
            case InputCommitted():
                self._kept.turn_committed()
            case InputTranscriptCompleted() | InputTranscriptFailed():
                if event.item_id == self._turn:
                    self._kept.turn_known()
            case OutputItemAdded():
                self._kept.turn_known()  # the answer tells enough of it
            case InputCleared():
                self._kept.turn_dropped()
            case SessionUpdated():
                self._kept.turn_refuted()
            case _:
                pass

    def _on_audio_sent(self, link: _Link, sequence: int, sent_ns: int) -> None:
        captured_ns = link.appends.sent(sequence, sent_ns)
        if captured_ns is not None:
            self._listener.on_uplink(sent_ns - captured_ns + self._since_first_frame_ns)

    def _expires_in_ms(self, info: SessionInfo) -> int | None:
        if info.expires_at_s is None:
            return None
        return info.expires_at_s * 1000 - self._services.clock.wall_ns() // NS_PER_MS

    def _drop_present(self) -> None:
        link, self._link = self._link, None
        self._end(link)
        opening, self._opening = self._opening, None
        self._cancel(opening)
        self._drop_spare()

    def _drop_spare(self) -> None:
        spare, self._spare = self._spare, None
        self._end(spare)
        opening, self._spare_opening = self._spare_opening, None
        self._cancel(opening)

    def _cancel(self, opening: asyncio.Task[None] | None) -> None:
        # A task that tells its own end is not to be cancelled by what follows from it.
        if opening is not None and opening is not asyncio.current_task():
            self._keep(_cancelled(opening), "cancel-open")

    def _end(self, link: _Link | None) -> None:
        """Close a link's session; apart from each other both are freed once that is over."""
        if link is not None and link.session is not None:
            session, link.session = link.session, None
            self._keep(self._close(link.arm, session), "close-session")

    async def _close(self, arm: str, session: RealtimeSession) -> None:
        await session.aclose()
        self._count_closed(arm, session, UpstreamPhase.CLOSE)

    def _count_closed(self, arm: str, session: RealtimeSession, phase: UpstreamPhase) -> None:
        """Count the end of a connection; nothing where there was none."""
        if session.closure is not None:
            code = session.closure.code
            self._metrics.disconnected(arm, close_code=code, phase=phase)

    def _keep(self, work: Coroutine[object, object, None], what: str) -> None:
        task = asyncio.create_task(work, name=f"{what}-{self._name}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait({task})


def _late() -> UpstreamError:
    return UpstreamError("no session within the time of an attempt", code="timeout")


def _broken(error: Exception) -> UpstreamError:
    broken = UpstreamError("our own failure while a session was opened", code="internal")
    broken.__cause__ = error
    return broken
