"""A Realtime service that misbehaves, in both dialects, by a seeded dice or by a script.

It shares no code with the product.

Its callers ask in tones: each question is a pitch of :data:`QUESTIONS`, which the service hears in
the audio that reaches it, transcribes by its name, and answers with a pitch of the question's own.
So the caller's ear knows which question an answer belongs to, and the record which question was
understood. What it does wrong (`adverse_mischief.py`) is chosen by the URL: at its plain path by
the dice, at a path that ends in mischiefs' names by these alone, from the first turn there on. What
it did is in ``log``.
"""

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.support.adverse_mischief import Mischief, Opening
from tests.support.adverse_session import AdverseSession, Cut
from tests.support.adverse_wire import AdverseConnection


@dataclass
class Plan:
    """What goes wrong next at one path; after that all goes well."""

    turns: deque[Mischief] = field(default_factory=deque)
    openings: deque[Opening] = field(default_factory=deque)
    life_s: float = 3600.0

    def next_mischief(self) -> Mischief:
        """Choose what goes wrong in the next turn."""
        return self.turns.popleft() if self.turns else Mischief.NONE

    def next_opening(self) -> Opening:
        """Choose what goes wrong as the next session opens."""
        return self.openings.popleft() if self.openings else Opening.PLAIN

    def next_life_s(self) -> float:
        """Choose how long the next session lives."""
        return self.life_s


def plan_of(names: str) -> Plan:
    """Return the plan of a path that ends in names of mischiefs and openings, joined by ``+``.

    Mischiefs happen one turn after the other, openings in the second session and those behind it;
    where there are openings alone, the first session is closed in the first turn.
    """
    parts = names.split("+")
    turns = deque(Mischief[each] for each in parts if each in Mischief.__members__)
    openings = deque(Opening[each] for each in parts if each in Opening.__members__)
    if openings:
        openings.appendleft(Opening.PLAIN)
        turns = turns or deque([Mischief.CLOSE_AFTER_COMMIT])
    return Plan(turns, openings)


class Dice(Plan):
    """What goes wrong by a seeded dice."""

    def __init__(self, dice: Random, share_wrong: float, share_refused: float) -> None:
        super().__init__()
        self._dice = dice
        self._share_wrong, self._share_refused = share_wrong, share_refused
        self._begun = False

    def next_mischief(self) -> Mischief:
        """Throw the dice."""
        wrong = self._dice.random() < self._share_wrong
        return self._dice.choice(list(Mischief)) if wrong else Mischief.NONE

    def next_opening(self) -> Opening:
        """Throw the dice, but for the run's first session."""
        begun, self._begun = self._begun, True
        wrong = begun and self._dice.random() < self._share_refused
        return self._dice.choice(list(Opening)) if wrong else Opening.PLAIN

    def next_life_s(self) -> float:
        """Throw the dice."""
        return float(self._dice.choice([25, 60, 3600]))


class AdverseService:
    """All sessions of one run.

    Args:
        seed: of every choice.
        share_wrong: of the turns, 0 to 1; ``share_refused``: of the sessions' openings.

    Attributes:
        log: Counter of what was done wrong; ``asked``: names of the questions that were committed.
        endless: ids of the sessions in which an answer's end was never told.
    """

    def __init__(self, seed: int, share_wrong: float = 0.7, share_refused: float = 0.2) -> None:
        self.dice = Random(seed)
        self.log: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.endless: set[str] = set()
        self._sessions = 0
        self._by_dice = Dice(self.dice, share_wrong, share_refused)
        self._plans: dict[str, Plan] = {}

    def _plan_at(self, path: str) -> Plan:
        place = path.partition("?")[0]
        name = place.rpartition("/")[2]
        if name == "realtime":
            return self._by_dice
        return self._plans.setdefault(place, plan_of(name))

    async def look(self, peer: ServerConnection, request: Request) -> Response | None:
        """Refuse, cut or leave some handshakes."""
        if "/realtime" not in request.path:
            return peer.respond(HTTPStatus.NOT_FOUND, "")
        connection = cast(AdverseConnection, peer)  # serve() made it
        connection.opening = opening = self._plan_at(request.path).next_opening()
        if opening is not Opening.PLAIN:
            self.log[opening.value] += 1
        match opening:
            case Opening.REFUSED | Opening.REFUSED_FOR_A_SECOND:
                response = peer.respond(HTTPStatus.SERVICE_UNAVAILABLE, "busy\n")
                if opening is Opening.REFUSED_FOR_A_SECOND:
                    response.headers["Retry-After"] = "1"
                return response
            case Opening.LIMITED:
                return peer.respond(HTTPStatus.TOO_MANY_REQUESTS, "busy\n")
            case Opening.CUT:
                connection.cut()
            case Opening.HALF_A_RESPONSE:
                peer.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")
                peer.transport.close()
            case Opening.UNANSWERED:
                await peer.wait_closed()
        return None

    @staticmethod
    def spoil_accept(
        peer: ServerConnection, request: Request, response: Response
    ) -> Response | None:
        """Spoil what some handshakes are accepted with."""
        opening = cast(AdverseConnection, peer).opening
        if opening is Opening.FALSE_ACCEPT:
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        if opening is Opening.DEFLATES:
            more = ("Sec-WebSocket-Extensions", "permessage-deflate")
            response.headers = Headers([*response.headers.raw_items(), more])
        return response

    async def serve(self, socket: ServerConnection) -> None:
        """Serve one session to its end."""
        assert socket.request is not None
        self._sessions += 1
        connection = cast(AdverseConnection, socket)
        plan = self._plan_at(socket.request.path)
        try:
            await AdverseSession(self, plan, connection, self._sessions).run()
        except (ConnectionClosed, Cut):
            return


@asynccontextmanager
async def adverse_service(
    service: AdverseService, certificate: tuple[Path, Path] | None = None
) -> AsyncIterator[tuple[str, str]]:
    """Serve sessions; give the URL, and that for TLS, which is empty without a certificate."""
    secure: ssl.SSLContext | None = None
    if certificate is not None:
        secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure.load_cert_chain(*certificate)
    urls = []
    async with AsyncExitStack() as servers:
        for scheme, context in (("ws", None), ("wss", secure)):
            if scheme == "wss" and context is None:
                urls.append("")
                continue
            server = await servers.enter_async_context(
                serve(
                    service.serve,
                    "127.0.0.1",
                    0,
                    ssl=context,
                    process_request=service.look,
                    process_response=service.spoil_accept,
                    create_connection=AdverseConnection,
                    compression=None,
                    open_timeout=60,
                    close_timeout=1,
                    ping_interval=None,
                )
            )
            port = next(iter(server.sockets)).getsockname()[1]
            urls.append(f"{scheme}://127.0.0.1:{port}/v1/realtime")
        yield urls[0], urls[1]
        await asyncio.sleep(0)
