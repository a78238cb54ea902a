"""One logical Realtime session of one call: opening handshake, commands out, events in.

All in the loop's thread. Callbacks are called synchronously, in order, and must not block; one that
raises ends the session (label ``internal``).
"""

import asyncio
import enum
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog
from websockets.exceptions import WebSocketException

from bridge.clock import NS_PER_S, Clock
from bridge.config.settings import SessionSettings
from bridge.descriptors import out_of_descriptors
from bridge.errors import ProtocolError, UpstreamError
from bridge.realtime.commands import AppendAudio, Command, StartSession, UpdateSession
from bridge.realtime.dialect import Awaited, Dialect
from bridge.realtime.events import (
    AudioDelta,
    ErrorReported,
    ServerEvent,
    SessionClosed,
    SessionCreated,
    SessionUpdated,
    UnknownEvent,
    VoiceDelta,
)
from bridge.realtime.items import Item
from bridge.realtime.session_config import AudioFormat, SessionConfig, SessionInfo
from bridge.realtime.wire_frames import AppendFrames, WholeSamples
from bridge.session import failures
from bridge.session.access import NO_KEY, Access
from bridge.session.connection import Closure, Connection, SessionStats
from bridge.session.wire_log import Tap
from bridge.session.write_queue import QueueFull

log = structlog.get_logger(__name__)

_CLOSE_AFTER_ERROR_S = 0.5
"""How long the close that follows a connect-time error may take; it only adds the close code."""

_OPENING_EVENTS = 16
"""Events that concern the opening; a server sends two of them."""

