"""The kernel's own judgement: datagrams from many addresses at a socket with a filter."""

import socket
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from bridge.sip.media_sources import Network, SourceRule
from bridge.telephony.packet_filter import attach, drain, dropped


@pytest.fixture(params=["127.0.0.1", "::1"])
def ear(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A UDP socket of each family."""
    host: str = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.bind((host, 0))
        one.setblocking(False)
        yield one


def hears(ear: socket.socket, host: str, port: int = 0) -> bool:
    """Send a datagram from an address; return whether it arrives. Loopback delivers at once."""
    with socket.socket(ear.family, socket.SOCK_DGRAM) as mouth:
        mouth.bind((host, port))
        mouth.sendto(b"rtp", ear.getsockname()[:2])
    try:
        return ear.recv(10) == b"rtp"
    except BlockingIOError:
        return False


def rule(*networks: str, port: int | None = None) -> SourceRule:
    made: tuple[Network, ...] = tuple(ip_network(each) for each in networks)
    return SourceRule(made, port)


def test_no_network_lets_nobody_in_and_counts_them(ear: socket.socket) -> None:
    own = ear.getsockname()[0]
    assert hears(ear, own)
    before = dropped(ear.fileno())
    attach(ear.fileno(), rule())
    assert not hears(ear, own)
    assert dropped(ear.fileno()) == before + 1


def test_a_port_is_one_of_an_address(ear: socket.socket) -> None:
    own = ear.getsockname()[0]
    with socket.socket(ear.family, socket.SOCK_DGRAM) as taken:
        taken.bind((own, 0))
        port = taken.getsockname()[1]
    attach(ear.fileno(), rule("10.0.0.0/8", own, port=port))
    assert hears(ear, own, port)
    assert not hears(ear, own)


@pytest.mark.parametrize("ear", ["127.0.0.1"], indirect=True)
@pytest.mark.parametrize(
    ("networks", "heard"),
    [
        (("127.0.0.2",), "n y n n"),
        (("127.0.0.2", "127.3.0.0/16"), "n y y n"),
        (("2001:db8::/32", "127.0.0.2/31"), "n y n y"),
        (("0.0.0.0/0",), "y y y y"),
        (("::/0",), "n n n n"),
        ((*(f"10.0.{n}.0/24" for n in range(200)), "127.0.0.3"), "n n n y"),
    ],
)
def test_networks_of_ipv4(ear: socket.socket, networks: tuple[str, ...], heard: str) -> None:
    attach(ear.fileno(), rule(*networks))
    hosts = ("127.0.0.1", "127.0.0.2", "127.3.9.1", "127.0.0.3")
    assert " ".join("y" if hears(ear, host) else "n" for host in hosts) == heard


@pytest.mark.parametrize("ear", ["::1"], indirect=True)
@pytest.mark.parametrize(
    ("network", "heard"),
    [("::1", True), ("::/96", True), ("::2/127", False), ("::/0", True), ("0.0.0.0/0", False)],
)
def test_networks_of_ipv6(ear: socket.socket, network: str, heard: bool) -> None:
    attach(ear.fileno(), rule(network))
    assert hears(ear, "::1") is heard


def test_what_came_before_is_taken_away(ear: socket.socket) -> None:
    with socket.socket(ear.family, socket.SOCK_DGRAM) as mouth:
        for _ in range(3):
            mouth.sendto(b"rtp", ear.getsockname()[:2])
    drain(ear.fileno())
    with pytest.raises(BlockingIOError):
        ear.recv(10)
