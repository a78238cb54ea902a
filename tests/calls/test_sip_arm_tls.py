"""Calls on an arm that is reached by TLS and has SRTP always, as vendors' connectors want it.

The caller is plain; the vendor is a TLS server of the tests' own with SRTP by hand, which asks for
credentials, or baresip.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bridge.audio import g711
from bridge.audio.wav import write_wav
from bridge.store.local import LocalRedis
from tests.audio.signals import tone
from tests.support.baresip import RATE_HZ, Account, baresip
from tests.support.certificates import Authority
from tests.support.digest import is_right, read
from tests.support.gateways import CallsInRedis, Gateway, Record, serving, write_dialplan
from tests.support.person import hears
from tests.support.ports import free_port
from tests.support.processes import SIMULATOR_KEY
from tests.support.rtp_caller import RtpCaller, header
from tests.support.srtp import SrtpContext, SrtpPeer, line, lines_in, new_key
from tests.support.tls_sip import TlsServer, sdp, tls_server
from tests.support.tls_sip import header as header_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.capacity, pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

NAME = "localhost"
SECRET = "the vendor's"
SUITE = "AES_CM_128_HMAC_SHA1_80"
CALLER_HZ, VENDOR_HZ = 440.0, 500.0
SORRY = "We are sorry."
FALLBACK = {"say": SORRY, "before_answer": "answer"}
BARE = {"instructions": "At the vendor's.", "language": "en"}
CHALLENGES = {
    "401": ("401 Unauthorized\r\nWWW-Authenticate", "Authorization"),
    "407": ("407 Proxy Authentication Required\r\nProxy-Authenticate", "Proxy-Authorization"),
}


@dataclass
class Office:
    """A gateway; the vendor's port, and the one of baresip's UDP, whose TLS is one above."""

    gateway: Gateway
    authority: Authority
    port: int
    baresip_port: int
    redis_url: str


@pytest.fixture(scope="module")
def office(
    simulator: str, redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    directory, port, phone_port = tmp_path_factory.mktemp("gateway"), free_port(), free_port()
    authority = Authority(directory / "tls")
    cert, key = authority.sign("gateway")
    arms = {
        "secure": {"sip": f"sip:agent@{NAME}:{port};transport=tls"},
        "by_trunk": {"sip": f"sip:agent@{NAME}:{port}"},
        "sips": {"sip": f"sips:agent@{NAME}:{port}"},
        "sent": {"sip": f"sip:agent@{NAME}:{port};transport=tls", "by": "refer"},
        "phone": {"sip": f"sip:baresip@{NAME}:{phone_port + 1}"},
    }
    plans = directory / "dialplans"
    for arm in arms:
        write_dialplan(plans, BARE, name=arm, called=arm, arm=arm, fallback=FALLBACK)
    trunk = {
        "addresses": ["192.0.2.1"],
        "domains": [NAME],
        "transport": "tls",
        "srtp": "required",
        "media_from": ["127.0.0.1"],
        "credentials": {"username": "bridge", "secret_env": "VENDOR_SECRET"},
    }
    files = {"cert_file": str(cert), "key_file": str(key), "ca_file": str(authority.cert_file)}
    with serving(
        directory,
        simulator,
        plans,
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY, "VENDOR_SECRET": SECRET},
        arms=arms,
        sip={"tls": {"port": 0, **files}, "trunks": {"vendor": trunk}},
    ) as gateway:
        yield Office(gateway, authority, port, phone_port, redis.url)


class Vendor:
    """Asks for credentials, and answers right ones with SRTP; it sounds all the time."""

    def __init__(self, media: SrtpPeer, challenge: str) -> None:
        self.server: TlsServer
        self.signed = ""
        self._media = media
        self._key = new_key()
        self._status, self._header = CHALLENGES[challenge]

    def answer(self, offer: str) -> tuple[str, str]:
        invite = self.server.requests[-1]
        credentials = header_of(invite, self._header)
        if not credentials:
            return f'{self._status}: Digest realm="vendor", nonce="n1", algorithm=SHA-256', ""
        self.signed = invite
        tag, _, key = next(each for each in lines_in(offer) if each[1] == SUITE)
        self._media.hears = SrtpContext(SUITE, key)
        self._media.speaks = SrtpContext(SUITE, self._key)
        self._media.speak(int(offer.partition("m=audio ")[2].split(" ")[0]))
        return "200 OK", sdp(self._media.port, "RTP/SAVP", line(tag, SUITE, self._key))

    def is_authentic(self) -> bool:
        """Return whether the INVITE that it took was signed for itself, with our secret."""
        credentials = header_of(self.signed, self._header)
        exact = read(credentials)["uri"] == self.signed.split(" ")[1]
        return exact and is_right(credentials, "INVITE", secret=SECRET)

    @property
    def invites(self) -> list[str]:
        return [each for each in self.server.requests if each.startswith("INVITE ")]


@asynccontextmanager
async def a_vendor(
    office: Office, challenge: str = "407", host: str = NAME
) -> AsyncIterator[tuple[Vendor, SrtpPeer]]:
    """Run the vendor, whose certificate is for a name."""
    async with SrtpPeer() as media:
        vendor = Vendor(media, challenge)
        shown = office.authority.sign("vendor", hosts=[host])
        async with tls_server(shown, vendor.answer, port=office.port) as vendor.server:
            yield vendor, media


async def until_heard(caller: RtpCaller, hz: float) -> None:
    def so() -> bool:
        latest = [each.samples for each in caller.heard[-25:]]
        return bool(latest) and hears(np.concatenate(latest), hz)

    await caller.until(so)


def latest_of(media: SrtpPeer) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return g711.decode(g711.Law.PCMU, b"".join(media.heard[-25:]))


@asynccontextmanager
async def calling(office: Office, called: str) -> AsyncIterator[tuple[RtpCaller, CallsInRedis]]:
    async with (
        CallsInRedis(office.redis_url) as calls,
        RtpCaller(office.gateway.sip_port) as caller,
    ):
        await calls.until_idle(office.gateway.node)
        caller.invite(called)
        yield caller, calls


async def record_of(office: Office, calls: CallsInRedis, call_id: str) -> Record:
    await calls.until_ended(call_id)
    await office.gateway.until_active(0)
    return await office.gateway.record_of(call_id)


@pytest.mark.parametrize(
    ("arm", "challenge"),
    [("secure", "407"), ("secure", "401"), ("by_trunk", "407"), ("sips", "407"), ("sent", "407")],
)
async def test_a_vendor_by_tls_with_srtp_is_joined_to_a_plain_caller(
    office: Office, arm: str, challenge: str
) -> None:
    async with (
        a_vendor(office, challenge) as (vendor, media),
        calling(office, arm) as (caller, calls),
    ):
        call_id = await calls.until_active(office.gateway.node)
        assert await caller.answered() == 200
        caller.speak(tone(CALLER_HZ, 8000, 8 * 60_000, amplitude=8000))
        await until_heard(caller, VENDOR_HZ)
        await wait_until(lambda: hears(latest_of(media), CALLER_HZ), "the vendor hears nothing")
        await caller.hang_up()
        record = await record_of(office, calls, call_id)
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    assert record["failures"] == []
    assert vendor.is_authentic()
    assert len(vendor.invites) == 2
    assert {header_of(each, "Via").split(" ")[0] for each in vendor.invites} == {"SIP/2.0/TLS"}
    assert all("m=audio" in each and " RTP/SAVP " in each for each in vendor.invites)
    assert [header_of(each, "Max-Forwards") for each in vendor.invites] == ["69", "69"]
    assert media.unread == 0
    assert len(caller.refers) == (arm == "sent")


async def test_a_refer_names_the_vendor_with_its_transport(office: Office) -> None:
    async with a_vendor(office) as (vendor, _), calling(office, "sent") as (caller, calls):
        caller.on_refer = lambda request: caller.respond(request, "202 Accepted")
        call_id = await calls.until_active(office.gateway.node)
        await caller.until(lambda: bool(caller.refers))
        caller.notify("200 OK", over=True)
        await caller.until(caller.ended.is_set)
        record = await record_of(office, calls, call_id)
    uri = f"<sip:agent@{NAME}:{office.port};transport=tls>"
    assert header(caller.refers[0], "Refer-To") == uri
    assert (record["outcome"], record["reason"]) == ("transferred", "sent_to_arm")
    assert vendor.invites == []


@pytest.mark.parametrize("arm", ["secure", "sips", "sent"])
async def test_a_certificate_for_another_name_leaves_the_call_with_its_fallback(
    office: Office, arm: str
) -> None:
    async with (
        a_vendor(office, host="sip.example.org") as (vendor, media),
        calling(office, arm) as (caller, calls),
    ):
        call_id = await calls.until_active(office.gateway.node)
        assert await caller.answered() == 200
        assert await calls.until_spoken(call_id, "bridge", 1) == SORRY
        await caller.until(lambda: any(each.loud for each in caller.heard))
        await caller.until(caller.ended.is_set)
        record = await record_of(office, calls, call_id)
    assert {each["code"] for each in record["failures"]} == {"sip_503"}
    assert vendor.server.requests == []
    assert (media.heard, media.unread) == ([], 0)


async def test_baresip_with_srtp_always_is_joined_to_a_plain_caller(
    office: Office, tmp_path: Path
) -> None:
    speech, shown = tmp_path / "tone.wav", tmp_path / "shown.pem"
    write_wav(speech, tone(VENDOR_HZ, RATE_HZ, RATE_HZ * 60, amplitude=8000), RATE_HZ)
    files = office.authority.sign("phone", hosts=[NAME])
    shown.write_bytes(b"".join(each.read_bytes() for each in files))
    account = Account(
        sip_port=office.baresip_port,
        transport="tls",
        encryption="srtp-mand",
        shown=shown,
        answers=True,
    )
    async with (
        baresip(tmp_path, speech, "PCMU", account) as phone,
        calling(office, "phone") as (caller, calls),
    ):
        call_id = await calls.until_active(office.gateway.node)
        assert await caller.answered() == 200
        caller.speak(tone(CALLER_HZ, 8000, 8 * 60_000, amplitude=8000))
        await until_heard(caller, VENDOR_HZ)
        await wait_until(
            lambda: hears(phone.heard()[-RATE_HZ // 2 :], CALLER_HZ), "baresip hears nothing"
        )
        assert phone.suite() == SUITE
        await caller.hang_up()
        await asyncio.wait_for(phone.until("CALL_CLOSED"), 60)
        record = await record_of(office, calls, call_id)
    assert (record["outcome"], record["failures"]) == ("completed", [])
