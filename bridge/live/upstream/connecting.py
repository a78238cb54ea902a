"""Connects one call to a session on its arm, trying the arm's models in order."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog

from bridge.engine.inputs import SessionFailed
from bridge.engine.media import LastSoundSent
from bridge.errors import BridgeError, ConfigError, ProtocolError, UpstreamError
from bridge.live.appends import Appends
from bridge.live.services import Route, Services
from bridge.live.upstream.link import Endings, Link
from bridge.live.upstream.models import ArmModel
from bridge.realtime.confirmed import Harm
from bridge.realtime.events import ServerEvent
from bridge.realtime.failures import Layer, classify
from bridge.realtime.items import Item
from bridge.realtime.session_config import SessionConfig, SessionInfo
from bridge.session import failures
from bridge.session.realtime import RealtimeSession
from bridge.session.tokens import Credential
from bridge.session.wire_log import WireLog

log = structlog.get_logger(__name__)

DIFFERS = "session_differs"


class LinkListener(Protocol):
    """The interface of whatever follows a call's connections."""

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
    """Connects one call with sessions on one arm.

    Args:
        route: the arm, its models to try, settings.
        services: what calls share.
        endings: closes what is given up on the way.
        on_sound_sent: called with the times at which each sound of the caller's went up.
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
        self._had_session = False

    def failed(self, error: UpstreamError) -> SessionFailed:
        """Return the core's input for a session that could not be opened."""
        expires_ns = None if self._credential is None else self._credential.expires_ns
        return SessionFailed(error, self._key_is_fresh, expires_ns)

    async def connect(
        self,
        listener: LinkListener,
        *,
        new_token: bool,
        within_s: float | None = None,
        talk: Sequence[Item] = (),
    ) -> tuple[Link, SessionInfo]:
        """Connect with the first model that a session can be had with, and stay with it.

        Args:
            listener: hears of the connection. Only that knows it: a circle outlives the call.
            new_token: the last credential was refused.
            within_s: time for all models together; None for that of one session's opening.
            talk: of the call so far, for a session that takes it with its opening.

        Raises:
            UpstreamError: no model gives a session.
        """
        arm = self._route.arm
        self._metrics.connecting(arm.name)
        if within_s is None:
            within_s = self._services.session.open_timeout_s
        choices = arm.refused.in_order(self._choices, self._services.clock.now_ns())
        try:
            opening = partial(self._try, listener=listener, new_token=new_token, talk=talk)
            found = await self._first_of(choices, opening, within_s)
        except (UpstreamError, ConfigError) as error:
            self._metrics.connect_failed(arm.name, classify(error).code)
            raise
        finally:
            arm.refused.gave_up(choices)
        self._choices = (found[0].choice,)
        self._had_session = True
        return found

    async def _first_of(
        self,
        choices: Sequence[ArmModel],
        open_with: Callable[[ArmModel], Awaitable[tuple[Link, SessionInfo]]],
        within_s: float,
    ) -> tuple[Link, SessionInfo]:
        """Try models in order; each has its share of the time that those before it have left."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + within_s
        refused: dict[str, BridgeError] = {}
        for number, choice in enumerate(choices):
            model = choice.endpoint.model
            left_s = max(deadline_s - loop.time(), 0.0)
            try:
                async with asyncio.timeout(left_s / (len(choices) - number)):
                    found = await open_with(choice)
            except TimeoutError:
                refused[model] = failures.timed_out(
                    "session", choice.endpoint.destination, within_s
                )
            except (UpstreamError, ConfigError) as error:
                refused[model] = error
            else:
                self._fell_back(refused)
                self._route.arm.refused.works(model)
                self._metrics.model_taken(self._route.arm.name, model)
                return found
        raise list(refused.values())[-1]

    def _fell_back(self, refused: Mapping[str, BridgeError]) -> None:
        """Remember models that gave no session where another one did; the arm itself works."""
        arm = self._route.arm
        for model, error in refused.items():
            failure = classify(error)
            code = failure.code
            if failure.layer is Layer.HOST:
                continue
            log.warning("model_fallback", model=model, code=code)
            arm.refused.refused(model, self._services.clock.now_ns())
            self._metrics.model_refused(arm.name, model, code)

    async def _try(
        self,
        choice: ArmModel,
        *,
        listener: LinkListener,
        new_token: bool,
        talk: Sequence[Item],
    ) -> tuple[Link, SessionInfo]:
        arm = self._route.arm
        begun_ns = self._services.clock.now_ns()
        link: Link | None = None
        try:
            credential = await choice.credentials.get(
                other_than=self._credential if new_token else None
            )
            self._credential = credential
            self._key_is_fresh = new_token or credential.is_final
            appends = Appends(self._on_sound_sent)
            link = Link(arm.name, choice, credential, appends)
            link.session = session = self._make_session(link, listener)
            config = self._route.config(choice)
            info = await session.open(config, talk)
            self._compare(choice, config, info)
            link.session_id = info.session_id
        except (UpstreamError, ConfigError) as error:
            if link is not None and classify(error).code == DIFFERS:
                self._endings.end(link)  # it stands, and is of no use
            elif link is not None:
                self._endings.count_failed(link)
            raise
        except asyncio.CancelledError:
            self._endings.end(link)
            raise
        self._metrics.session_ready(arm.name, self._services.clock.now_ns() - begun_ns)
        return link, info

    def _compare(self, choice: ArmModel, config: SessionConfig, info: SessionInfo) -> None:
        """Refuse a session that the caller would hear to be another one than was asked for.

        A call that had a session before goes on with another voice rather than with none.
        """
        arm = self._route.arm
        refused = {Harm.UNUSABLE} if self._had_session else {Harm.UNUSABLE, Harm.HEARD}
        found = arm.spoken.differences(config, info)
        for each in found:
            self._metrics.session_differs(arm.name, each.field)
        if found:
            fields = [each.field for each in found]
            log.warning("session_differs", model=choice.endpoint.model, fields=fields)
        heard = [each.field for each in found if each.harm in refused]
        if heard:
            raise failures.differs(choice.endpoint.host, heard)

    def _make_session(self, link: Link, listener: LinkListener) -> RealtimeSession:
        return RealtimeSession(
            link.choice.endpoint.with_access(link.credential.access),
            self._route.arm.spoken,
            self._services.session,
            clock=self._services.clock,
            on_event=partial(listener.on_event, link),
            on_closed=partial(listener.on_closed, link),
            on_protocol_error=partial(listener.on_malformed, link),
            on_audio_sent=partial(listener.on_audio_sent, link),
            wire=None if self._wire_log is None else self._wire_log.tap(self._route.arm.audio),
        )
