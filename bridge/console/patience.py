"""HTTP/1.1 for clients that take their time: uvicorn waits for a request for ever, this does not.

Each connection is a file descriptor, and calls need theirs: who opens many and says nothing, or a
byte at a time, must not use them up.
"""

import asyncio

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger(__name__)

REQUEST_WITHIN_S = 15.0
"""From the connection, or the request's first byte, to the end of its body: 64 KiB at most."""

MOST_CONNECTIONS = 512
"""At once, WebSockets among them: a supervisor's page has two or three."""

_UNFINISHED = (h11.IDLE, h11.SEND_BODY)


class ImpatientProtocol(H11Protocol):
    """Drops connections whose request does not come whole in time, and those that are too many."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            log.warning("connection_dropped", reason="too many", most=MOST_CONNECTIONS)
            transport.abort()
            return
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Wait on while the request is not whole; a WebSocket's is, and the rest is another's."""
        super().data_received(data)
        upgraded = self.transport.get_protocol() is not self
        if self.conn.their_state in _UNFINISHED and not upgraded:
            if self._deadline is None:
                self._expect()
        else:
            self._expect_nothing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_WITHIN_S, self._drop)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _drop(self) -> None:
        log.info("connection_dropped", reason="no whole request in time")
        self.transport.abort()
