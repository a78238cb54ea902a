"""Malformed INVITEs against `bridge serve`: it stays up, and a call is heard after each hundred.

4,500 of them by datagram, stream and TLS: ``pytest -m nightly tests/app/test_malformed_invites.py``
"""

import asyncio
import re
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import psutil
import pytest

from tests.conftest import show
from tests.support.certificates import make_certificate
from tests.support.gateways import PLAIN_AGENT, Gateway, serving, write_dialplan
from tests.support.memory import settled_memory
from tests.support.ports import free_port
from tests.support.protos import Malformed, malformed_calls
from tests.support.raw_sip import RawSip, Reply
from tests.support.rfc4475 import MESSAGES
from tests.support.rtp_caller import RtpCaller
from tests.support.tls_sip import client_context
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sip

A_FEW, ALL = 130, 4_500
BETWEEN_CALLS = 100
WARMED_UP = 3_000
"""By then what is kept within bounds, as refused INVITEs are, takes the memory that it may: by TCP
212 MB after 750, 232 after 1,500, 236 after 3,000, 238 after 6,000, 240 after 8,250."""
MEMORY_GROWTH = 0.03
NIGHTLY = pytest.mark.nightly
CAPACITY = pytest.mark.capacity

_MESSAGE = re.compile(rb"(?=SIP/2\.0 \d{3} )")
_PIECES = (1, 7, 100, 100_000)
"""Bytes at once: how a stream is cut up, by the case's number."""
_CASES_A_STREAM = 5
"""One whose framing is broken swallows what follows in it."""


class Peer:
    """Sends cases by datagram, and ends the calls that come of them.

    Attributes:
        answers: the final answers to INVITEs, by code.
    """

    def __init__(self, sip: RawSip) -> None:
        self.answers = Counter[int]()
        self._sip = sip

    async def place(self, number: int, case: Malformed) -> None:
        """Send an INVITE, every other time CANCEL and ACK after it; end what comes of it.

        What finds no room, or comes too fast for the wheel's table of sockets, is sent again.
        """
        attempts = (case.again(attempt) if attempt else case for attempt in count())
        while 503 in await self._try(number, next(attempts)):
            pass

    async def _try(self, number: int, case: Malformed) -> set[int]:
        messages = [case.invite, case.cancel, case.ack] if number % 2 else [case.invite]
        await self._send(number, messages)
        await self._check_alive(case)
        await self._check_alive(case)  # what a stream brought has been read by then, too
        if self._waits_for_answer():
            await self._sip.reply(lambda reply: self._is_final(reply))
        return await self._end(case)

    async def close(self) -> None:
        """Part from the gateway."""

    async def _send(self, number: int, messages: list[bytes]) -> None:
        for message in messages:
            with suppress(OSError):  # longer than a datagram: the kernel refuses it
                self._sip.send(message)

    async def _check_alive(self, case: Malformed) -> None:
        """See that all that was sent before has been dealt with."""
        try:
            assert (await self._sip.talk().ask("OPTIONS")).code in {200, 503}
        except AssertionError as error:
            raise AssertionError(f"deaf after {case.name}: {case.invite[:2000]!r}") from error

    def _is_final(self, reply: Reply) -> bool:
        return reply.code >= 200 and self._is_of_case(reply)

    def _is_of_case(self, reply: Reply) -> bool:
        own = reply.header("Call-ID").startswith(f"raw-{self._sip.port}-")
        return not own and reply.header("CSeq").endswith("INVITE")

    def _waits_for_answer(self) -> bool:
        codes = [reply.code for reply in self._sip.replies if self._is_of_case(reply)]
        return bool(codes) and max(codes) < 200

    async def _end(self, case: Malformed) -> set[int]:
        """Acknowledge what was answered, as callers do, and hang up; return the codes."""
        finals = [reply for reply in self._sip.replies if self._is_final(reply)]
        self.answers.update({reply.header("Via"): reply.code for reply in finals}.values())
        for reply in finals:
            self._sip.send(_acknowledgement(reply, self._sip.port))
            if reply.code == 200:
                self._sip.send(_in_dialog(reply, "BYE", 2, self._sip.port))
        if any(reply.code == 200 for reply in finals):
            await self._check_alive(case)
        self._sip.replies.clear()
        return {reply.code for reply in finals}


