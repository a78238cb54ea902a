"""A gateway with arms that are SIP URIs, their vendor (a phone of its own), and a caller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from bridge.softphone.sip_message import audio_sdp
from tests.audio.signals import tone
from tests.support.gateways import CallsInRedis, Gateway, Record
from tests.support.person import Person, a_person, hears
from tests.support.rtp_caller import RtpCaller
from tests.support.sip import SipPeer

CALLER_HZ, VENDOR_HZ = 440.0, 1000.0


@dataclass
class Office:
    """A gateway; the vendor's port, at which the test has somebody or nobody."""

    gateway: Gateway
    vendor_port: int
    redis_url: str

    @asynccontextmanager
    async def vendor(self, status: int = 200) -> AsyncIterator[Person]:
        async with a_person(self.gateway.sip_port, self.vendor_port, status) as vendor:
            yield vendor

    @asynccontextmanager
    async def vendor_that(self, status: int, sdp_port: int) -> AsyncIterator[SipPeer]:
        """A vendor without RTP, who answers so."""
        async with SipPeer(self.gateway.sip_port, self.vendor_port) as vendor:
            vendor.on_call = lambda invite: (status, audio_sdp(sdp_port))
            yield vendor


@asynccontextmanager
async def calling(
    office: Office, called: str, more: str = "", refer: str = "603 Decline", hops: int = 70
) -> AsyncIterator["Talk"]:
    """Place a call; ``refer`` is the answer to a REFER, ``hops`` the INVITE's Max-Forwards."""
    async with (
        CallsInRedis(office.redis_url) as calls,
        RtpCaller(office.gateway.sip_port) as caller,
    ):
        await calls.until_idle(office.gateway.node)  # the test before has not looked there
        caller.on_refer = lambda request: caller.respond(request, refer)
        caller.max_forwards = hops
        caller.invite(called, f"X-Account: 4711\r\n{more}Supported: 100rel")
        yield Talk(office, caller, calls)


class Talk:
    """A caller, and what is known of their call."""

    def __init__(self, office: Office, caller: RtpCaller, calls: CallsInRedis) -> None:
        self.caller = caller
        self._office = office
        self._calls = calls
        self.call_id = ""

    async def state(self) -> dict[str, str]:
        return await self._calls.reader.call(self.call_id) or {}

    async def begun(self) -> None:
        self.call_id = await self._calls.until_active(self._office.gateway.node)

    def hum(self) -> None:
        self.caller.speak(tone(CALLER_HZ, 8000, 8 * 60_000, amplitude=8000))

    async def hears(self, hz: float) -> None:
        def so() -> bool:
            latest = [each.samples for each in self.caller.heard[-25:]]
            return bool(latest) and hears(np.concatenate(latest), hz)

        await self.caller.until(so)

    async def says(self, speaker: str) -> str:
        return await self._calls.until_spoken(self.call_id, speaker, 1)

    async def told(self, kind: str) -> dict[str, str]:
        return (await self._calls.until_told(self.call_id, kind))[-1]

    async def over(self) -> Record:
        await self._calls.until_ended(self.call_id)
        await self._office.gateway.until_active(0)
        return await self._office.gateway.record_of(self.call_id)


async def joined(talk: Talk, vendor: Person) -> None:
    """Have both hum, and each hear the other."""
    vendor.hum(VENDOR_HZ)
    await talk.hears(VENDOR_HZ)
    talk.hum()
    await vendor.hears(CALLER_HZ)
