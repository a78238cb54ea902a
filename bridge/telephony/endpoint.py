"""The SIP endpoint: PJSIP's one instance in this process, polled from the loop.

PJSIP runs without SIP threads (`threadCnt=0`); :meth:`SipEndpoint.poll` carries out everything that
is due, so that every callback arrives in the loop's thread and pjsua2 objects are made and dropped
there alone. Its media threads (RTP sockets, conference clock) are its own.
"""

import asyncio
import atexit
import dataclasses
import secrets
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import structlog

from bridge.clock import SystemClock
from bridge.config.secure_sip import Srtp
from bridge.config.sip import SipSettings
from bridge.errors import InfrastructureError, TelephonyError
from bridge.sip.addresses import Address, AddressError, called_by
from bridge.sip.dialog import Dialog
from bridge.sip.privacy import ANONYMOUS, hides_caller
from bridge.sip.registration import RegisterAnswer
from bridge.sip.sources import MOST_ADDRESSES, RequestSources, counted_by
from bridge.sip.users import Users
from bridge.telephony.accounts import CHALLENGES, SipAccounts, log_refused
from bridge.telephony.admission import AdmissionDoor, Refusal
from bridge.telephony.callback_ports import CallbackPorts
from bridge.telephony.capabilities import check_settings
from bridge.telephony.certificates import TlsCredentials
from bridge.telephony.challenges import ChallengeFilter
from bridge.telephony.dropped import DroppedRequests
from bridge.telephony.end_reasons import hear_reason
from bridge.telephony.far_ends import FarEnds
from bridge.telephony.headers import Headers, read_headers, request_uri
from bridge.telephony.left_calls import LeftCalls, StatelessRequests
from bridge.telephony.leg import FarEnd, Leg, LegState, add_headers, audio_only
from bridge.telephony.library import LibraryInfo, import_pjsua2, load_symbols, longest_packet_bytes
from bridge.telephony.long_messages import LongMessages
from bridge.telephony.memory_layout import memory_ports_problem
from bridge.telephony.memory_ports import MemoryPorts
from bridge.telephony.pacing import SocketPacing, has_few_places
from bridge.telephony.pj_call import CallOwner, PjCall
from bridge.telephony.pj_calls import PjCalls
from bridge.telephony.pj_settings import (
    ACCOUNT,
    LogWriter,
    bound_address,
    choose_codecs,
    endpoint_config,
    identity_of,
    listen,
)
from bridge.telephony.port_draw import PortDraw
from bridge.telephony.ports import JoinablePorts
from bridge.telephony.replaces import InviteId
from bridge.telephony.replaces_door import ReplacesDoor
from bridge.telephony.replies import RawReplies
from bridge.telephony.request_door import RequestDoor
from bridge.telephony.rtp_lock import OnDropped, RtpLocks
from bridge.telephony.sdp import OfferDoor, PtimeDoor
from bridge.telephony.secure_media import CryptoDoor
from bridge.telephony.sip_messages import SipMessage, SipMessages, host_of
from bridge.telephony.sip_traces import SipTraces
from bridge.telephony.socket_address import place_towards
from bridge.telephony.source_door import OnTurnedAway, SourceDoor
from bridge.telephony.succession import Successor
from bridge.telephony.tcp_door import MOST, MOST_IN_A_SMALL_TABLE, TcpDoor
from bridge.telephony.tls_listener import TlsListener
from bridge.telephony.trunk_transports import TransportDoor, routed

pj: Any = import_pjsua2()
log = structlog.get_logger(__name__)

MediaPortsKind = Literal["auto", "memory", "callback"]

_EVENTS_A_POLL = 20
"""Bounds one poll, so that a flood of SIP can't hold the audio up."""


class _Library(pj.Endpoint):  # type: ignore[misc]  # SWIG class without types
    """PJSUA's endpoint: it has each new call's account chosen by whom the call is from."""

    def __init__(self, endpoint: "SipEndpoint") -> None:
        super().__init__()
        self._endpoint = endpoint

    def onSelectAccount(self, prm: Any) -> None:
        """Choose the account for a request outside of dialogs."""
        try:
            prm.accountIndex = self._endpoint.account_of_sender().getId()
        except Exception:
            log.exception("account_not_chosen")


