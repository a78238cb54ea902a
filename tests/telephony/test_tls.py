"""SIP over TLS: who is let in, who is believed, and what a renewed certificate changes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from bridge.sip.sources import TurnedAway
from bridge.telephony import doors
from bridge.telephony.certificates import TlsCredentials
from bridge.telephony.leg import LegState
from tests.support.certificates import Authority, make_certificate
from tests.support.ports import free_port
from tests.support.raw_sip import RawSip
from tests.support.sip import SipPeer
from tests.support.tls_sip import client_context, header, sdp, tls_phone, tls_server
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig, running

pytestmark = [
    pytest.mark.capacity,
    pytest.mark.sip,
    pytest.mark.usefixtures("garbage_in_this_thread"),
]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def with_tls(authority: Authority, **more: object) -> dict[str, object]:
    cert, key = authority.sign("gateway")
    files = {"cert_file": cert, "key_file": key, "ca_file": authority.cert_file}
    return {"port": 0, **files, **more}


def tls_port(rig: Rig) -> int:
    assert rig.endpoint.tls is not None
    return rig.endpoint.tls.port


@pytest.fixture
async def rig(authority: Authority) -> AsyncIterator[Rig]:
    async with running(tls=with_tls(authority)) as rig:
        yield rig


@pytest.fixture
async def strict(authority: Authority) -> AsyncIterator[Rig]:
    """An endpoint that wants clients' certificates."""
    async with running(tls=with_tls(authority, verify_client=True)) as rig:
        yield rig


async def test_a_call_over_tls_is_answered_and_its_requests_come_back_by_tls(
    rig: Rig, authority: Authority
) -> None:
    async with tls_phone(tls_port(rig), client_context(authority.cert_file)) as phone:
        answer = await phone.invite(sdp())
        call = await rig.call_in()
        await call.until(lambda: LegState.CONFIRMED in call.states, "the call's begin")
        call.leg.hangup()
        bye = await phone.final()

    assert answer.startswith("SIP/2.0 200")
    contact = header(answer, "Contact").lower()
    assert f"127.0.0.1:{tls_port(rig)}" in contact
    assert "transport=tls" in contact
    assert bye.startswith("BYE ")


async def confirmed(rig: Rig) -> Call:
    call = await rig.call_in()
    await call.until(lambda: LegState.CONFIRMED in call.states, "the call's begin")
    return call


async def test_our_requests_go_by_the_far_ends_connection_whatever_its_contact(
    rig: Rig, authority: Authority
) -> None:
    context = client_context(authority.cert_file)
    nowhere = f"<sip:tester@127.0.0.1:{free_port()};transport=tls>"
    async with tls_phone(tls_port(rig), context) as early:
        early.contact = nowhere
        await early.invite(sdp())
        call = await confirmed(rig)
        call.leg.ask()
        assert (await early.final()).startswith("OPTIONS ")
        # It goes on by another connection: so do our requests.
        async with tls_phone(tls_port(rig), context) as late:
            late.goes_on(early)
            assert (await late.invite(sdp())).startswith("SIP/2.0 200")
            call.leg.hangup()
            assert (await late.final()).startswith("BYE ")


async def test_our_requests_go_to_the_contact_once_the_connection_is_lost(
    rig: Rig, authority: Authority
) -> None:
    async with tls_server(authority.sign("phone")) as elsewhere:
        async with tls_phone(tls_port(rig), client_context(authority.cert_file)) as phone:
            phone.contact = f"<sip:tester@127.0.0.1:{elsewhere.port};transport=tls>"
            await phone.invite(sdp())
            call = await confirmed(rig)
            kept_to = call.leg._pj_call
            assert kept_to is not None
            assert kept_to.connection
        await wait_until(lambda: not kept_to.connection, "the lost connection is not let go")
        call.leg.hangup()
        await wait_until(lambda: elsewhere.requests, "no BYE at the Contact")
        assert elsewhere.requests[0].startswith("BYE ")
        await call.until(lambda: call.ended, "the end")


async def test_a_contact_of_another_transport_is_believed(rig: Rig, authority: Authority) -> None:
    async with (
        RawSip(rig.endpoint.port) as by_udp,
        tls_phone(tls_port(rig), client_context(authority.cert_file)) as phone,
    ):
        phone.contact = f"<sip:tester@127.0.0.1:{by_udp.port}>"
        await phone.invite(sdp())
        call = await confirmed(rig)
        call.leg.hangup()
        assert await by_udp.reply(lambda each: each.method == "BYE" and not each.code)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_older_tls_is_refused(rig: Rig, version: ssl.TLSVersion) -> None:
    context = client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with tls_phone(tls_port(rig), context):
            pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_later_are_spoken(rig: Rig, version: ssl.TLSVersion) -> None:
    context = client_context()
    context.minimum_version = context.maximum_version = version
    async with tls_phone(tls_port(rig), context) as phone:
        assert (await phone.options()).startswith("SIP/2.0 200")


