"""Kamailio with `HOMER` defined sends every message as HEP version 3, read here byte by byte."""

import socket
import struct
from contextlib import closing

import pytest

from tests.support.kamailio import kamailio
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sip

_PROTOCOL, _SOURCE_PORT, _TARGET_PORT, _KIND, _CAPTURE_ID, _PAYLOAD = 2, 7, 8, 11, 12, 15
_UDP, _SIP = 17, 1


def chunks(packet: bytes) -> dict[int, bytes]:
    """Read a packet of HEP version 3: chunks of vendor, type, length and content."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack("!H", packet[4:6])[0] == len(packet)
    found, at = {}, 6
    while at < len(packet):
        vendor, kind, length = struct.unpack("!HHH", packet[at : at + 6])
        assert vendor == 0
        assert length >= 6
        found[kind] = packet[at + 6 : at + length]
        at += length
    return found


async def test_homer_gets_what_passes_kamailio_both_ways() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as homer:
        homer.bind(("127.0.0.1", 0))
        homer.setblocking(False)
        where = f'"sip:127.0.0.1:{homer.getsockname()[1]}"'
        told: list[dict[int, bytes]] = []

        def sent_both_ways() -> bool:
            try:
                while True:
                    told.append(chunks(homer.recv(65_535)))
            except BlockingIOError:
                return len(about(told, call_id)) >= 2

        call_id = b""
        async with (
            kamailio([9], HOMER=where, HOMER_CAPTURE_ID=77) as edge,
            SipPeer(edge.port) as peer,
        ):
            answer = await peer.options()
            call_id = answer.header("Call-ID").encode()
            await wait_until(sent_both_ways, "Homer was not told of both messages")
            port = edge.port
    asked, answered = about(told, call_id)[:2]
    assert asked[_PAYLOAD].startswith(b"OPTIONS ")
    assert answered[_PAYLOAD].startswith(f"SIP/2.0 {answer.status} ".encode())
    assert number(asked[_TARGET_PORT]) == number(answered[_SOURCE_PORT]) == port
    for each in (asked, answered):
        assert (each[_PROTOCOL][0], each[_KIND][0]) == (_UDP, _SIP)
        assert number(each[_CAPTURE_ID]) == 77


def about(told: list[dict[int, bytes]], call_id: bytes) -> list[dict[int, bytes]]:
    return [each for each in told if call_id and call_id in each[_PAYLOAD]]


def number(content: bytes) -> int:
    return int.from_bytes(content, "big")
