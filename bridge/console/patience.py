"""HTTP/1.1 for clients that take their time: uvicorn waits for a request for ever, this does not.

Each connection is a file descriptor, and calls need theirs: who opens many and says nothing, or a
byte at a time, must not use them up. Where there are too many, the address with the most gives one
up, so that probes and people of other addresses get theirs.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator

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
    _opened_s = 0.0

    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._opened_s = self.loop.time()
        self._expect()
        if len(self.connections) > MOST_CONNECTIONS:
            dropped = _one_of_the_busiest(self, self.connections)
            log.warning(
                "connection_dropped",
                reason="too many",
                most=MOST_CONNECTIONS,
                address=dropped.address,
            )
            dropped.transport.abort()

    @property
    def address(self) -> str:
        """Where it comes from: the proxy's own address, where there is one."""
        return self.client[0] if self.client else ""

    @property
    def droppable(self) -> bool:
        """Whether nobody is being answered on it."""
        return self.conn.their_state in _UNFINISHED

    @property
    def opened_s(self) -> float:
        """When it was opened, on the loop's clock."""
        return self._opened_s

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


def _one_of_the_busiest(new: ImpatientProtocol, all_open: Iterable[object]) -> ImpatientProtocol:
    """Return the connection that is given up: of the address with the most, the oldest silent one.

    It is the new one itself where that address has no other that is silent. WebSockets are not
    looked at: they are answered, and each user has a share of them (:mod:`bridge.console.streams`).
    """
    counts: Counter[str] = Counter(each.address for each in _of_ours(all_open))
    most = max(counts.values())
    busiest = {address for address, count in counts.items() if count == most}
    silent = [
        each
        for each in _of_ours(all_open)
        if each is not new and each.droppable and each.address in busiest
    ]
    return min(silent, key=lambda each: each.opened_s, default=new)


def _of_ours(all_open: Iterable[object]) -> Iterator[ImpatientProtocol]:
    return (each for each in all_open if isinstance(each, ImpatientProtocol))
