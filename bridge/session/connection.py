"""One WebSocket connection: its socket, its bounded write queue, its end.

Knows frames, not events. All in the loop's thread; one task per connection owns the reading and
writing and ends by itself when the socket does. Compression is off: audio in base64 hardly shrinks,
and deflate would cost more than everything else here.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from bridge.clock import Clock
from bridge.config.settings import SessionSettings
from bridge.session.access import Access
from bridge.session.destinations import AlertedConnection, GuardedConnect
from bridge.session.write_queue import WriteQueue

log = structlog.get_logger(__name__)

FRAMES_PER_SLICE = 8
"""Frames handled before other tasks get a turn: at most ~1 ms of the loop (decoding 100 ms of audio
takes ~0.03 ms; one TCP read can hold dozens of frames, the write queue hundreds)."""

_AT_ONCE_BYTES = 16 * 1024
"""Audio goes past the writer while no more waits in the transport: about 100 ms of it. Beyond, the
writer's queue and its timeout see that the peer takes nothing."""

_wire_log = logging.getLogger("bridge.session.wire")
# At DEBUG the library logs headers (the key) and payloads (speech); no log level may turn that on.
_wire_log.setLevel(logging.WARNING)


@dataclass(slots=True)
class SessionStats:
    """What went over one connection, counted; read it, don't write it."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    audio_dropped: int = 0
    unknown_events: int = 0
    protocol_errors: int = 0
    quiet_events: int = 0
    commands_left_out: int = 0


@dataclass(frozen=True, slots=True)
class Closure:
    """How a connection ended (RFC 6455 section 7.4).

    Attributes:
        code: the peer's close code; ours where the peer sent none; 1006 where nobody did.
        label: ``closed``; ``stalled`` where the peer stopped reading; ``internal`` where a callback
            of ours failed.
        cause: that failure.
    """

    code: int
    reason: str
    label: str = "closed"
    cause: Exception | None = None


def _ignore(*news: object) -> None:
    """Drop the news of a connection that is over."""


class Connection:
    """A WebSocket connection; :meth:`open` it once, then it is not reused.

    Args:
        url: with query; it may hold a key.
        headers: handshake headers, those of the key among them.
        access: TLS and proxies.
        stats: counters to fill.
        on_frame: called with each frame and its arrival in monotonic ns.
        on_audio_sent: called with an audio frame's sequence and the time in monotonic ns at which
            the socket had taken it.
        redirect_hosts: other hosts that the handshake may be sent on to, with the headers.
        on_ended: called exactly once after :meth:`open` succeeded, when the socket is closed.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        access: Access,
        settings: SessionSettings,
        *,
        clock: Clock,
        stats: SessionStats,
        on_frame: Callable[[str | bytes, int], None],
        on_audio_sent: Callable[[int, int], None] | None,
        on_ended: Callable[[Closure], None],
        redirect_hosts: Collection[str] = (),
    ) -> None:
        self._url = url
        self._redirect_hosts = redirect_hosts
        self._headers = headers
        self._access = access
        self._settings = settings
        self._clock = clock
        self._stats = stats
        self._on_frame = on_frame
        self._on_audio_sent = on_audio_sent
        self._on_ended = on_ended
        self._queue = WriteQueue(settings.write_queue_events)
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._audio_sequence = 0
        self._ponged = False
        self.closure: Closure | None = None
        """How it ended; None before."""

    @property
    def queued(self) -> int:
        """Frames that wait for the socket."""
        return len(self._queue)

    @property
    def round_trip_ms(self) -> float | None:
        """Last ping's round trip; None before the first pong. uvloop's clock counts whole ms."""
        if self._socket is None or not self._ponged:
            return None
        return self._socket.latency * 1000

    async def open(self) -> None:
        """Connect and start reading and writing. The caller bounds the time.

        Raises:
            OSError: no TCP or TLS connection.
            websockets.exceptions.WebSocketException: the handshake failed.
        """
        settings, access = self._settings, self._access
        proxy = access.proxies.of(self._url)
        attempt = GuardedConnect(
            self._url,
            additional_headers=self._headers,
            user_agent_header="telephony-bridge",
            compression=None,
            proxy=None if proxy is None else proxy.secret_url,
            create_connection=AlertedConnection,
            open_timeout=None,
            close_timeout=settings.close_timeout_s,
            ping_interval=settings.ping_interval_s,
            ping_timeout=settings.ping_timeout_s,
            max_size=settings.max_frame_bytes,
            logger=_wire_log,
        )
        attempt.allowed = self._redirect_hosts
        attempt.tls_context = access.tls_context
        socket = await attempt
        self._socket = socket
        self._task = asyncio.create_task(self._run(socket), name="realtime-connection")

    def send_control(self, text: str) -> None:
        """Queue a frame that must arrive.

        Raises:
            QueueFull: the peer takes nothing any more.
        """
        self._queue.put_control(text)

    def send_audio(self, text: bytes) -> None:
        """Send a frame of audio, UTF-8; at once if nothing is before it.

        Else it is queued; when there is no room the oldest audio goes, and is counted.
        """
        self._audio_sequence += 1
        if not self._write_at_once(text):
            self._stats.audio_dropped += self._queue.put_audio(text, self._audio_sequence)

    def _write_at_once(self, text: bytes) -> bool:
        """Write audio past the writer, if the socket takes it: no task has to wake up for it.

        The writer holds no frame while the queue is empty: it writes what it took before it yields.
        """
        socket = self._socket
        if socket is None or len(self._queue) or self._queue.ended:
            return False
        transport = socket.transport
        if socket.protocol.state is not State.OPEN or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > _AT_ONCE_BYTES:
            return False
        socket.protocol.send_text(text)
        socket.send_data()
        self._sent(len(text), self._audio_sequence)
        return True

    def _sent(self, size_bytes: int, audio_sequence: int | None) -> None:
        self._stats.frames_sent += 1
        self._stats.bytes_sent += size_bytes
        if audio_sequence is not None and self._on_audio_sent is not None:
            self._on_audio_sent(audio_sequence, self._clock.now_ns())

    async def wait_ended(self, timeout_s: float | None = None) -> None:
        """Wait until the connection has ended, or ``timeout_s`` is over."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)

    async def aclose(self) -> None:
        """Send what control frames wait, close with 1000, all within the close timeout.

        Whatever happens, also when cancelled, the socket is gone and the task ended on return.
        """
        if self._socket is None or self._task is None or self._task.done():
            return
        try:
            async with asyncio.timeout(self._settings.close_timeout_s):
                self._stats.audio_dropped += self._queue.end()
                if self._writer is not None:
                    await asyncio.wait({self._writer})
                await self._socket.close(CloseCode.NORMAL_CLOSURE)
        except TimeoutError:
            log.warning("realtime.close_timed_out", timeout_s=self._settings.close_timeout_s)
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Drop the connection without a handshake and wait for the task's end."""
        if self._socket is not None:
            self._socket.transport.abort()
        await self.wait_ended()

    async def _run(self, socket: ClientConnection) -> None:
        label, cause = "closed", None
        try:
            async with asyncio.TaskGroup() as group:
                self._writer = group.create_task(self._write(socket), name="realtime-writer")
                await self._read(socket)
        except* ConnectionClosed:
            pass  # how it ended is read off the socket below
        except* TimeoutError:
            label = "stalled"
        except* Exception as failures:
            # A callback of ours failed: the session must end with an outcome, not hang.
            label, cause = "internal", failures.exceptions[0]
            log.exception("realtime.connection_failed")
        socket.transport.abort()  # no-op on a closed one
        await socket.wait_closed()
        gone = socket.protocol.close_exc
        frame = gone.rcvd or gone.sent
        code, reason = (frame.code, frame.reason) if frame else (CloseCode.ABNORMAL_CLOSURE, "")
        self.closure = Closure(code, self._access.without_secrets(reason), label, cause)
        self._on_ended(self.closure)
        # Nothing more comes; the listeners are freed without waiting for the collector.
        self._on_frame, self._on_ended, self._on_audio_sent = _ignore, _ignore, None

    async def _read(self, socket: ClientConnection) -> None:
        stats = self._stats
        while True:
            for _ in range(FRAMES_PER_SLICE):
                frame = await socket.recv()
                received_ns = self._clock.now_ns()
                stats.frames_received += 1
                stats.bytes_received += len(frame)
                self._on_frame(frame, received_ns)
            # recv() doesn't yield while frames are waiting.
            await asyncio.sleep(0)

    def _on_pong(self, pong: asyncio.Future[float]) -> None:
        self._ponged = not pong.cancelled() and pong.exception() is None

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            # The first round trip is known before the first keepalive.
            asyncio.ensure_future(await socket.ping()).add_done_callback(self._on_pong)
        while (frame := await self._queue.get()) is not None:
            # Keepalive can't see a peer that stops reading: its ping waits for the same buffer.
            async with asyncio.timeout(self._settings.ping_timeout_s):
                await socket.send(frame.text, text=True)
            self._sent(len(frame.text), frame.audio_sequence)
            if self._stats.frames_sent % FRAMES_PER_SLICE == 0:
                await asyncio.sleep(0)  # nor does send(), while the socket takes all
