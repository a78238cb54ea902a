"""The doors of the SIP endpoint: modules of PJSIP's that see messages before PJSUA acts on them.

    of a stream, unread     LongMessages: past a bound, or longer than PJSIP's buffer
    that no parser takes    DroppedRequests
    every message           SipMessages, for metrics and traces
    every request           SourceDoor, TransportDoor, RequestDoor, CryptoDoor, PtimeDoor
    a challenge             ChallengeFilter
    an INVITE               ReplacesDoor, OfferDoor, AdmissionDoor
    a connection            TcpDoor, TlsConnections

Their priorities, which stand in each, have PJSIP ask them in their order. In the loop's thread.
"""

import contextlib
import ctypes
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

from bridge.clock import SystemClock
from bridge.config.sip import MediaTerms, SipSettings
from bridge.config.sip_in_force import SipInForce
from bridge.config.trunks import Trunk
from bridge.errors import NotPlaced
from bridge.sip.addresses import Address, AddressError
from bridge.sip.sources import RequestSources, SourceBounds
from bridge.sip.users import Users
from bridge.telephony.admission import AdmissionDoor, Refusal
from bridge.telephony.challenges import ChallengeFilter
from bridge.telephony.dropped import DroppedRequests
from bridge.telephony.headers import read_headers
from bridge.telephony.library import longest_packet_bytes
from bridge.telephony.long_messages import LongMessages
from bridge.telephony.pacing import SocketPacing, has_few_places
from bridge.telephony.pj_call import PjCall
from bridge.telephony.pj_calls import PjCalls
from bridge.telephony.replaces_door import ReplacesDoor
from bridge.telephony.replies import RawReplies
from bridge.telephony.request_door import RequestDoor
from bridge.telephony.sdp import OfferDoor, PtimeDoor
from bridge.telephony.secure_media import CryptoDoor
from bridge.telephony.sip_messages import SipMessage, SipMessages
from bridge.telephony.source_door import OnTurnedAway, SourceDoor
from bridge.telephony.tcp_door import MOST, MOST_IN_A_SMALL_TABLE, TcpDoor
from bridge.telephony.tls_connections import TlsConnections
from bridge.telephony.trunk_transports import TransportDoor


class DoorKeeper(Protocol):
    """The interface of the endpoint to its doors.

    Attributes:
        refusal: see :class:`bridge.telephony.admission.AdmissionDoor`.
        on_message: see :class:`bridge.telephony.sip_messages.SipMessages`; None: nobody asks.
        on_turned_away: see :class:`bridge.telephony.source_door.SourceDoor`.
    """

    refusal: Refusal
    on_message: Callable[[SipMessage, bool], None] | None
    on_turned_away: OnTurnedAway

    def calls_from(self, host: str, trunk: str) -> int:
        """Count the calls with a trunk, or from a host's source where it is of none."""

    def find_call(self, sip_call_id: str) -> PjCall | None:
        """Find a call by its dialog's Call-ID."""

    def take_text(self, text: str, far_end: str, sent: bool) -> None:
        """Take a message as it passed the wire, and whom it came from or went to."""


