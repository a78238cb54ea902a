"""The SIP endpoint: PJSIP's one instance in this process, polled from the loop.

PJSIP runs without SIP threads (`threadCnt=0`); :meth:`SipEndpoint.poll` carries out everything that
is due, so that every callback arrives in the loop's thread and pjsua2 objects are made and dropped
there alone. Its media threads (RTP sockets, conference clock) are its own.
"""

import asyncio
import atexit
import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import structlog

from bridge.clock import SystemClock
from bridge.config.sip import SipSettings
from bridge.config.sip_in_force import SipInForce
from bridge.errors import CallNotPlacedError, InfrastructureError, NotPlaced, TelephonyError
from bridge.sip.addresses import Address, AddressError, called_by
from bridge.sip.dialog import Dialog
from bridge.sip.numbers import NumberFormat
from bridge.sip.privacy import ANONYMOUS, hides_caller
from bridge.sip.registration import RegisterAnswer
from bridge.sip.sources import MOST_ADDRESSES, counted_by
from bridge.telephony.accounts import CHALLENGES, AccountChange, SipAccounts, log_refused
from bridge.telephony.admission import Refusal
from bridge.telephony.callback_ports import CallbackPorts
from bridge.telephony.capabilities import check_settings
from bridge.telephony.certificates import TlsCredentials
from bridge.telephony.doors import Doors
from bridge.telephony.end_reasons import hear_reason
from bridge.telephony.far_ends import FarEnds
from bridge.telephony.guarding import guarded
from bridge.telephony.headers import Headers, read_headers, request_uri
from bridge.telephony.left_calls import LeftCalls, StatelessRequests
from bridge.telephony.leg import FarEnd, Leg, LegState, add_headers, audio_only
from bridge.telephony.library import LibraryInfo, import_pjsua2, load_symbols
from bridge.telephony.max_forwards import MOST_HOPS, request_hops
from bridge.telephony.memory_layout import memory_ports_problem
from bridge.telephony.memory_ports import MemoryPorts
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
from bridge.telephony.rtp_lock import OnDropped, RtpLocks
from bridge.telephony.sip_messages import SipMessage, host_of
from bridge.telephony.sip_traces import SipTraces
from bridge.telephony.socket_address import place_towards
from bridge.telephony.source_door import OnTurnedAway
from bridge.telephony.succession import Successor
from bridge.telephony.tls_listener import TlsListener
from bridge.telephony.trunk_transports import routed, with_its_number

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
        with guarded(log, "account_not_chosen"):
            host = host_of(str(prm.rdata.srcAddress))
            prm.accountIndex = self._endpoint.account_of_sender(host).getId()


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
        on_not_placed: called with the trunk, "" for none, of a call that may not be placed.
        on_stray_packets: called with the host of a far end and the number of packets that came to
            its RTP and RTCP from elsewhere and were dropped.
        trunk_secrets: by trunk, for those with credentials.
        media_ports: `memory` where the loaded PJSIP has usable memory ports, else `callback`;
            `auto` takes memory ports where it can.
        ptime_ms: audio in one packet of ours, a multiple of 10, whatever the far end likes, within
            its maxptime; None for what the far end asks for, or PJSIP's 20.
        traces: collects the messages of calls; None keeps none.

    Attributes:
        sip: the settings in force.
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
        on_not_placed: Callable[[str, NotPlaced], None] = lambda trunk, reason: None,
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
        self.sip = SipInForce(settings)
        self._on_incoming = on_incoming
        self._on_not_placed = on_not_placed
        self.refusal = refusal
        self.on_message = on_message
        self.on_turned_away = on_turned_away
        self.traces = traces or SipTraces(None, SystemClock())
        self._media_ports = media_ports
        self._ptime_ms = ptime_ms
        self._doors: Doors | None = None
        self._left_calls: LeftCalls | None = None
        self._symbols = load_symbols()
        self._endpoint: Any = None  # SWIG objects without types, here and below
        self._accounts = SipAccounts(self.sip, trunk_secrets, self._on_invite)
        self._log_writer = LogWriter()
        self._calls: PjCalls[PjCall] = PjCalls(self._symbols)
        self._port_draw = PortDraw(self._accounts, settings.rtp_ports, bound_address(settings))
        self._rtp_locks = RtpLocks(self._symbols, SystemClock(), on_stray_packets)
        self._far_ends = FarEnds(settings.far_end_silent_s, SystemClock())
        self._no_legs = asyncio.Event()
        self._no_legs.set()

    @property
    def _settings(self) -> SipSettings:
        return self.sip.settings

    @property
    def refused(self) -> int:
        """INVITEs refused at the door."""
        return self._doors.admission.refused if self._doors else 0

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
            self._doors = Doors(symbols, self.sip, self._calls, self, self._ptime_ms)
            self._left_calls = LeftCalls(StatelessRequests(symbols, self._place))
            self.port = listen(self._endpoint, self._settings)
            if self._settings.tls is not None:
                self.tls = TlsListener(symbols, self._endpoint, self._settings)
            self.traces.place = lru_cache(MOST_ADDRESSES)(
                partial(place_towards, self._settings.host, self.port)
            )
            self.traces.trunk_of = lambda far_end: self.sip.trunk_of(host_of(far_end))
            self._doors.guard_connections(self._tcp_ports())
            self._endpoint.libStart()
            choose_codecs(self._endpoint, self._settings, self._ptime_ms)
            self._endpoint.audDevManager().setNullDev()
            self._create_ports()
            self._accounts.open(self.port)
            self._port_draw.next()
            self._doors.guard_crypto()
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
            with contextlib.suppress(TelephonyError):  # then it is hung up with all others
                leg.hangup()
            leg.close_media()
            leg.unbind()
        self.legs.clear()
        self._no_legs.set()
        endpoint.hangupAllCalls()
        self._calls.drop_all()
        if self._doors is not None:
            self._doors.close()
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
            if self._doors is not None:
                self._doors.look()
            self._refuse_failed()
            self._offer_arrived()
            if events <= 0:
                break
        self._calls.drop_ended()
        self._accounts.drop_left(lambda: {call.account for call in self._calls})
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
        self,
        uri: str,
        headers: Mapping[str, str] | None = None,
        *,
        caller: str | None = None,
        hops: int = MOST_HOPS,
    ) -> Leg:
        """Place a call.

        Args:
            uri: whom to call.
            headers: of the INVITE, beside the usual ones.
            caller: user part of the From header; None for the trunk's ``caller_id``, or the user
                that is registered with it, or the gateway's own.
            hops: its Max-Forwards; below 0 for a call that may go on no further.

        Raises:
            CallNotPlacedError: the trunk's limits are reached, or there is no hop left.
            TelephonyError: the URI is no SIP URI, or PJSIP can't send the INVITE.
        """
        account = self._accounts.towards(uri)
        trunk = self._settings.trunk_towards(uri)
        self._may_dial(trunk, hops)
        identity = self._identity(caller, trunk) or account.identity
        uri = routed(self.with_its_number(uri), self._settings.trunks.get(trunk))
        leg = Leg(self.ports, called=called_by(uri), from_uri=identity, to_uri=uri)
        leg.state, leg.outbound = LegState.CALLING, True
        leg.trunk = trunk
        call = PjCall(
            *(account, leg, self._calls),
            trunk=self._settings.trunks.get(trunk),
            terms=self._settings.media_terms(trunk),
            locks=self._rtp_locks,
        )
        leg.bind(call, self._forget)
        self._remember(leg)
        parameters = audio_only()
        add_headers(parameters, self.with_its_headers(headers or {}, trunk))
        if identity != account.identity:
            parameters.txOption.localUri = identity
        try:
            with request_hops(self._symbols, hops):
                call.makeCall(uri, parameters)
        except pj.Error as error:
            self._calls.over(call)
            self._forget(leg)
            raise TelephonyError(f"cannot call {uri}: {error.reason}") from error
        finally:
            self._port_draw.next()
        leg.sip_call_id = leg.sip_call_id or call.sip_call_id
        return leg

    def _may_dial(self, trunk: str, hops: int) -> None:
        reason = NotPlaced.TOO_MANY_HOPS if hops < 0 else None
        if reason is None and self._doors is not None:
            reason = self._doors.judge_dial(trunk)
        if reason is not None:
            self._on_not_placed(trunk, reason)
            raise CallNotPlacedError(reason, trunk)

    def with_its_number(self, uri: str) -> str:
        """Return a URI whose number is written as the trunk that it leads to has them."""
        return with_its_number(uri, self._settings.trunks.get(self._settings.trunk_towards(uri)))

    def with_its_headers(self, headers: Mapping[str, str], trunk: str) -> Mapping[str, str]:
        """Return the headers of a request to a trunk, with those that are set for it.

        Args:
            trunk: "" for none.
        """
        to = self._settings.trunks.get(trunk)
        return headers if to is None else to.headers_over(headers)

    def _identity(self, caller: str | None, trunk: str) -> str | None:
        """Return the URI of From for a caller, or for the trunk's; None where neither says."""
        to = self._settings.trunks.get(trunk)
        user = to.caller_id if caller is None and to is not None else caller
        if user is None or "@" in user:
            return user and f"sip:{user}"
        return identity_of(self._settings, self.port, user)

    def ask_options(self, uri: str) -> None:
        """Send an OPTIONS outside of a dialog (RFC 3261 section 11); its answer passes the wire.

        Raises:
            TelephonyError: the URI is no SIP URI, or PJSIP can't send to it.
        """
        trunk = self._settings.trunks.get(self._settings.trunk_towards(uri))
        headers = () if trunk is None else trunk.probe_headers
        self._accounts.towards(uri).ask_options(routed(uri, trunk), headers)

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
        trunk = self._sender_trunk()
        numbers = self._settings.numbers_of(trunk)
        far_end = _far_end(message, host_of(source), trunk, numbers)
        replaced = self._doors.replaces.take() if self._doors is not None else None
        if replaced is not None:
            self._succeed(replaced, pj_call_id, far_end)
            return
        called = called_by(numbers.read_request_uri(request_uri(message)))
        leg = Leg.offered(self.ports, called, far_end)
        call = self._call_of(leg, pj_call_id, far_end)
        call.invite = InviteId.of_headers(far_end.headers)
        leg.bind(call, self._forget)
        self._remember(leg)
        self._arrived.append(leg)

    def account_of_sender(self, host: str) -> Any:
        """Return the account for the request that is just received from a host: a SWIG object."""
        return self._accounts.of_sender(self._sender_trunk(), host)

    def _call_of(self, owner: CallOwner, pj_call_id: int, far_end: FarEnd) -> PjCall:
        """Make the object of an INVITE that came in, and whose ports are taken."""
        self._port_draw.next()
        account = self._accounts.of_sender(far_end.trunk, far_end.source)
        return PjCall(
            *(account, owner, self._calls, pj_call_id),
            trunk=self._settings.trunks.get(far_end.trunk),
            terms=self._settings.media_terms(far_end.trunk),
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

    def calls_from(self, host: str, trunk: str) -> int:
        """Count the calls with a trunk, or from a host's source where it is of none."""
        if trunk:
            return sum(leg.trunk == trunk for leg in self.legs)
        source = counted_by(host)
        return sum(counted_by(leg.source) == source for leg in self.legs if not leg.outbound)

    def _sender_trunk(self) -> str:
        """Return the trunk of the request that is just being received, "" for none."""
        return "" if self._doors is None else self._doors.source.trunk

    def take_text(self, text: str, far_end: str, sent: bool) -> None:
        """Keep a message that passed the wire, and the reason that it may give for an end."""
        self.traces.take(text, far_end, sent=sent)
        if not sent:
            hear_reason(text, self.find_call)

    def find_call(self, sip_call_id: str) -> PjCall | None:
        """Find a call by its dialog's Call-ID."""
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

    def prepare_trunks(self, settings: SipSettings, secrets: Mapping[str, str]) -> AccountChange:
        """Make ready for other trunks; nothing of them is in force yet.

        Raises:
            InfrastructureError: the loaded PJSIP can't do what they want.
            TelephonyError: PJSIP has no room for them, or refuses one.
        """
        check_settings(settings, self._symbols)
        return self._accounts.prepare(settings, secrets)

    def change_trunks(self, change: AccountChange) -> None:
        """Put other trunks in force; calls that go on keep what they began with."""
        self._accounts.change(change)
        self.sip.replace(change.settings)
        if self._doors is not None:
            self._doors.take_trunks()
        self._port_draw.next()

    def renew_certificate(self, credentials: TlsCredentials) -> None:
        """Show another certificate to whoever connects from here on.

        Raises:
            TelephonyError: SIP over TLS listens no more.
        """
        if self.tls is None or self._doors is None:
            return
        with self._doors.without_connections():
            self.tls.renew(credentials)

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
            self.ports = MemoryPorts(rows, self._settings.audio_hz)
        else:
            sink = self._endpoint.audDevManager().getPlaybackDevMedia()
            self.ports = CallbackPorts(sink, rows, self._settings.audio_hz)


def _far_end(message: str, source: str, trunk: str, numbers: NumberFormat) -> FarEnd:
    """Read who sent an INVITE, from its bytes, the number as the trunk's ``numbers`` have it read.

    PJSIP prints addresses into buffers that long names don't fit into, hence our own reading. A
    caller who asks for privacy is anonymous from here on.
    """
    headers = {
        name: values for name, values in read_headers(message).items() if name not in _CREDENTIALS
    }
    return FarEnd(
        sip_call_id=next(iter(headers.get("call-id", ())), ""),
        from_uri=ANONYMOUS
        if hides_caller(headers)
        else numbers.read_address(_address(headers, "from")),
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