@pytest.mark.parametrize("shows", ["nothing", "self-signed", "expired", "of another authority"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_clients_without_a_good_certificate_get_nothing_not_even_by_their_session(
    strict: Rig, authority: Authority, tmp_path: Path, shows: str, version: ssl.TLSVersion
) -> None:
    ways: dict[str, Callable[[], tuple[Path, Path] | None]] = {
        "nothing": lambda: None,
        "self-signed": lambda: make_certificate(tmp_path / "own"),
        "expired": lambda: authority.sign("expired", days_left=-1),
        "of another authority": lambda: Authority(tmp_path / "other").sign("other"),
    }
    context = client_context(shown=ways[shows]())
    context.minimum_version = context.maximum_version = version
    session = await asyncio.to_thread(_session_of, tls_port(strict), context)
    answer = await asyncio.to_thread(_options_by, tls_port(strict), context, session)

    assert answer == b""
    async with tls_phone(tls_port(strict), client_context(shown=authority.sign("client"))) as phone:
        assert (await phone.options()).startswith("SIP/2.0 200")


def _session_of(port: int, context: ssl.SSLContext) -> ssl.SSLSession | None:
    """Return the session that is left of a connection, as a hostile client would keep it."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain) as secured:
                secured.sendall(b"\r\n\r\n")
                try:
                    secured.recv(100)  # TLS 1.3 sends its tickets after the handshake
                finally:
                    return secured.session  # noqa: B012  # whatever was said: a session it is
        except OSError:
            return None


def _options_by(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> bytes:
    request = (
        b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK-again\r\n"
        b"Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\n"
        b"Call-ID: again\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, session=session) as secured:
                secured.sendall(request)
                return secured.recv(100)
        except OSError:
            return b""


async def test_calls_go_to_a_trunk_by_tls_with_our_certificate(authority: Authority) -> None:
    trunk = {"addresses": "127.0.0.1", "transport": "tls"}
    shown = authority.sign("trunk")
    async with (
        running(tls=with_tls(authority), trunks={"carrier": trunk}) as rig,
        tls_server(shown, clients_of=authority.cert_file) as server,
    ):
        call = rig.dial(f"sip:+15550100@127.0.0.1:{server.port}")
        await call.until(lambda: LegState.CONFIRMED in call.states, "the answer")
        rig.endpoint.ask_options(f"sip:127.0.0.1:{server.port}")
        await wait_until(
            lambda: any(each.startswith("OPTIONS") for each in server.requests), "no OPTIONS"
        )
        call.leg.hangup()
        await call.until(lambda: call.ended, "the end")

    assert server.requests[0].startswith("INVITE sip:+15550100@127.0.0.1")
    assert "SIP/2.0/TLS" in header(server.requests[0], "Via")


@pytest.mark.parametrize("scheme", ["sip", "sips"])
@pytest.mark.parametrize("by_proxy", [False, True])
async def test_a_trunk_that_talks_tls_gets_registrations_and_calls_by_tls(
    authority: Authority, scheme: str, by_proxy: bool
) -> None:
    async with tls_server(authority.sign("trunk")) as server:
        place = f"{scheme}:127.0.0.1:{server.port}"
        domain = "sip.carrier.invalid" if by_proxy else f"127.0.0.1:{server.port}"
        trunk = {
            "addresses": "127.0.0.1",
            "transport": "tls",
            "domains": "sip.carrier.invalid",
            "registration": {"registrar": f"{scheme}:{domain}", "user": "acme"},
            **({"outbound_proxy": place} if by_proxy else {}),
        }
        async with running(tls=with_tls(authority), trunks={"carrier": trunk}) as rig:
            assert (await rig.endpoint.register("carrier", renew=True)).code == 200
            call = rig.dial(f"{scheme}:+15550100@{domain}")
            await call.until(lambda: LegState.CONFIRMED in call.states, "the answer")
            call.leg.hangup()
            await call.until(lambda: call.ended, "the end")

    methods = [each.partition(" ")[0] for each in server.requests]
    assert methods[:2] == ["REGISTER", "INVITE"]
    for each in server.requests[:2]:
        assert header(each, "Via").startswith("SIP/2.0/TLS")
        contact = header(each, "Contact").lower()
        assert "transport=tls" in contact or contact.startswith("<sips:")


@pytest.mark.parametrize("why", ["wrong name", "wildcard", "expired", "self-signed"])
async def test_a_trunk_that_is_not_what_was_dialled_gets_no_message(
    authority: Authority, tmp_path: Path, why: str
) -> None:
    shown = {
        "wrong name": lambda: authority.sign("wrong", hosts=["sip.example.org"]),
        "wildcard": lambda: authority.sign("wild", hosts=["*.example.org", "*"]),
        "expired": lambda: authority.sign("ended", days_left=-1),
        "self-signed": lambda: make_certificate(tmp_path / "own"),
    }[why]()
    async with running(tls=with_tls(authority)) as rig, tls_server(shown) as server:
        call = rig.dial(f"sip:+15550100@127.0.0.1:{server.port};transport=tls")
        await call.until(lambda: call.ended, "the end")

    assert server.requests == []
    assert call.leg.last_code in {502, 503}


async def test_a_trunk_that_talks_tls_is_heard_by_tls_alone(authority: Authority) -> None:
    trunk = {"addresses": "127.0.0.1", "transport": "tls"}
    async with (
        running(tls=with_tls(authority), trunks={"carrier": trunk}) as rig,
        SipPeer(rig.endpoint.port) as forger,
    ):
        assert (await forger.options()).status == 403
        async with tls_phone(tls_port(rig), client_context()) as phone:
            assert (await phone.options()).startswith("SIP/2.0 200")

    assert rig.turned_away == [("127.0.0.1", "OPTIONS", TurnedAway.TRANSPORT)]


async def test_a_renewed_certificate_is_shown_and_no_connection_is_lost(
    rig: Rig, authority: Authority
) -> None:
    context = client_context(authority.cert_file)
    tls = rig.endpoint.tls
    assert tls is not None
    async with tls_phone(tls.port, context) as early:
        assert (await early.invite(sdp())).startswith("SIP/2.0 200")
        shown = {early.shown}
        for _ in range(3):
            cert, key = authority.sign("renewed")
            former = tls.credentials
            credentials = TlsCredentials(cert.read_bytes(), key.read_bytes(), former.authorities)
            rig.endpoint.renew_certificate(credentials)
            async with tls_phone(tls.port, context) as late:
                assert (await late.options()).startswith("SIP/2.0 200")
                shown.add(late.shown)
        assert (await early.bye()).startswith("SIP/2.0 200")

    assert len(shown) == 4


@pytest.mark.parametrize(
    "sent",
    [
        b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"\x00" * 600,
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x80\x2e\x01\x00\x02" + bytes(range(40)),
        bytes(range(256)) * 80,
    ],
)
async def test_garbage_at_the_tls_port_harms_nobody(rig: Rig, sent: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", tls_port(rig))
    writer.write(sent)
    async with tls_phone(tls_port(rig), client_context()) as phone:
        assert (await phone.options()).startswith("SIP/2.0 200")
    writer.transport.abort()


async def test_unfinished_handshakes_are_bounded_and_ended(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 32
    monkeypatch.setattr(doors, "MOST", most)
    async with running(tls=with_tls(authority)) as rig:
        place = ("127.0.0.1", tls_port(rig))
        # Sockets are counted now and then: a burst is bounded a little later than it comes.
        mute = [socket.socket() for _ in range(10 * most)]
        try:
            connecting = asyncio.create_task(asyncio.to_thread(_connect_all, mute, place))
            seen = [0]
            while not connecting.done():
                await asyncio.sleep(0.02)
                seen.append(_accepted(place[1]))
            assert most <= max(seen) <= 5 * most
            async with asyncio.timeout(30), tls_phone(place[1], client_context()) as phone:
                assert (await phone.options()).startswith("SIP/2.0 200")
        finally:
            for each in mute:
                each.close()


class _Unfiltered:
    """A listening socket of a process that may not put a filter on it."""

    def __init__(self, listener: socket.socket) -> None:
        self.close = listener.close

    def setsockopt(self, *arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")


async def test_a_door_that_may_not_be_shut_is_logged_and_calls_go_on(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "MOST", 8)
    with structlog.testing.capture_logs() as logged:
        async with running(tls=with_tls(authority)) as rig:
            guarding = rig.endpoint._doors
            assert guarding is not None
            door = guarding._tcp
            assert door is not None
            monkeypatch.setattr(door, "_listeners", [_Unfiltered(each) for each in door._listeners])
            mute = [socket.socket() for _ in range(40)]
            try:
                await asyncio.to_thread(_connect_all, mute, ("127.0.0.1", tls_port(rig)))
                await wait_until(
                    lambda: any(each["event"] == "tcp_door_not_shut" for each in logged),
                    "it is not logged",
                )
                async with RawSip(rig.endpoint.port) as sip:
                    talk = sip.talk()
                    assert (await talk.ask("OPTIONS")).code == 200
            finally:
                for each in mute:
                    each.close()


def _connect_all(sockets: list[socket.socket], place: tuple[str, int]) -> None:
    """Connect one after another; the kernel lets none wait long where the door is shut."""
    for each in sockets:
        each.settimeout(0.02)
        with suppress(OSError):
            each.connect(place)


def _accepted(port: int) -> int:
    """Count this machine's established connections to a port that a process has accepted."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" and row[9] != "0" for row in rows)
