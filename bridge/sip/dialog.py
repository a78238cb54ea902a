"""An established SIP dialog (RFC 3261 section 12), written down so that another process can end it.

Its facts fit into one field of the call's hash in Redis. From them a request is written by hand, as
the far end would get it from the process that has died. Pure.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bridge.sip.addresses import Address, AddressError, Uri, split_list
from bridge.sip.text import plain

UNSEEN_CSEQ = 0x7FFF
"""PJSIP begins a dialog's CSeq at random, up to this (`pjsip_dlg_create_uas_and_inc_lock`)."""

_BEYOND = 100
"""What the dead process sent after its last write is not known; a lower CSeq would be refused with
500 (RFC 3261 section 12.2.2)."""

_SIP_PORT = 5060


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a request is sent to; ``transport`` is ``udp`` or ``tcp``."""

    host: str
    port: int
    transport: str

    @classmethod
    def of(cls, uri: str) -> Self:
        """Read it from a URI.

        Raises:
            AddressError: the URI can't be read, or wants TLS.
        """
        parsed = Uri.parse(uri)
        transport = dict(parsed.parameters).get("transport", "udp").lower()
        if parsed.scheme != "sip" or transport not in {"udp", "tcp"}:
            raise AddressError("a lost call's far end is reached by UDP or TCP alone")
        return cls(parsed.host.strip("[]"), parsed.port or _SIP_PORT, transport)


@dataclass(frozen=True, slots=True)
class Dialog:
    """A dialog's facts, as one of its two sides has them.

    Attributes:
        local: From header's value in this side's requests, with its tag; ``remote``: the To's.
        target: URI of the far end's last Contact; ``contact``: URI of this side's.
        routes: values of Route headers, in the order of this side's requests.
        cseq: the highest that this side's requests have had.
        passed: names and values of headers that go on in this side's BYE.
    """

    call_id: str
    local: str
    remote: str
    target: str
    contact: str
    routes: tuple[str, ...] = ()
    cseq: int = UNSEEN_CSEQ
    passed: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_json(cls, text: str) -> Self | None:
        """Read what :attr:`json` wrote; None where there is no such thing."""
        try:
            facts = {"passed": (), **json.loads(text)}
            passed = tuple((plain(name), plain(value)) for name, value in facts["passed"])
            return cls(**{**facts, "routes": tuple(facts["routes"]), "passed": passed})
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def json(self) -> str:
        """The facts as one text."""
        facts = dataclasses.asdict(self)
        if not self.passed:
            del facts["passed"]  # a node of a release before them could not read the rest
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))

    @property
    def seen_from_there(self) -> "Dialog":
        """The same dialog as the far end has it, without the proxies between."""
        return Dialog(self.call_id, self.remote, self.local, self.contact, self.target)

    @property
    def next_hop(self) -> Hop:
        """Where requests go to: the first route, or the far end itself.

        Raises:
            AddressError: it can't be read.
        """
        return Hop.of(_uri_of(self.routes[0]) if self.routes else self.target)

    def request(self, method: str, via: str, *more: str) -> bytes:
        """Write a request without a body; its CSeq is well above what was sent so far.

        Args:
            method: such as BYE.
            via: value of its Via header.
            more: further lines of its head.
        """
        target, routes = self.target, self.routes
        if routes and "lr" not in dict(Uri.parse(_uri_of(routes[0])).parameters):
            # A strict router (RFC 3261 section 12.2.1.1) finds itself in the Request-URI.
            target, routes = _uri_of(routes[0]), (*routes[1:], f"<{target}>")
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: {via}",
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in routes),
            f"From: {self.local}",
            f"To: {self.remote}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq + _BEYOND} {method}",
            *more,
            "Content-Length: 0",
        ]
        return "\r\n".join([*lines, "", ""]).encode()


def routes_of(record_routes: Sequence[str]) -> tuple[str, ...]:
    """Return the entries of Record-Route headers, in their order: a callee's route set.

    Args:
        record_routes: values, one a header line.
    """
    return tuple(entry.strip() for line in record_routes for entry in split_list(line))


def uri_of_contact(contacts: Sequence[str]) -> str:
    """Return the URI of a Contact header's first address; "" where there is none."""
    entries = routes_of(contacts)
    try:
        return _uri_of(entries[0]) if entries else ""
    except AddressError:
        return ""


def _uri_of(address: str) -> str:
    return str(Address.parse(address).uri)