class Doors:
    """The modules, from PJSIP's `init` to its end.

    Args:
        symbols: PJSIP's.
        sip: the settings in force.
        calls: of the endpoint.
        keeper: the endpoint.
        ptime_ms: see :class:`bridge.telephony.sdp.PtimeDoor`.

    Attributes:
        source, replaces, admission: the doors that the endpoint asks.
        long_messages: refused while they come.
    """

    def __init__(
        self,
        symbols: ctypes.CDLL,
        sip: SipInForce,
        calls: PjCalls[PjCall],
        keeper: DoorKeeper,
        ptime_ms: int | None,
    ) -> None:
        self._symbols = symbols
        self._sip = sip
        self._keeper = keeper
        self._calls = calls
        self._crypto: CryptoDoor | None = None
        self._tcp: TcpDoor | None = None
        self._kept: list[object] = []  # PJSIP calls into them until it ends
        most_bytes = longest_packet_bytes(symbols)
        self.replaces = ReplacesDoor(symbols, self._sender_trunk, sip.trunk_of, calls)
        self._kept += PtimeDoor(symbols, ptime_ms), ChallengeFilter(symbols)
        self._kept.append(RequestDoor(symbols, most_bytes, keeper.find_call))
        sources = self._sources = _sources(sip)
        self.source = SourceDoor(
            *(symbols, sources, SystemClock()),
            calls_from=keeper.calls_from,
            on_turned_away=keeper.on_turned_away,
            on_refused=partial(keeper.take_text, sent=False),
            retry_after_s=sip.settings.retry_after_s,
        )
        self._guard_trunks(keeper)
        replies = RawReplies(
            symbols, keeper.on_message or (lambda message, sent: None), sources.serves
        )
        self.long_messages = LongMessages(symbols, most_bytes, replies)
        self._kept.append(DroppedRequests(symbols, most_bytes, replies, self.long_messages))
        few_places = has_few_places(symbols)
        self.admission = AdmissionDoor(
            *(symbols, keeper.refusal, sip.settings.retry_after_s),
            pacing=SocketPacing(calls.__len__, SystemClock(), limited=few_places),
            exempt=self.replaces.has_let_through,
        )
        self._kept.append(SipMessages(symbols, keeper.on_message, keeper.take_text))

    def _guard_trunks(self, keeper: DoorKeeper) -> None:
        settings = self._sip.settings
        self._kept.append(
            OfferDoor(
                *(self._symbols, self._terms_of),
                all_codecs=settings.all_codecs,
                is_ipv6=settings.is_ipv6,
            )
        )
        if settings.tls is not None:
            self._kept.append(
                TransportDoor(
                    *(self._symbols, self._trunk_judging, keeper.on_turned_away),
                    partial(keeper.take_text, sent=False),
                )
            )
            self._kept.append(TlsConnections(self._symbols, self._calls, keeper.find_call))

    def guard_connections(self, ports: tuple[int, ...]) -> None:
        """Bound the TCP connections to SIP's ports, which listen by now."""
        self._tcp = TcpDoor(
            *(self._symbols, ports, SystemClock()),
            most=MOST_IN_A_SMALL_TABLE if has_few_places(self._symbols) else MOST,
            is_trunk=lambda host: bool(self._sip.trunk_of(host)),
            on_closed=self.long_messages.forget,
        )

    def guard_crypto(self) -> None:
        """Judge crypto lines, where a trunk may offer some; PJSUA has begun."""
        encrypted = any(trunk.srtp != "off" for trunk in self._sip.settings.trunks.values())
        if encrypted and self._crypto is None:
            self._crypto = CryptoDoor(self._symbols)

    def judge_dial(self, trunk: str) -> NotPlaced | None:
        """Count a call that is about to be placed to a trunk; return why it may not be."""
        calls = self._keeper.calls_from("", trunk)
        return self._sources.judge_dial(trunk, SystemClock().now_ns(), calls=calls)

    def take_trunks(self) -> None:
        """Judge by the trunks that are in force now."""
        self.guard_crypto()
        self._sources.take_trunks(_bounds(self._sip.settings))

    def look(self) -> None:
        """Take what waits for a place among the connections."""
        if self._tcp is not None:
            self._tcp.look()

    @contextlib.contextmanager
    def without_connections(self) -> Iterator[None]:
        """Let go of the sockets that listen: a hold on one would keep its port taken."""
        self.close()
        yield
        if self._tcp is not None:
            self._tcp.open()

    def close(self) -> None:
        """Let go of the sockets that listen."""
        if self._tcp is not None:
            self._tcp.close()

    def _sender_trunk(self) -> str:
        return self.source.trunk

    def _terms_of(self, message: str) -> MediaTerms:
        return self._sip.settings.terms_with(self._trunk_judging(message))

    def _trunk_judging(self, message: str) -> Trunk | None:
        """Return the trunk that a request is judged by: its sender's, or its call's from before."""
        headers = read_headers(message)
        if "tag" in _parameters_of(next(iter(headers.get("to", ())), "")):
            call = self._keeper.find_call(next(iter(headers.get("call-id", ())), ""))
            if call is not None:
                return call.trunk
        return self._sip.settings.trunks.get(self.source.trunk)


def _parameters_of(address: str) -> Mapping[str, str]:
    try:
        return dict(Address.parse(address).parameters)
    except AddressError:
        return {}


def _bounds(settings: SipSettings) -> Mapping[str, SourceBounds]:
    return {name: trunk.limits.compile() for name, trunk in settings.trunks.items()}


def _sources(sip: SipInForce) -> RequestSources:
    settings = sip.settings
    return RequestSources(
        sip.sender_at,
        _bounds(settings),
        settings.strangers,
        settings.stranger_limits.compile(),
        _users(settings),
    )


def _users(settings: SipSettings) -> Users | None:
    compiled = {name: user.compile() for name, user in settings.users.items()}
    return Users(compiled, settings.realm, secrets.token_bytes(32)) if compiled else None
