"""SIP messages around and over PJSIP's buffer: served whole, or refused with 513; never silence.

By datagrams of up to 65,507 bytes and by connections, with the sender's own reading of the answers.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import product

import pytest

from bridge.telephony.long_messages import MessageEnd
from tests.support.raw_sip import RawSip, Reply, sdp
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, has_memory_ports

LIMIT = 16_000 if has_memory_ports() else 4_000
"""`PJSIP_MAX_PKT_LEN` of the capacity build and of the pip wheel."""
LONGEST_DATAGRAM = 65_507

PIDF_LO = (
    '<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:a@b">'
    "<tuple id='t'><status><gp:geopriv xmlns:gp='urn:ietf:params:xml:ns:pidf:geopriv10'/></status>"
    "<note>{}</note></tuple></presence>"
)


def multipart(filler: int) -> bytes:
    """Return SDP and a location object (RFC 6442), with a note that is so long."""
    parts = (
        ("application/sdp", sdp().decode()),
        (
            "application/pidf+xml",
            PIDF_LO.format("x" * filler),
        ),
    )
    text = "".join(f"--b1\r\nContent-Type: {kind}\r\n\r\n{body}\r\n" for kind, body in parts)
    return f"{text}--b1--\r\n".encode()


def filled(size: int, write: Callable[[int], bytes]) -> bytes:
    """Return what ``write`` makes with as much filler as gives it the size."""
    filler = size - len(write(0))
    for _ in range(10):  # a branch or a Content-Length may get one more digit
        data = write(filler)
        if len(data) == size:
            return data
        filler += size - len(data)
    raise AssertionError(f"no message of {size} bytes")


Shape = Callable[[RawSip], Callable[[int], bytes]]


def long_headers(sip: RawSip) -> Callable[[int], bytes]:
    talk = sip.talk()

    def write(filler: int) -> bytes:
        identity = "Identity: " + "e" * (filler // 2) + ";info=<https://c.example/c>;alg=ES256"
        info = "User-to-User: " + "0" * (filler - filler // 2) + ";encoding=hex"
        kind = "Content-Type: application/sdp"
        return talk.request("INVITE", sdp(), (identity, info, kind), sequence=1)

    return write


def long_body(sip: RawSip) -> Callable[[int], bytes]:
    talk = sip.talk()

    def write(filler: int) -> bytes:
        kind = "Content-Type: multipart/mixed;boundary=b1"
        return talk.request("INVITE", multipart(filler), (kind,), sequence=1)

    return write


def length_first(sip: RawSip) -> Callable[[int], bytes]:
    """Content-Length is 0 and before what is cut off: nothing seems to be missing."""
    talk = sip.talk()

    def write(filler: int) -> bytes:
        head, _, _ = talk.request("INVITE", sequence=1).partition(b"Content-Length: 0")
        return head + b"l: 0\r\nUser-to-User: " + b"0" * filler + b"\r\n\r\n"

    return write


def no_length(sip: RawSip) -> Callable[[int], bytes]:
    """A datagram needs no Content-Length (RFC 3261 section 18.3)."""
    talk = sip.talk()

    def write(filler: int) -> bytes:
        kind = "Content-Type: multipart/mixed;boundary=b1"
        data = talk.request("INVITE", multipart(filler), (kind,), sequence=1)
        return re.sub(rb"Content-Length: \d+\r\n", b"", data)

    return write


SHAPES: tuple[Shape, ...] = (long_headers, long_body, length_first, no_length)
SIZES = (3_900, 4_000, 4_001, 6_000, 15_990, 16_000, 16_001, 30_000, LONGEST_DATAGRAM)


async def final(sip: RawSip, data: bytes) -> Reply:
    request = Reply(data)
    call_id, sequence = request.header("Call-ID"), request.header("CSeq")
    sip.send(data)
    reply = await sip.reply(
        lambda reply: (
            reply.code >= 200
            and (reply.header("Call-ID"), reply.header("CSeq")) == (call_id, sequence)
        )
    )
    assert reply is not None, f"silence after {len(data)} bytes"
    return reply


@pytest.mark.sip
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_long_invite_by_udp_is_served_or_refused(rig: Rig, shape: Shape) -> None:
    rig.take = lambda call: call.leg.reject(486, "Busy Here")
    async with RawSip(rig.endpoint.port) as sip:
        for size in SIZES:
            rig.calls.clear()
            reply = await final(sip, filled(size, shape(sip)))
            fits = size < LIMIT or (size == LIMIT and shape is not no_length)
            assert (size, reply.code) == (size, 486 if fits else 513)
            assert len(rig.calls) == fits
        assert (await sip.talk().ask("OPTIONS")).code == 200


@pytest.mark.sip
async def test_a_long_request_in_a_call_by_udp_leaves_the_call_as_it_was(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        talk = sip.talk()
        await talk.call(sdp())
        for method in ("INFO", "INVITE"):
            for size in (size for size in SIZES if size > LIMIT):
                talk.sequence = size

                def write(filler: int, method: str = method) -> bytes:
                    return talk.request(method, b"x" * filler, sequence=talk.sequence)

                reply = await final(sip, filled(size, write))
                assert (size, reply.code) == (size, 513)
        assert (await talk.ask("BYE")).code == 200


class TcpSender:
    """SIP on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader

    async def reply(self) -> Reply:
        """Return the next response."""
        async with asyncio.timeout(60):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(Reply(head).header("Content-Length"))
            return Reply(head + await self._reader.readexactly(length))

    async def final(self) -> Reply:
        while (reply := await self.reply()).code < 200:
            pass
        return reply


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[TcpSender]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield TcpSender(reader, writer)
    finally:
        writer.close()


