"""SIP messages as PJSIP describes them."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bridge.config.sip import SipSettings
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.sip_messages import SipMessage, host_of


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("Request msg INVITE/cseq=1 (rdata0x7f10)", SipMessage("INVITE")),
        ("Response msg 503/INVITE/cseq=7 (tdta0x7f10)", SipMessage("INVITE", "503")),
        ("Response msg 200/OPTIONS/cseq=3 (rdata0x7f10)", SipMessage("OPTIONS", "200")),
        ("INVALID MSG", None),
        ("", None),
    ],
)
def test_message_is_read_from_what_pjsip_says_of_it(info: str, message: SipMessage | None) -> None:
    assert SipMessage.parse(info) == message


@pytest.mark.parametrize(
    ("address", "host"),
    [("192.0.2.7:5060", "192.0.2.7"), ("[2001:db8::1]:5060", "2001:db8::1"), ("", "")],
)
def test_host_of_a_far_end(address: str, host: str) -> None:
    assert host_of(address) == host


@contextmanager
def trunk_at(host: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trunk:
        trunk.bind((host, 0))
        trunk.setblocking(False)
        yield trunk


def received(trunk: socket.socket) -> str:
    try:
        return trunk.recv(4096).decode()
    except BlockingIOError:
        return ""


def poll_until(endpoint: SipEndpoint, done: Callable[[], bool]) -> None:
    for _ in range(500):
        endpoint.poll()
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("nothing came in 5 s")


def options_from(port: int) -> bytes:
    return (
        "OPTIONS sip:bridge@127.0.0.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.2:{port};rport;branch=z9hG4bK-far-end\r\n"
        "From: <sip:trunk@example.org>;tag=1\r\nTo: <sip:bridge@127.0.0.1>\r\n"
        "Call-ID: far-end\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def answer_to(request: str) -> bytes:
    kept = ("Via:", "From:", "To:", "Call-ID:", "CSeq:")
    copied = [line for line in request.split("\r\n") if line.startswith(kept)]
    return "\r\n".join(["SIP/2.0 404 Not Found", *copied, "Content-Length: 0", "", ""]).encode()


@pytest.mark.sip
def test_each_message_tells_who_is_at_the_far_end_both_ways() -> None:
    told: list[tuple[SipMessage, bool]] = []
    requests: list[str] = []
    settings = SipSettings(host="0.0.0.0", port=0)
    endpoint = SipEndpoint(settings, on_message=lambda *one: told.append(one))
    try:
        endpoint.start()
        with trunk_at("127.0.0.2") as asks, trunk_at("127.0.0.3") as is_asked:
            here = ("127.0.0.1", endpoint.port)
            asks.sendto(options_from(asks.getsockname()[1]), here)
            poll_until(endpoint, lambda: len(told) >= 2)

            def asked() -> bool:
                requests.extend(filter(None, [received(is_asked)]))
                return bool(requests)

            endpoint.ask_options(f"sip:127.0.0.3:{is_asked.getsockname()[1]}")
            poll_until(endpoint, asked)
            is_asked.sendto(answer_to(requests[0]), here)
            poll_until(endpoint, lambda: told[-1][0].code == "404")
    finally:
        endpoint.stop()
    assert list(dict.fromkeys(told)) == [  # one may have been sent twice
        (SipMessage("OPTIONS", "", "127.0.0.2"), False),
        (SipMessage("OPTIONS", "200", "127.0.0.2"), True),
        (SipMessage("OPTIONS", "", "127.0.0.3"), True),
        (SipMessage("OPTIONS", "404", "127.0.0.3"), False),
    ]
