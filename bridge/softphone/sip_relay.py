"""A SIP proxy between the caller's phone and the bridge, that leads their media through a relay.

It is dialled in the bridge's place and sends everything on: a stateless proxy with Record-Route
(RFC 3261 sections 16.6 and 16.11), so that re-INVITEs of either side come by as well. In every
session description the address of the audio becomes one of :class:`MediaRelay`'s. SIP itself is
neither lost nor late: it is sent again by itself, and not what is tested. UDP over IPv4, one call.
Runs in the loop's thread.
"""

import asyncio
import dataclasses
import hashlib
import re
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

from bridge.clock import Clock
from bridge.errors import ConfigError, InfrastructureError
from bridge.softphone.media_relay import MediaRelay, PathCounts, Side
from bridge.softphone.sdp import media_address, redirect
from bridge.softphone.settings import Network
from bridge.softphone.sip_message import PhoneMessage, parameter

_URI = re.compile(r"<?sips?:(?:([^@\s>]+)@)?([^:;>\s]+)(?::(\d+))?([^>\s]*)>?", re.IGNORECASE)
_SIP_PORT = 5060
_OK = 200
_LINGERS_S = 1.0
_MAGIC = "z9hG4bK"
"""Begins every branch (RFC 3261 section 8.1.1.7)."""

Address = tuple[str, int]
Headers = tuple[tuple[str, str], ...]


class SipRelay(asyncio.DatagramProtocol):
    """One call's way through an impaired network. Use as an async context manager, then dial `uri`.

    Args:
        network: what becomes of RTP and RTCP packets.
        target: SIP URI of the bridge.
        clock: times packets.

    Attributes:
        uri: what the phone dials.
    """

    def __init__(self, network: Network, target: str, clock: Clock) -> None:
        found = _URI.fullmatch(target)
        if found is None or "transport=tcp" in target.lower() or target.lower().startswith("sips"):
            raise ConfigError(
                "an impaired network needs a SIP URI that is reached by UDP",
                remedy="write sip:user@host:port, or leave network out of the script",
            )
        self.uri = ""
        self._network, self._clock = network, clock
        self._user, self._target_name = found[1], (found[2], int(found[3] or _SIP_PORT))
        self._target: Address = ("", 0)
        self._here: Address = ("", 0)
        self._caller: Address | None = None
        self._over = asyncio.Event()
        self._over.set()
        self._answered = False
        self._media: MediaRelay
        self._transport: asyncio.DatagramTransport

    @property
    def to_bridge(self) -> PathCounts:
        """What became of the caller's packets."""
        return self._media.to_bridge

    @property
    def to_caller(self) -> PathCounts:
        """What became of the bridge's packets."""
        return self._media.to_caller

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        host, port = self._target_name
        try:
            found = await loop.getaddrinfo(host, port, family=socket.AF_INET)
        except OSError as error:
            raise InfrastructureError(f"{host} is not known here: {error.strerror}") from error
        self._target = str(found[0][4][0]), port
        own_host = _own_address_towards(self._target)
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(own_host, 0)
        )
        self._here = own_host, self._transport.get_extra_info("sockname")[1]
        user = f"{self._user}@" if self._user else ""
        self.uri = f"sip:{user}{own_host}:{self._here[1]}"
        try:
            self._media = await MediaRelay.open(self._network, own_host, self._clock)
        except BaseException:
            self._transport.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The phone's last request may still wait in our socket: it is gone when it has hung up.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), _LINGERS_S)
        self._transport.close()
        self._media.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Send a message on."""
        if not data.strip():
            return  # a keep-alive (RFC 5626 section 3.5.1)
        message = PhoneMessage.parse(data)
        if self._caller is None:
            self._caller = addr
        message = self._redirect(message, from_caller=addr == self._caller)
        if message.status:
            self._pass_response(message)
        else:
            self._pass_request(message)

    def _pass_request(self, request: PhoneMessage) -> None:
        headers = self._without_own_route(list(request.headers))
        start, to = self._next_hop(request.start)
        via = f"SIP/2.0/UDP {self._at};rport;branch={_MAGIC}-relay-{_digest(request.branch)}"
        headers.insert(0, ("Via", via))
        if request.method == "INVITE":
            self._over.clear()
            headers.insert(1, ("Record-Route", f"<sip:{self._at};lr>"))
        self._send(dataclasses.replace(request, start=start, headers=tuple(headers)), to)
        if request.method == "BYE":
            self._over.set()

    def _pass_response(self, response: PhoneMessage) -> None:
        headers = list(response.headers)
        vias = [place for place, (name, _) in enumerate(headers) if name.lower() == "via"]
        del headers[vias[0]]  # our own
        passed = dataclasses.replace(response, headers=tuple(headers))
        via = passed.header("Via")
        if not via:
            return
        self._send(passed, _address_of_via(via))
        if response.method != "INVITE":
            return
        if response.status == _OK:
            self._answered = True
            self._media.answered()
        elif response.status > _OK and not self._answered:
            self._over.set()

    def _next_hop(self, start: str) -> tuple[str, Address]:
        """Return where a request goes; one that was dialled here goes to the bridge."""
        method, uri, version = start.split(" ", 2)
        found = _URI.fullmatch(uri)
        if found is None:
            return start, self._target
        to = found[2], int(found[3] or _SIP_PORT)
        if to != self._here:
            return start, to
        user = f"{found[1]}@" if found[1] else ""
        host, port = self._target
        return f"{method} sip:{user}{host}:{port}{found[4]} {version}", self._target

    def _without_own_route(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Take the first Route away, which leads here (RFC 3261 section 16.4)."""
        for place, (name, value) in enumerate(headers):
            if name.lower() == "route" and self._at in value.partition(",")[0]:
                rest = value.partition(",")[2].strip()
                headers[place : place + 1] = [("Route", rest)] if rest else []
                break
        return headers

    def _redirect(self, message: PhoneMessage, *, from_caller: bool) -> PhoneMessage:
        """Note where a side awaits its media, and send the other one our port instead."""
        if "application/sdp" not in message.header("Content-Type").lower():
            return message
        media = self._media
        noted, other = (media.caller, media.bridge) if from_caller else (media.bridge, media.caller)
        self._learn(noted, message.body)
        return dataclasses.replace(message, body=redirect(message.body, other.address))

    @staticmethod
    def _learn(side: Side, sdp: str) -> None:
        address = media_address(sdp)
        if address is not None:
            side.awaits = address

    @property
    def _at(self) -> str:
        return f"{self._here[0]}:{self._here[1]}"

    def _send(self, message: PhoneMessage, to: Address) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(message.encode(), to)


def _own_address_towards(target: Address) -> str:
    """Ask the routing table from which address a target is reached; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(target)
        except OSError as error:
            raise InfrastructureError(f"{target[0]} can't be reached: {error.strerror}") from error
        return str(probe.getsockname()[0])


def _address_of_via(via: str) -> Address:
    """Read where a response goes (RFC 3261 section 18.2.2, RFC 3581 section 4)."""
    sent_by = via.split()[1].partition(";")[0]
    host, _, port = sent_by.partition(":")
    return parameter(via, "received") or host, int(parameter(via, "rport") or port or _SIP_PORT)


def _digest(branch: str) -> str:
    """Make a branch of ours out of the one before: the same for a request's CANCEL and ACK."""
    return hashlib.sha256(branch.encode()).hexdigest()[:16]