_CREDENTIALS = frozenset({"authorization", "proxy-authorization"})

GUEST_ROWS = 4
"""Rows beside those of calls: so many supervisors can talk beside agents at once."""


class SipEndpoint:
    """PJSIP, ready to take and place calls after :meth:`start`.

    Args:
        settings: where to listen, which codecs.
        on_incoming: receives each new inbound leg, in state INCOMING.
        refusal: see :class:`bridge.telephony.admission.AdmissionDoor`; by default all are let in.
        on_message: see :class:`bridge.telephony.sip_messages.SipMessages`; None: nobody asks.
        on_turned_away: see :class:`bridge.telephony.source_door.SourceDoor`.
        on_stray_packets: called with the host of a far end and the number of packets that came to
            its RTP and RTCP from elsewhere and were dropped.
        trunk_secrets: by trunk, for those with credentials.
        media_ports: `memory` where the loaded PJSIP has usable memory ports, else `callback`;
            `auto` takes memory ports where it can.
        ptime_ms: audio in one packet of ours, a multiple of 10, whatever the far end likes, within
            its maxptime; None for what the far end asks for, or PJSIP's 20.
        traces: collects the messages of calls; None keeps none.

    Attributes:
        info: the library; ``port``: where SIP is heard; ``ports``: the media ports.
        tls: SIP over TLS; None where the settings have none.
    """

    _running: ClassVar[bool] = False

    def __init__(
        self,
        settings: SipSettings,
        *,
        on_incoming: Callable[[Leg], None] = lambda leg: leg.reject(480, "Not taking calls"),
        refusal: Refusal = lambda method: None,
        on_message: Callable[[SipMessage, bool], None] | None = None,
        on_turned_away: OnTurnedAway = lambda host, method, reason: None,
        on_stray_packets: OnDropped = lambda host, packets: None,
        trunk_secrets: Mapping[str, str] = MappingProxyType({}),
        media_ports: MediaPortsKind = "auto",
        ptime_ms: int | None = None,
        traces: SipTraces | None = None,
    ) -> None:
        self.info = LibraryInfo("", 0)
        self.port = 0
        self.ports: JoinablePorts
        self.tls: TlsListener | None = None
        self.legs: set[Leg] = set()
        self._arrived: list[Leg] = []
        self._failed: list[int] = []
        self._settings = settings
        self._on_incoming = on_incoming
        self._refusal = refusal
        self._on_message = on_message
        self._on_turned_away = on_turned_away
        self.traces = traces or SipTraces(None, SystemClock())
        self._messages: SipMessages | None = None
        self._media_ports = media_ports
        self._ptime_ms = ptime_ms
        self._door: AdmissionDoor | None = None
        self._ptime_door: PtimeDoor | None = None
        self._request_door: RequestDoor | None = None
        self._challenges: ChallengeFilter | None = None
        self._source_door: SourceDoor | None = None
        self._transport_door: TransportDoor | None = None
        self._crypto_door: CryptoDoor | None = None
        self._offer_door: OfferDoor | None = None
        self._unread: tuple[DroppedRequests, LongMessages] | None = None
        self._left_calls: LeftCalls | None = None
        self._symbols = load_symbols()
        self._endpoint: Any = None  # SWIG objects without types, here and below
        self._accounts = SipAccounts(settings, trunk_secrets, self._on_invite)
        self._log_writer = LogWriter()
        self._calls: PjCalls[PjCall] = PjCalls(self._symbols)
        self._port_draw = PortDraw(self._accounts, settings.rtp_ports, bound_address(settings))
        self._rtp_locks = RtpLocks(
            self._symbols, SystemClock(), settings.media_networks_at, on_stray_packets
        )
        self._far_ends = FarEnds(settings.far_end_silent_s, SystemClock())
        self._replaces_door: ReplacesDoor | None = None
        self._tcp_door: TcpDoor | None = None
        self._no_legs = asyncio.Event()
        self._no_legs.set()

    @property
    def refused(self) -> int:
        """INVITEs refused at the door."""
        return self._door.refused if self._door else 0

    @property
    def rows_in_use(self) -> int:
        """Rows of the rings that calls have now."""
        if self._endpoint is None:
            return 0
        arena = self.ports.arena
        return arena.rows - arena.free_rows

    @property
    def conference_ports(self) -> int:
        """Ports in PJSIP's conference: two or three a row that was ever used, and one a call."""
        return int(self._symbols.pjsua_conf_get_active_ports()) if self._endpoint is not None else 0

    def start(self) -> None:
        """Bring PJSIP up; it goes down with the process at the latest.

        At the interpreter's end PJSIP would call back into modules that are gone.

        Raises:
            InfrastructureError: the SIP port is taken or the address isn't this machine's; memory
                ports were asked for, and the loaded PJSIP has none that can be used.
            TelephonyError: PJSIP already runs in this process (a second one would abort it).
        """
        if SipEndpoint._running:
            raise TelephonyError(
                "PJSIP already runs in this process", remedy="stop the other endpoint first"
            )
        symbols = self._symbols
        symbols.pj_log_set_level(0)  # until libInit, PJSIP would print to standard output
        self._endpoint = _Library(self)
        SipEndpoint._running = True
        atexit.register(self.stop)
        try:
            check_settings(self._settings, symbols)
            self._endpoint.libCreate()
            self._endpoint.libInit(endpoint_config(self._settings, self._log_writer))
            self.info = LibraryInfo(
                version=self._endpoint.libVersion().full,
                call_limit=int(symbols.pjsua_call_get_max_count()),
            )
            replaces_door = ReplacesDoor(
                symbols, self._sender_trunk, self._settings.trunk_of, self._calls
            )
            self._ptime_door = PtimeDoor(symbols, self._ptime_ms)
            most_bytes = longest_packet_bytes(symbols)
            self._challenges = ChallengeFilter(symbols)
            self._request_door = RequestDoor(symbols, most_bytes, self._find_call)
            sources = _sources(self._settings)
            self._source_door = SourceDoor(
                symbols,
                sources,
                SystemClock(),
                calls_from=self._calls_from,
                on_turned_away=self._on_turned_away,
                retry_after_s=self._settings.retry_after_s,
            )
            self._offer_door = OfferDoor(
                *(symbols, self._settings.codecs, self._srtp_of_sender),
                is_ipv6=self._settings.is_ipv6,
            )
            self._transport_door = TransportDoor(
                symbols, self._settings.trunks, self._sender_trunk, self._on_turned_away
            )
            raw_replies = RawReplies(
                symbols, self._on_message or (lambda message, sent: None), sources.serves
            )
            long_messages = LongMessages(symbols, most_bytes, raw_replies)
            dropped = DroppedRequests(symbols, most_bytes, raw_replies, long_messages)
            self._unread = (dropped, long_messages)
            self._left_calls = LeftCalls(StatelessRequests(symbols, self._place))
            self._replaces_door = replaces_door
            self._door = AdmissionDoor(
                symbols,
                self._refusal,
                self._settings.retry_after_s,
                pacing=SocketPacing(
                    self._calls.__len__, SystemClock(), limited=has_few_places(symbols)
                ),
                exempt=replaces_door.has_let_through,
            )
            self._messages = SipMessages(symbols, self._on_message, self._take_text)
            self.port = listen(self._endpoint, self._settings)
            if self._settings.tls is not None:
                self.tls = TlsListener(symbols, self._endpoint, self._settings)
            self.traces.place = lru_cache(MOST_ADDRESSES)(
                partial(place_towards, self._settings.host, self.port)
            )
            self._tcp_door = TcpDoor(
                *(symbols, self._tcp_ports(), SystemClock()),
                most=MOST_IN_A_SMALL_TABLE if has_few_places(symbols) else MOST,
                is_trunk=lambda host: bool(self._settings.trunk_of(host)),
                on_closed=long_messages.forget,
            )
            self._endpoint.libStart()
            choose_codecs(self._endpoint, self._settings, self._ptime_ms)
            self._endpoint.audDevManager().setNullDev()
            self._create_ports()
            self._accounts.open(self.port)
            self._port_draw.next()
            if any(trunk.srtp != "off" for trunk in self._settings.trunks.values()):
                self._crypto_door = CryptoDoor(symbols)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Take PJSIP down; calls still up are ended without waiting. Safe to call twice."""
        if self._endpoint is None:
            return
        endpoint, self._endpoint = self._endpoint, None
        atexit.unregister(self.stop)
        # PJSIP waits a second for answers to its last requests, in this thread: only if there are.
        flags = 0 if len(self._calls) else pj.PJSUA_DESTROY_NO_RX_MSG
        for leg in list(self.legs):
            leg.close_media()
            leg.unbind()
        self.legs.clear()
        self._no_legs.set()
        endpoint.hangupAllCalls()
        self._calls.drop_all()
        if self._tcp_door is not None:
            self._tcp_door.close()
        endpoint.libDestroy(flags)
        # Not before: PJSIP reports the end of a request that waits, and aborts where its account is
        # gone.
        self._accounts.close()
        # Freed now, and not with the last reference: a traceback may hold one, and PJSIP aborts the
        # process when a second instance is made.
        pj.Endpoint.__swig_destroy__(endpoint)
        SipEndpoint._running = False
        if self.tls is not None:
            self.tls.close()

    def poll(self) -> None:
        """Carry out what is due in SIP; drop ended calls outside their own callbacks."""
        for _ in range(_EVENTS_A_POLL):
            events = self._endpoint.libHandleEvents(0)
            if self._tcp_door is not None:
                self._tcp_door.look()
            self._refuse_failed()
            self._offer_arrived()
            if events <= 0:
                break
        self._calls.drop_ended()
        self._rtp_locks.poll()
        self._far_ends.look(self.legs)

    async def idle(self, timeout_s: float) -> bool:
        """Wait until no leg is left (the ticks go on meanwhile); False when time ran out."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._no_legs.wait()
        except TimeoutError:
            return False
        return True

    def dial(
        self, uri: str, headers: Mapping[str, str] | None = None, *, caller: str | None = None
    ) -> Leg:
        """Place a call.

        Args:
            uri: whom to call.
            headers: of the INVITE, beside the usual ones.
            caller: user part of the From header; None for the gateway's own, or the one that is
                registered with the trunk.

        Raises:
            TelephonyError: the URI is no SIP URI, or PJSIP can't send the INVITE.
        """
        account = self._accounts.towards(uri)
        identity = account.identity
        if caller is not None:
            identity = identity_of(self._settings, self.port, caller)
        trunk = self._settings.trunk_towards(uri)
        uri = routed(uri, self._settings.trunks.get(trunk))
        leg = Leg(self.ports, called=called_by(uri), from_uri=identity, to_uri=uri)
        leg.state, leg.outbound = LegState.CALLING, True
        leg.trunk = trunk
        call = PjCall(
            *(account, leg, self._calls),
            srtp=self._settings.srtp_of(trunk),
            locks=self._rtp_locks,
        )
        leg.bind(call, self._forget)
        self._remember(leg)
        parameters = audio_only()
        add_headers(parameters, headers or {})
        if caller is not None:
            parameters.txOption.localUri = identity
        try:
            call.makeCall(uri, parameters)
        except pj.Error as error:
            self._calls.over(call)
            self._forget(leg)
            raise TelephonyError(f"cannot call {uri}: {error.reason}") from error
        finally:
            self._port_draw.next()
        leg.sip_call_id = leg.sip_call_id or call.sip_call_id
        return leg

    def ask_options(self, uri: str) -> None:
        """Send an OPTIONS outside of a dialog (RFC 3261 section 11); its answer passes the wire.

        Raises:
            TelephonyError: the URI is no SIP URI, or PJSIP can't send to it.
        """
        trunk = self._settings.trunks.get(self._settings.trunk_towards(uri))
        self._accounts.towards(uri).ask_options(routed(uri, trunk))

    async def register(self, trunk: str, *, renew: bool) -> RegisterAnswer:
        """Register with a trunk that has a registration, or take it back."""
        return await self._accounts.register(trunk, renew=renew)

    async def end_left_call(self, call_id: str, dialog: Dialog) -> None:
        """Send a BYE for a call that another process has left (:class:`LeftCalls`)."""
        if self._left_calls is not None:
            await self._left_calls.end(call_id, dialog)

    def _place(self) -> str:
        return identity_of(self._settings, self.port, ACCOUNT).rpartition("@")[2]

    def _on_invite(self, pj_call_id: int, message: str, source: str) -> None:
        """Take an INVITE, or refuse it after PJSUA's callback about it.

        PJSUA refuses it by itself where the call has no object yet.
        """
        try:
            self._take_invite(pj_call_id, message, source)
        except Exception:
            log.exception("incoming_call_failed")
            self._failed.append(pj_call_id)

    def _take_invite(self, pj_call_id: int, message: str, source: str) -> None:
        """Make a leg of an INVITE, or a leg's successor."""
        far_end = _far_end(message, host_of(source), self._sender_trunk())
        replaced = self._replaces_door.take() if self._replaces_door is not None else None
        if replaced is not None:
            self._succeed(replaced, pj_call_id, far_end)
            return
        leg = Leg.offered(self.ports, called_by(request_uri(message)), far_end)
        call = self._call_of(leg, pj_call_id, far_end)
        call.invite = InviteId.of_headers(far_end.headers)
        leg.bind(call, self._forget)
        self._remember(leg)
        self._arrived.append(leg)

    def account_of_sender(self) -> Any:
        """Return the account for the request that is just being received: a SWIG object."""
        return self._accounts.of_sender(self._sender_trunk())

    def _srtp_of_sender(self) -> Srtp:
        return self._settings.srtp_of(self._sender_trunk())

    def _call_of(self, owner: CallOwner, pj_call_id: int, far_end: FarEnd) -> PjCall:
        """Make the object of an INVITE that came in, and whose ports are taken."""
        self._port_draw.next()
        account, srtp = (
            self._accounts.of_sender(far_end.trunk),
            self._settings.srtp_of(far_end.trunk),
        )
        return PjCall(
            *(account, owner, self._calls, pj_call_id),
            srtp=srtp,
            locks=self._rtp_locks,
            host=far_end.source,
        )

    def _refuse_failed(self) -> None:
        failed, self._failed = self._failed, []
        for call in self._calls:
            if call.getId() in failed:
                call.refuse(500, "Internal Error")

    def _offer_arrived(self) -> None:
        """Hand new legs on, outside of PJSUA's callback about them.

        A call that is refused in there is freed at once if its INVITE had no SDP, and pjsua2 2.15
        then aborts the process (`pjsip_rx_data_free_cloned`: assertion).
        """
        arrived, self._arrived = self._arrived, []
        for leg in arrived:
            try:
                leg.offer(self._on_incoming)
            except Exception:
                log.exception("incoming_call_failed", call_id=leg.call_id)
                leg.reject(500, "Internal Error")

    def _calls_from(self, host: str, trunk: str) -> int:
        """Count the calls that came from a trunk, or from a host's source where it is of none."""
        inbound = (leg for leg in self.legs if not leg.outbound)
        if trunk:
            return sum(leg.trunk == trunk for leg in inbound)
        source = counted_by(host)
        return sum(counted_by(leg.source) == source for leg in inbound)

    def _sender_trunk(self) -> str:
        """Return the trunk of the request that is just being received, "" for none."""
        return "" if self._source_door is None else self._source_door.trunk

    def _take_text(self, text: str, far_end: str, sent: bool) -> None:
        self.traces.take(text, far_end, sent=sent)
        if not sent:
            hear_reason(text, self._find_call)

    def _find_call(self, sip_call_id: str) -> PjCall | None:
        return next((call for call in self._calls if call.owner.sip_call_id == sip_call_id), None)

    def _succeed(self, leg: Leg, pj_call_id: int, far_end: FarEnd) -> None:
        """Answer an INVITE whose dialog is to take a leg's place."""
        successor = Successor(leg)
        call = self._call_of(successor, pj_call_id, far_end)
        call.invite = InviteId.of_headers(far_end.headers)
        successor.answer(call, far_end)

    def _remember(self, leg: Leg) -> None:
        self.legs.add(leg)
        self._no_legs.clear()

    def _forget(self, leg: Leg) -> None:
        self.legs.discard(leg)
        leg.unbind()
        if leg.outbound and leg.trunk and leg.last_code in CHALLENGES:
            log_refused(leg.trunk, leg.last_code, "INVITE")
        if not self.legs:
            self._no_legs.set()

    def renew_certificate(self, credentials: TlsCredentials) -> None:
        """Show another certificate to whoever connects from here on.

        Raises:
            TelephonyError: SIP over TLS listens no more.
        """
        if self.tls is None or self._tcp_door is None:
            return
        self._tcp_door.close()  # its hold on the socket would keep the port taken
        self.tls.renew(credentials)
        self._tcp_door.open()

    def _tcp_ports(self) -> tuple[int, ...]:
        return (self.port,) if self.tls is None else (self.port, self.tls.port)

    def _create_ports(self) -> None:
        problem = None if self._media_ports == "callback" else memory_ports_problem()
        if self._media_ports == "memory" and problem is not None:
            raise InfrastructureError(
                f"memory ports were asked for and can't be had: {problem}",
                remedy="install the capacity build (deploy/pjsip/build), or set "
                "BRIDGE_MEDIA_PORTS=auto (media.ports)",
            )
        memory = self._media_ports != "callback" and problem is None
        self.info = dataclasses.replace(
            self.info,
            media_ports="memory" if memory else "callback",
            no_memory_ports=problem or "",
        )
        rows = self.info.call_limit + GUEST_ROWS
        if memory:
            self.ports = MemoryPorts(rows)
        else:
            sink = self._endpoint.audDevManager().getPlaybackDevMedia()
            self.ports = CallbackPorts(sink, rows)


