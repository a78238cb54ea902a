"""One logical Realtime session of one call: opening handshake, commands out, events in.

All in the loop's thread. Callbacks are called synchronously, in order, and must not block; one that
raises ends the session (label ``internal``).
"""

import asyncio
import enum
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import uuid4

import structlog
from websockets.exceptions import WebSocketException

from bridge.clock import NS_PER_S, Clock
from bridge.config.settings import SessionSettings
from bridge.descriptors import out_of_descriptors
from bridge.errors import ProtocolError, UpstreamError
from bridge.realtime.commands import AppendAudio, Command, StartSession, UpdateSession
from bridge.realtime.dialect import Awaited, Dialect, OpeningEvent
from bridge.realtime.duplex_events import SessionClosed, VoiceDelta
from bridge.realtime.events import (
    AudioDelta,
    ConversationCreated,
    ErrorReported,
    QuietEvent,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    UnknownEvent,
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

_OpeningEvent = (
    SessionCreated | ConversationCreated | SessionUpdated | SessionClosed | ErrorReported
)
_Opening = _OpeningEvent | Closure


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a Realtime service is, and the way to it.

    Args:
        url: WebSocket URL; model and access add to its query.
        access: key, headers, TLS, proxies; never shown.
        redirect_hosts: other hosts (``host`` or ``host:port``) that may get all that by a redirect.
        model_parameter: of the query, that the model goes by; None where the URL names none.
        fresh_parameter: of the query, that holds a new id for each connection; empty for none.
    """

    url: str
    model: str
    access: Access = field(default=NO_KEY, repr=False)
    redirect_hosts: tuple[str, ...] = ()
    model_parameter: str | None = "model"
    fresh_parameter: str = ""

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
        query = {} if self.model_parameter is None else {self.model_parameter: self.model}
        if self.fresh_parameter:
            query[self.fresh_parameter] = f"call-{uuid4()}"
        return self.access.url_with(self.url, **query)


class _State(enum.Enum):
    NEW = enum.auto()
    OPENING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


def _info_of(event: OpeningEvent) -> SessionInfo:
    if isinstance(event, ConversationCreated):
        return SessionInfo(event.conversation_id)
    return event.session


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
        self._model = endpoint.model
        self._destination = endpoint.destination
        self._access = endpoint.access
        self._dialect = dialect
        self._flavour = dialect.flavour
        self._left_out: set[type[Command]] = set()
        self._finished = asyncio.Event()
        self._append_frames = AppendFrames(dialect.encode)
        self._settings = settings
        self._on_event = on_event
        self._on_closed = on_closed
        self._on_protocol_error = on_protocol_error
        self._state = _State.NEW
        self._stage = ""
        self._commands = 0
        self._output_format = AudioFormat.PCM_24KHZ
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
        why_not = self._flavour.not_taken.get(type(command))
        if why_not is not None:
            return self._leave_out(command, why_not)
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

    def _leave_out(self, command: Command, why: str) -> str:
        """Count a command that this server doesn't take; the log names each kind once."""
        self._commands += 1
        self.stats.commands_left_out += 1
        kind = type(command)
        if kind not in self._left_out:
            self._left_out.add(kind)
            log.info("command_left_out", command=kind.__name__, why=why)
        return f"cmd_{self._commands}"

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
        self._output_format = config.output_format
        named = replace(config, model=self._model) if self._flavour.names_model else config
        info = SessionInfo(session_id="")
        for step in self._dialect.capabilities.opening:
            if isinstance(step, Awaited):
                self._stage = step.name
                found = await self._expect(step.events)
                info = found if found.session_id else replace(found, session_id=info.session_id)
            elif step is StartSession:
                self._enqueue(StartSession(config, self._model, talk))
            else:
                self._enqueue(UpdateSession(named))
        if self.closure is not None:  # it went to the inbox, which nobody reads from here on
            raise failures.closed(self.closure, self._host)
        return info

    async def _expect(self, kinds: tuple[type[OpeningEvent], ...]) -> SessionInfo:
        while True:
            match await self._inbox.get():
                case Closure() as closure:
                    raise failures.closed(closure, self._host)
                case ErrorReported(error=error):
                    raise failures.refused(error, self._destination, None)
                case SessionClosed(reason=reason):
                    raise failures.ended(reason, self._host)
                case event:
                    if isinstance(event, kinds):
                        return _info_of(event)

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
        if isinstance(event, QuietEvent):
            self.stats.quiet_events += 1
            return
        if isinstance(event, UnknownEvent):
            self.stats.unknown_events += 1
        elif self._state is _State.OPENING and isinstance(event, _OpeningEvent):
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
            if isinstance(event, AudioDelta | VoiceDelta):
                return self._as_spoken(event)
        except ProtocolError as error:
            return error
        return event

    def _as_spoken(self, delta: AudioDelta | VoiceDelta) -> AudioDelta | VoiceDelta:
        """Return a delta in the session's format, of whole samples."""
        if self._output_format is not delta.audio_format:
            delta = replace(delta, audio_format=self._output_format)
        return self._samples.whole(delta) if self._output_format.is_pcm else delta

    def _on_ended(self, closure: Closure) -> None:
        if self._state is _State.OPENING:
            self._pass_to_opening(closure)
        elif self._state is _State.OPEN:
            self._state = _State.CLOSED
            self._on_closed(failures.closed(closure, self._host))

    def _pass_to_opening(self, news: _Opening) -> None:
        with suppress(asyncio.QueueFull):  # the first ones of so many decide
            self._inbox.put_nowait(news)
