"""The callers' wires: messages of a TLS stream, and SRTP that another implementation reads."""

import base64
import secrets
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bridge.bench.hearing import RtpHearing
from bridge.bench.lanes import FRAME_SAMPLES, MOST_CALLS, Lane
from bridge.bench.wires import SrtpStream, TlsWire
from bridge.errors import InfrastructureError
from tests.support.certificates import make_certificate
from tests.support.srtp import SrtpContext, new_key

SUITE = "AES_CM_128_HMAC_SHA1_80"
ANSWER = b"SIP/2.0 200 OK\r\nl: 4\r\n\r\nbody"
REQUEST = b"BYE sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"
SLOT = 3


@contextmanager
def connected(directory: Path) -> Iterator[tuple[TlsWire, ssl.SSLSocket]]:
    """A wire, and the server's end of its connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(directory))
    taken: list[ssl.SSLSocket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            taken.append(context.wrap_socket(listener.accept()[0], server_side=True))

        taking = threading.Thread(target=take)
        taking.start()
        wire = TlsWire(("127.0.0.1", int(listener.getsockname()[1])))
        taking.join()
    try:
        yield wire, taken[0]
    finally:
        wire.close()
        taken[0].close()


def read(wire: TlsWire, wanted: int) -> list[bytes]:
    """Read so many messages."""
    found: list[bytes] = []
    while len(found) < wanted:
        assert select.select([wire], [], [], 10)[0], f"{found} came, and no more"
        found += wire.messages()
    return found


def test_messages_are_whole_however_the_stream_is_cut(tmp_path: Path) -> None:
    with connected(tmp_path) as (wire, server):
        server.sendall(b"\r\n\r\n" + ANSWER + REQUEST + ANSWER[:-2])
        assert read(wire, 2) == [ANSWER, REQUEST]
        server.sendall(ANSWER[-2:])
        assert read(wire, 1) == [ANSWER]
        wire.send(REQUEST)
        assert server.recv(4096) == REQUEST


@pytest.mark.parametrize("linger_s", [None, 0], ids=["closed", "reset"])
def test_lost_connection_is_named(tmp_path: Path, linger_s: int | None) -> None:
    with connected(tmp_path) as (wire, server):
        if linger_s is not None:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, linger_s))
        server.close()
        select.select([wire], [], [], 10)
        with pytest.raises(InfrastructureError, match=r"TLS connection to 127\.0\.0\.1:\d+: "):
            list(wire.messages())


def test_connection_that_nobody_takes_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ("127.0.0.1", int(listener.getsockname()[1]))
    with pytest.raises(InfrastructureError, match=f"127.0.0.1:{server[1]}: .*refused"):
        TlsWire(server)


def test_srtp_is_what_another_implementation_reads() -> None:
    key, far_key = new_key(), new_key()
    stream, far = SrtpStream(key, far_key), SrtpContext(SUITE, key)
    packet = struct.pack("!BBHII", 0x80, 0, 7, 160, 99) + secrets.token_bytes(160)

    sealed = stream.protect(packet)

    assert len(sealed) == len(packet) + 10
    assert far.unprotect(sealed) == packet
    assert stream.unprotect(SrtpContext(SUITE, far_key).protect(packet)) == packet
    assert stream.unprotect(SrtpContext(SUITE, new_key()).protect(packet)) == b""


def test_secure_lane_seals_what_it_sends_and_opens_what_comes() -> None:
    key, far_key = new_key(), new_key()
    lane, hearing = Lane(secure=True), RtpHearing(MOST_CALLS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(10)
        lane.add(SLOT, int(far.getsockname()[1]), (key, far_key))
        speech = np.arange(FRAME_SAMPLES, dtype=np.uint8)[np.newaxis]
        lane.say(SLOT, speech)
        mouth, ear = SrtpContext(SUITE, far_key), SrtpContext(SUITE, key)

        lane.send()
        said = ear.unprotect(far.recv(2048))
        lane.send()
        quiet = ear.unprotect(far.recv(2048))
        for sequence in range(3):
            header = struct.pack("!BBHII", 0x80, 0, sequence, sequence * FRAME_SAMPLES, 5)
            sealed = mouth.protect(header + speech.tobytes())
            far.sendto(sealed if sequence != 1 else sealed[:-1] + b"x", lane_address(lane))
        lane.listen(hearing)  # loopback delivers before sendto returns
        heard = hearing.window()
    lane.wire.close()

    assert said is not None
    assert quiet is not None
    assert said[12:] == speech.tobytes()
    assert quiet[12:] != said[12:]
    assert (heard.packets, heard.lost) == (2, 1)  # the forged one counts for nothing


def lane_address(lane: Lane) -> tuple[str, int]:
    return "127.0.0.1", lane.wire.port


def test_a_call_that_changes_goes_on_with_its_stream() -> None:
    keys = (base64.b64encode(bytes(30)).decode(), new_key())
    lane = Lane(secure=True)
    lane.add(SLOT, 4000, keys)
    stream = lane._srtp[SLOT]
    lane.add(SLOT, 4002, keys)
    assert lane._srtp[SLOT] is stream
    lane.add(SLOT, 4002, (keys[0], new_key()))
    assert lane._srtp[SLOT] is not stream
    lane.wire.close()