def by_tcp(data: bytes) -> bytes:
    return data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP", 1)


STREAM_SIZES = (*SIZES, 200_000)


@pytest.mark.sip
@pytest.mark.parametrize("shape", [long_headers, long_body, length_first])
async def test_a_long_invite_by_tcp_is_served_or_refused_and_the_connection_stays(
    rig: Rig, shape: Shape
) -> None:
    rig.take = lambda call: call.leg.reject(486, "Busy Here")
    async with RawSip(rig.endpoint.port) as sip, connected(rig.endpoint.port) as tcp:
        for size, piece in product(STREAM_SIZES, (1_000, 1 << 20)):
            rig.calls.clear()
            data = by_tcp(filled(size, shape(sip)))
            # What follows in the same stream, on the message's heels.
            data += by_tcp(sip.talk().request("OPTIONS"))
            for begin in range(0, len(data), piece):
                tcp.writer.write(data[begin : begin + piece])
                await tcp.writer.drain()
                await asyncio.sleep(0)
            replies = [await tcp.final() for _ in range(2)]
            codes = {reply.method: reply.code for reply in replies}
            assert (size, codes) == (
                size,
                {"INVITE": 486 if size <= LIMIT else 513, "OPTIONS": 200},
            )
            assert len(rig.calls) == (size <= LIMIT)


@pytest.mark.sip
async def test_what_stands_in_a_long_messages_body_is_never_a_request(rig: Rig) -> None:
    """Else whoever writes a body writes requests in the name of the connection's owner."""
    async with RawSip(rig.endpoint.port) as sip, connected(rig.endpoint.port) as tcp:
        hidden = by_tcp(sip.talk().request("INVITE", sdp(), ("Content-Type: application/sdp",)))
        talk = sip.talk()
        kind = ("Content-Type: application/octet-stream",)
        first = by_tcp(sip.talk().request("OPTIONS"))
        body = b"\r\n" * LIMIT + hidden * 40
        tcp.writer.write(first + by_tcp(talk.request("INFO", body, kind)))
        tcp.writer.write(by_tcp(sip.talk().request("OPTIONS")))
        codes = [(await tcp.final()).code for _ in range(3)]
        assert codes == [200, 513, 200]
        assert rig.calls == []


@pytest.mark.sip
async def test_a_connection_in_the_middle_of_a_long_message_may_go(rig: Rig) -> None:
    """The next connection may get the same place in memory; its messages are its own."""

    def nothing_awaited() -> bool:
        assert rig.endpoint._doors is not None
        return not rig.endpoint._doors.long_messages._rests

    async with RawSip(rig.endpoint.port) as sip:
        for _ in range(5):
            async with connected(rig.endpoint.port) as tcp:
                data = by_tcp(filled(200_000, long_body(sip)))
                tcp.writer.write(data[:50_000])
                assert (await tcp.reply()).code == 513
            await wait_until(nothing_awaited, "its rest is still awaited")
            async with connected(rig.endpoint.port) as tcp:
                tcp.writer.write(by_tcp(sip.talk().request("OPTIONS")))
                assert (await tcp.reply()).code == 200


@pytest.mark.parametrize("step", [1, 7, 1_000])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("length", ["Content-Length: 500", "l:0500", "content-length : 500"])
def test_the_end_of_a_long_message_is_found_however_it_comes(
    step: int, end: str, length: str
) -> None:
    head = end.join(["INVITE sip:a@b SIP/2.0", "X: " + "x" * 300, length, "", ""]).encode()
    message, after = head + b"y" * 500, b"OPTIONS sip:a@b SIP/2.0"
    for begin in (20, 40, 330, len(head) - 1, len(head), len(head) + 100):
        end_of_it = MessageEnd()
        at, over = end_of_it.take(message[:begin])
        while not over:
            part, over = end_of_it.take((message + after)[at : at + step])
            at += part
        assert at == len(message)


def test_a_length_beyond_measure_has_no_end() -> None:
    head = b"INVITE sip:a@b SIP/2.0\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n"
    end = MessageEnd()
    assert end.take(head) == (len(head), False)
    assert end.take(b"\r\n" * 1_000) == (2_000, False)


@pytest.mark.timeout(20)
def test_a_length_of_many_digits_takes_no_longer_than_it_is_long() -> None:
    """By trying each split of the zeros it would take minutes, in the loop of all calls."""
    head = b"INVITE sip:a SIP/2.0\r\nContent-Length: " + b"0" * 200_000
    assert MessageEnd().take(head) == (len(head), False)
    assert MessageEnd().take(head + b"x\r\n\r\n") == (len(head) + 5, True)
    assert MessageEnd().take(head + b"3\r\n\r\nabcd") == (len(head) + 8, True)