class StreamPeer(Peer):
    """Sends cases over TCP or TLS: in pieces of several lengths, and all messages of one together.

    What follows in a call goes by datagram, because a broken message may take the rest of a stream
    with it.
    """

    def __init__(self, sip: RawSip, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__(sip)
        self._port, self._context = port, context
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Hang up the connection."""
        if self._writer is not None and self._reading is not None:
            self._writer.close()
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._writer = None

    async def _send(self, number: int, messages: list[bytes]) -> None:
        if number % _CASES_A_STREAM == 0:
            await self.close()
        if self._writer is None or self._writer.is_closing():
            await self.close()
            reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._context
            )
            opened = self._writer.get_extra_info("socket")
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._reading = asyncio.create_task(self._read(reader))
        data = b"".join(messages)
        size = max(_PIECES[number % len(_PIECES)], len(data) // 300)
        try:
            for place in range(0, len(data), size):
                self._writer.write(data[place : place + size])
                await self._writer.drain()
                await asyncio.sleep(0)
        except OSError:
            self._writer.close()  # whoever is hung up on has had an answer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                for each in filter(None, _MESSAGE.split(data)):
                    self._sip.datagram_received(each, ("127.0.0.1", self._port))
        if self._writer is not None:
            self._writer.close()


def _acknowledgement(reply: Reply, port: int) -> bytes:
    if reply.code == 200:
        return _in_dialog(reply, "ACK", 1, port)
    lines = (
        "ACK sip:support@127.0.0.1 SIP/2.0",
        f"Via: {reply.header('Via')}",
        *(f"{name}: {reply.header(name)}" for name in ("From", "To", "Call-ID")),
        f"CSeq: {reply.header('CSeq').split(' ')[0]} ACK",
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _in_dialog(reply: Reply, method: str, number: int, port: int) -> bytes:
    branch = f"z9hG4bK-end-{method}-{abs(hash(reply.header('Call-ID')))}"
    lines = (
        f"{method} {reply.header('Contact').partition('<')[2].partition('>')[0]} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch={branch}",
        *(f"{name}: {reply.header(name)}" for name in ("From", "To", "Call-ID")),
        f"CSeq: {number} {method}",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def hear_a_call(gateway: Gateway) -> None:
    """Place a call and hear the agent; one that finds no room for broken ones is placed again."""
    codes: list[int] = []

    async def heard() -> bool:
        async with RtpCaller(gateway.sip_port) as caller:
            codes.append(await caller.call())
            if codes[-1] != 200:
                return False
            await caller.until(lambda: any(packet.loud for packet in caller.heard))
            await caller.hang_up()
            return True

    await wait_until(heard, f"no call is answered: {codes}")


def is_up(process: psutil.Process) -> bool:
    """Return whether a process lives; one that is dead and not waited for still runs to psutil."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def tls_port() -> int:
    return free_port()


@pytest.fixture
def gateway(tmp_path: Path, simulator: str, transport: str, tls_port: int) -> Iterator[Gateway]:
    """A gateway; a call that a broken INVITE began can't always be hung up, and ends in silence."""
    dialplans = tmp_path / "dialplans"
    dialplans.mkdir()
    write_dialplan(dialplans, {**PLAIN_AGENT, "greeting": "Hello there."}, called="support")
    sip: dict[str, object] = {"far_end_silent_s": 1}
    if transport == "TLS":
        cert, key = make_certificate(tmp_path / "tls")
        sip["tls"] = {"port": tls_port, "cert_file": str(cert), "key_file": str(key)}
    with serving(tmp_path, simulator, dialplans, sip=sip) as gateway:
        yield gateway


def peer_by(transport: str, sip: RawSip, tls_port: int) -> Peer:
    match transport:
        case "UDP":
            return Peer(sip)
        case "TCP":
            return StreamPeer(sip, sip.server_port, None)
        case _:
            return StreamPeer(sip, tls_port, client_context())


@pytest.mark.parametrize(
    ("transport", "cases"),
    [
        ("UDP", A_FEW),
        pytest.param("UDP", ALL, marks=NIGHTLY),
        pytest.param("TCP", ALL, marks=NIGHTLY),
        pytest.param("TLS", ALL, marks=[NIGHTLY, CAPACITY]),
    ],
)
@pytest.mark.timeout(3600)
async def test_malformed_invites_leave_the_process_and_a_call_is_heard_after_each_hundred(
    gateway: Gateway, transport: str, tls_port: int, cases: int, request: pytest.FixtureRequest
) -> None:
    """The RFC's torture messages are sent between them."""
    process = psutil.Process(gateway.process.pid)
    async with RawSip(gateway.sip_port) as sip:
        await hear_a_call(gateway)
        before = 0
        peer = peer_by(transport, sip, tls_port)
        for number, case in enumerate(malformed_calls(cases, sip.port, transport), 1):
            await peer.place(number, case)
            assert is_up(process), case.name
            if number % BETWEEN_CALLS == 0:
                sip.send(MESSAGES[number // BETWEEN_CALLS % len(MESSAGES)].from_here())
                await hear_a_call(gateway)
            if number == WARMED_UP:
                before = await settled_memory(gateway)
        # Before the last calls end all at once, which is another state than that of WARMED_UP.
        after = await settled_memory(gateway) if cases == ALL else 0
        await peer.close()
        await gateway.until_active(0)
    show(
        request.config,
        f"malformed INVITEs, {transport}",
        [
            f"{cases} cases, {sum(peer.answers.values())} answered: "
            f"{dict(sorted(peer.answers.items()))}; {before / 2**20:.1f} -> {after / 2**20:.1f} MB"
        ],
    )
    assert is_up(process)
    assert peer.answers[200] > 0, "no INVITE got as far as a call"
    assert after <= before * (1 + MEMORY_GROWTH)