_Opening = SessionCreated | SessionUpdated | SessionClosed | ErrorReported | Closure


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a Realtime service is, and the way to it.

    Args:
        url: WebSocket URL; model and access add to its query.
        access: key, headers, TLS, proxies; never shown.
        redirect_hosts: other hosts (``host`` or ``host:port``) that may get all that by a redirect.
        model_parameter: of the query, that the model goes by; None where the URL names none.
    """

    url: str
    model: str
    access: Access = field(default=NO_KEY, repr=False)
    redirect_hosts: tuple[str, ...] = ()
    model_parameter: str | None = "model"

    @property
    def host(self) -> str:
        """``host:port``, for messages."""
        return failures.host_of(self.url)

    @property
    def destination(self) -> failures.Destination:
        """The same, with the way to it."""
        return failures.Destination(self.host, self.access, self.access.proxies.of(self.url))

    def with_access(self, access: Access) -> "Endpoint":
        """Return the same place with another key: each connection has its own."""
        return replace(self, access=access)

    @property
    def address(self) -> str:
        """The URL with its query, which may hold the key: never to be shown."""
        name = self.model_parameter
        return self.access.url_with(self.url, **({} if name is None else {name: self.model}))


class _State(enum.Enum):
    NEW = enum.auto()
    OPENING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


class RealtimeSession:
    """A session over one connection; :meth:`open` it once, :meth:`aclose` it in any case.

    Args:
        on_event: called with every event, in order, from the opening's first on (so before
            :meth:`open` returns), and its arrival in monotonic ns.
        on_closed: called exactly once if the session had opened: with None after :meth:`aclose`,
            else with what ended it.
        on_protocol_error: called where the peer sent what makes no sense; the session goes on.
        on_audio_sent: called when the socket has taken an audio append, with its sequence (the nth
            AppendAudio given to :meth:`send`, from 1; dropped ones never come) and monotonic ns.
        wire: takes every frame both ways; None where nobody does.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        settings: SessionSettings,
        *,
        clock: Clock,
        on_event: Callable[[ServerEvent, int], None],
        on_closed: Callable[[UpstreamError | None], None],
        on_protocol_error: Callable[[ProtocolError], None] | None = None,
        on_audio_sent: Callable[[int, int], None] | None = None,
        wire: Tap | None = None,
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._host = endpoint.host
        self._destination = endpoint.destination
        self._access = endpoint.access
        self._dialect = dialect
        self._model = endpoint.model
        self._finished = asyncio.Event()
        self._append_frames = AppendFrames(dialect.encode)
        self._settings = settings
        self._on_event = on_event
        self._on_closed = on_closed
        self._on_protocol_error = on_protocol_error
        self._state = _State.NEW
        self._stage = ""
        self._commands = 0
        self._pcm_output = True
        self._samples = WholeSamples()
        self._inbox: asyncio.Queue[_Opening] = asyncio.Queue(_OPENING_EVENTS)
        self._opening: asyncio.Task[SessionInfo] | None = None
        self._closing = asyncio.Lock()
        self.stats = SessionStats()
        self._connection = Connection(
            endpoint.address,
            {**dialect.handshake_headers(), **endpoint.access.request_headers},
            endpoint.access,
            settings,
            clock=clock,
            stats=self.stats,
            on_frame=self._on_frame,
            on_audio_sent=on_audio_sent,
            on_ended=self._on_ended,
            redirect_hosts=endpoint.redirect_hosts,
        )

    @property
    def closure(self) -> Closure | None:
        """Close code and reason of the connection; None while it stands."""
        return self._connection.closure

    @property
    def round_trip_ms(self) -> float | None:
        """Last ping's round trip; None before the first pong."""
        return self._connection.round_trip_ms

    @property
    def queued(self) -> int:
        """Frames that wait for the socket."""
        return self._connection.queued

    async def open(self, config: SessionConfig, talk: Sequence[Item] = ()) -> SessionInfo:
        """Connect, and set the session up as its dialect does that.

        Args:
            config: what the session is to be.
            talk: of the call so far, for a dialect whose opening takes it.

        Returns:
            The session as the server set it up.

        Raises:
            UpstreamError: anything else came within the open timeout, or nothing; everything is
                cleaned up, and ``on_closed`` is not called.
        """
        if self._state is not _State.NEW:
            raise RuntimeError("a session opens once; make a new one")
        self._state = _State.OPENING
        self._opening = asyncio.create_task(
            self._establish(config, tuple(talk)), name="realtime-open"
        )
        try:
            return await self._opening
        except asyncio.CancelledError:
            if self._state is _State.CLOSING:
                raise failures.given_up(self._host) from None
            raise

    def send(self, command: Command) -> str:
        """Queue a command; never blocks.

        Returns:
            The ``event_id`` given to it; an error that it causes names it as ``client_event_id``.

        Raises:
            UpstreamError: the session is not open (``not_open``), or the peer takes nothing any
                more and this is no audio (``stuck``). Audio without room drops the oldest, counted.
            ValueError: the dialect cannot say it.
        """
        if self._state is not _State.OPEN:
            raise failures.not_open(self._host)
        if isinstance(command, AppendAudio):
            return self.append(command.audio)
        return self._enqueue(command)

    def append(self, audio: bytes) -> str:
        """Send an :class:`AppendAudio` of ``audio``, as :meth:`send` does."""
        if self._state is not _State.OPEN:
            raise failures.not_open(self._host)
        self._commands += 1
        event_id = f"cmd_{self._commands}"
        frame = self._append_frames.encode(audio, event_id)
        if self._wire is not None:
            self._wire("sent", frame, AppendAudio(audio))
        self._connection.send_audio(frame)
        return event_id

    async def aclose(self) -> None:
        """Say farewell, where there is a word for it, send the control frames that wait, and close
        with 1000. Idempotent; also ends an open().
        """
        async with self._closing:
            if self._state is _State.OPENING and self._opening is not None:
                self._state = _State.CLOSING
                self._opening.cancel()
                await asyncio.wait({self._opening})
                self._state = _State.CLOSED
            elif self._state is _State.OPEN:
                self._state = _State.CLOSING
                try:
                    await self._say_farewell()
                    await self._connection.aclose()
                finally:
                    self._state = _State.CLOSED
                    self._on_closed(None)
            else:
                self._state = _State.CLOSED
                await self._connection.wait_ended()

    async def _say_farewell(self) -> None:
        """Have the service finish the session, and wait for its word within the close timeout."""
        farewell = self._dialect.capabilities.farewell
        if farewell is None or self.closure is not None:
            return
        with suppress(TimeoutError, UpstreamError):
            self._enqueue(farewell())
            async with asyncio.timeout(self._settings.close_timeout_s):
                await self._finished.wait()

    def _enqueue(self, command: Command) -> str:
        event_id = f"cmd_{self._commands + 1}"
        text = self._dialect.encode(command, event_id)
        self._commands += 1
        try:
            self._connection.send_control(text)
        except QueueFull:
            raise failures.stuck(self._host, self.queued) from None
        if self._wire is not None:
            self._wire("sent", text, command)
        return event_id

    async def _establish(self, config: SessionConfig, talk: tuple[Item, ...]) -> SessionInfo:
        try:
            async with asyncio.timeout(self._settings.open_timeout_s):
                info = await self._handshake(config, talk)
        except TimeoutError:
            await self._give_up()
            raise failures.timed_out(
                self._stage, self._destination, self._settings.open_timeout_s
            ) from None
        except UpstreamError as error:
            if error.code in failures.CLOSING_ERRORS:
                await self._connection.wait_ended(_CLOSE_AFTER_ERROR_S)
                error.close_code = self.closure.code if self.closure else None
            await self._give_up()
            raise
        except (OSError, WebSocketException) as error:
            failed = self._not_connected(error)
        except BaseException:
            await self._give_up()
            raise
        else:
            self._state = _State.OPEN
            return info
        await self._give_up()
        # Not within the handler: the library's own errors repeat URLs, which may hold a key.
        raise failed

    def _not_connected(self, error: Exception) -> UpstreamError:
        if out_of_descriptors(error):
            return failures.no_descriptors(self._host)
        return failures.not_connected(error, self._destination, self._clock.wall_ns() / NS_PER_S)

    async def _handshake(self, config: SessionConfig, talk: tuple[Item, ...]) -> SessionInfo:
        self._stage = "connection"
        await self._connection.open()
        info = SessionInfo(session_id="")
        for step in self._dialect.capabilities.opening:
            if isinstance(step, Awaited):
                self._stage = step.name
                found = await self._expect(step.event)
                info = found if found.session_id else replace(found, session_id=info.session_id)
                continue
            self._pcm_output = config.output_format is AudioFormat.PCM_24KHZ
            starts = step is StartSession
            self._enqueue(
                StartSession(config, self._model, talk) if starts else UpdateSession(config)
            )
        if self.closure is not None:  # it went to the inbox, which nobody reads from here on
            raise failures.closed(self.closure, self._host)
        return info

    async def _expect(self, kind: type[SessionCreated] | type[SessionUpdated]) -> SessionInfo:
        while True:
            match await self._inbox.get():
                case Closure() as closure:
                    raise failures.closed(closure, self._host)
                case ErrorReported(error=error):
                    raise failures.refused(error, self._destination, None)
                case SessionClosed(reason=reason):
                    raise failures.ended(reason, self._host)
                case SessionCreated() | SessionUpdated() as event:
                    if isinstance(event, kind):
                        return event.session

    async def _give_up(self) -> None:
        if self._state is _State.OPENING:
            self._state = _State.CLOSED
        await self._connection.abort()

    def _on_frame(self, frame: str | bytes, received_ns: int) -> None:
        if self._state is _State.CLOSING and not self._finished.is_set():
            if isinstance(self._decode(frame), SessionClosed):
                self._finished.set()
            return
        if self._state not in (_State.OPENING, _State.OPEN):
            return  # read only so that the close gets through
        frame, event = self._read(frame)
        if isinstance(event, ProtocolError):
            self.stats.protocol_errors += 1
            if self._wire is not None:
                self._wire("received", frame, None)
            if self._on_protocol_error is not None:
                self._on_protocol_error(event)
            return
        if self._wire is not None:
            self._wire("received", frame, event)
        if isinstance(event, UnknownEvent):
            self.stats.unknown_events += 1
        elif self._state is _State.OPENING and isinstance(
            event, SessionCreated | SessionUpdated | SessionClosed | ErrorReported
        ):
            self._pass_to_opening(event)
        self._on_event(event, received_ns)

    def _read(self, frame: str | bytes) -> tuple[str | bytes, ServerEvent | ProtocolError]:
        """Decode a frame, without what it repeats of the secrets in our handshake."""
        event = self._decode(frame)
        if isinstance(event, AudioDelta | VoiceDelta):  # nearly all that comes
            return frame, event
        text = frame if isinstance(frame, str) else frame.decode("latin-1")
        clean = self._access.without_secrets(text)
        return (frame, event) if clean == text else (clean, self._decode(clean))

    def _decode(self, frame: str | bytes) -> ServerEvent | ProtocolError:
        try:
            event = self._dialect.decode(frame)
            if self._pcm_output and isinstance(event, AudioDelta | VoiceDelta):
                return self._samples.whole(event)
        except ProtocolError as error:
            return error
        return event

    def _on_ended(self, closure: Closure) -> None:
        if self._state is _State.OPENING:
            self._pass_to_opening(closure)
        elif self._state is _State.OPEN:
            self._state = _State.CLOSED
            self._on_closed(failures.closed(closure, self._host))

    def _pass_to_opening(self, news: _Opening) -> None:
        with suppress(asyncio.QueueFull):  # the first ones of so many decide
            self._inbox.put_nowait(news)