def _sources(settings: SipSettings) -> RequestSources:
    return RequestSources(
        lru_cache(MOST_ADDRESSES)(settings.sender_at),
        {name: trunk.limits.compile() for name, trunk in settings.trunks.items()},
        settings.strangers,
        settings.stranger_limits.compile(),
        _users(settings),
    )


def _users(settings: SipSettings) -> Users | None:
    compiled = {name: user.compile() for name, user in settings.users.items()}
    return Users(compiled, settings.realm, secrets.token_bytes(32)) if compiled else None


def _far_end(message: str, source: str, trunk: str) -> FarEnd:
    """Read who sent an INVITE, from its bytes.

    PJSIP prints addresses into buffers that long names don't fit into, hence our own reading. A
    caller who asks for privacy is anonymous from here on. TlsCredentials end here.
    """
    headers = {
        name: values for name, values in read_headers(message).items() if name not in _CREDENTIALS
    }
    return FarEnd(
        sip_call_id=next(iter(headers.get("call-id", ())), ""),
        from_uri=ANONYMOUS if hides_caller(headers) else _address(headers, "from"),
        to_uri=_address(headers, "to"),
        headers=headers,
        source=source,
        trunk=trunk,
    )


def _address(headers: Headers, name: str) -> str:
    """Return a header's address without its parameters, as it stands where it can't be read."""
    value = next(iter(headers.get(name, ())), "")
    try:
        return str(dataclasses.replace(Address.parse(value), parameters=()))
    except AddressError:
        return value
