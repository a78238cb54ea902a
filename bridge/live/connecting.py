"""How one call gets a session on its arm: which models are asked, with which credential."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from bridge.engine.inputs import LastSoundSent, SessionFailed
from bridge.errors import ConfigError, ProtocolError, UpstreamError
from bridge.live.appends import Appends
from bridge.live.link import Endings, Link
from bridge.live.services import Choice, Route, Services
from bridge.realtime.events import ServerEvent
from bridge.realtime.failures import classify
from bridge.realtime.session_config import SessionInfo
from bridge.session.realtime import RealtimeSession
from bridge.session.tokens import Credential
from bridge.session.wire_log import WireLog

log = structlog.get_logger(__name__)


class LinkListener(Protocol):
    """Who hears of a call's connections."""

    def on_event(self, link: Link, event: ServerEvent, received_ns: int) -> None:
        """Take an event, and when it was read from the socket."""
        ...

    def on_closed(self, link: Link, error: UpstreamError | None) -> None:
        """Learn that a session is over; ``error`` says why, if it ended by itself."""
        ...

    def on_malformed(self, link: Link, error: ProtocolError) -> None:
        """Learn of what is no event of the dialect."""
        ...

    def on_audio_sent(self, link: Link, sequence: int, sent_ns: int) -> None:
        """Learn that the socket took an append."""
        ...


class Connector:
    """One call's way to sessions on one arm.

    Args:
        route: the arm, its models to try, settings.
        services: what calls share.
        endings: closes what is given up on the way.
        on_sound_sent: told how the end of each sound of the caller's went up.
        wire_log: gets what passes the sockets; None where none is wanted.
    """

    def __init__(
        self,
        route: Route,
        services: Services,
        endings: Endings,
        on_sound_sent: Callable[[LastSoundSent], None],
        wire_log: WireLog | None,
    ) -> None:
        self._route = route
        self._services = services
        self._metrics = services.metrics.upstream
        self._endings = endings
        self._on_sound_sent = on_sound_sent
        self._wire_log = wire_log
        self._choices = route.choices
        self._credential: Credential | None = None
        self._key_is_fresh = False

    def failed(self, error: UpstreamError) -> SessionFailed:
        """Return what the core is told of a session that was not to be had."""
        expires_ns = None if self._credential is None else self._credential.expires_ns
        return SessionFailed(error, self._key_is_fresh, expires_ns)

    async def connect(self, listener: LinkListener, *, new_token: bool) -> tuple[Link, SessionInfo]:
        """Connect with the first model that a session can be had with, and stay with it.

        Args:
            listener: hears of the connection. Only that knows it: a circle outlives the call.
            new_token: the last credential was refused.

        Raises:
            UpstreamError: no model gives a session.
        """
        *others, last = self._choices
        for choice in others:
            try:
                found = await self._try(choice, listener, new_token=new_token)
            except UpstreamError as error:
                log.warning("model_fallback", model=choice.endpoint.model, code=error.code)
            else:
                self._choices = (choice,)
                return found
        found = await self._try(last, listener, new_token=new_token)
        self._choices = (last,)
        return found

    async def _try(
        self, choice: Choice, listener: LinkListener, *, new_token: bool
    ) -> tuple[Link, SessionInfo]:
        arm = self._route.arm
        self._metrics.connecting(arm.name)
        begun_ns = self._services.clock.now_ns()
        link: Link | None = None
        try:
            credential = await choice.credentials.get(
                other_than=self._credential if new_token else None
            )
            self._credential = credential
            self._key_is_fresh = new_token or credential.is_long_lived
            appends = Appends(self._on_sound_sent)
            link = Link(arm.name, choice, credential, self._key_is_fresh, appends)
            link.session = session = self._make_session(link, listener)
            info = await session.open(self._route.config(choice))
            link.session_id = info.session_id
        except (UpstreamError, ConfigError) as error:
            self._metrics.connect_failed(arm.name, classify(error).code)
            if link is not None:
                self._endings.count_failed(link)
            raise
        except asyncio.CancelledError:
            self._endings.end(link)
            raise
        self._metrics.session_ready(arm.name, self._services.clock.now_ns() - begun_ns)
        return link, info

    def _make_session(self, link: Link, listener: LinkListener) -> RealtimeSession:
        return RealtimeSession(
            link.choice.endpoint.with_key(link.credential.value),
            self._route.arm.dialect,
            self._services.session,
            clock=self._services.clock,
            on_event=lambda event, received_ns: listener.on_event(link, event, received_ns),
            on_closed=lambda error: listener.on_closed(link, error),
            on_protocol_error=lambda error: listener.on_malformed(link, error),
            on_audio_sent=lambda sequence, sent_ns: listener.on_audio_sent(link, sequence, sent_ns),
            wire=None if self._wire_log is None else self._wire_log.tap(),
        )
