"""A thief and an injector at other addresses of loopback, while calls go on over real sockets.

Each try is of a new address and port: audio loud enough to be heard, with the far end's SSRC and
with others, and RTCP. The thief hears if one packet reaches it; it is heard if the bridge's caller
audio is ever loud, for the far ends here send silence.
"""

import asyncio
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from bridge.telephony import rtp_lock
from tests.support.raw_phone import RawCall, RawPhone, sdp
from tests.support.raw_sip import RawSip
from tests.support.raw_sip import sdp as raw_sdp
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig, running

pytestmark = pytest.mark.sip

SILENCE, LOUD = bytes([0xFF]) * 160, bytes([0x80, 0x00]) * 80
OWN_SSRC = 7
PACKETS_A_TRY = 12
_numbers = count(1)
_families = {False: (socket.AF_INET, "127.0.0.1"), True: (socket.AF_INET6, "::1")}


class Media:
    """RTP and RTCP sockets of an address, and what came to them."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.received = 0
        family, self.bridge = _families[":" in host]
        self.rtp, self.rtcp = (socket.socket(family, socket.SOCK_DGRAM) for _ in "12")
        for each in (self.rtp, self.rtcp):
            each.setblocking(False)
            each.bind((host, 0))
        self.port: int = self.rtp.getsockname()[1]
        self._sequence = count(1)

    def send(self, to: int, payload: bytes = SILENCE, ssrc: int = OWN_SSRC) -> None:
        number = next(self._sequence)
        header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, ssrc)
        self.rtp.sendto(header + payload, (self.bridge, to))

    def report(self, to: int, ssrc: int = OWN_SSRC) -> None:
        report = struct.pack("!BBHIIIIIII", 0x81, 201, 7, ssrc, 8, 0, 1, 0, 0, 0)
        self.rtcp.sendto(report, (self.bridge, to + 1))

    def read(self) -> int:
        """Return how many packets came in all."""
        for each in (self.rtp, self.rtcp):
            while True:
                try:
                    each.recv(2048)
                except BlockingIOError:
                    break
                except ConnectionRefusedError:  # nobody is at the port in that family
                    continue
                self.received += 1
        return self.received

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


def rtp_port_of(sdp: str) -> int:
    found = re.search(r"(?m)^m=audio (\d+)", sdp)
    assert found is not None
    return int(found[1])


class Stage:
    """One call between a far end and the bridge, whose agent speaks all the time.

    Args:
        to: the bridge's RTP port.
        sends: the far end sends RTP by itself.
    """

    def __init__(self, call: Call, media: Media, to: int, *, sends: bool) -> None:
        self.call, self.media, self.to = call, media, to
        self.sends = sends
        self.thieves: list[Media] = []
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Have the agent speak, and the far end send: there is media by now."""
        self._task = asyncio.create_task(self._keep_sending())

    async def _keep_sending(self) -> None:
        for number in count():
            if self.sends:
                self.media.send(self.to)
                if number % 10 == 0:
                    self.media.report(self.to)
            if number % 50 == 0:
                self.call.play_tone(400, 1000, f"item{number}")
            await asyncio.sleep(0.02)

    async def steal(self, host: str = "") -> None:
        """Try once to hear and to be heard."""
        number = next(_numbers)
        thief = Media(host or f"127.7.{number // 250}.{number % 250 + 1}")
        self.thieves.append(thief)
        ssrc = OWN_SSRC if number % 2 else 1000 + number
        for _ in range(PACKETS_A_TRY):
            thief.send(self.to, LOUD, ssrc)
            thief.report(self.to, ssrc)
            await asyncio.sleep(0.005)

    def thefts(self) -> int:
        """Return how many thieves have heard something."""
        return sum(bool(thief.read()) for thief in self.thieves)

    def injected(self) -> bool:
        """Return whether the bridge has heard a thief."""
        heard = self.call.heard_since(0)
        return bool(len(heard)) and int(np.abs(heard.astype(int)).max()) > 1000

    async def hears_agent(self) -> None:
        before = self.media.read()
        await wait_until(lambda: self.media.read() >= before + 10, "the far end hears nothing")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for each in (self.media, *self.thieves):
            each.close()


class Called(Stage):
    """A stage whose far end is a raw phone that has called."""

    def __init__(self, caller: RawCall, call: Call, media: Media, *, sends: bool) -> None:
        super().__init__(call, media, rtp_port_of(caller.finals("INVITE")[-1].text), sends=sends)
        self.caller = caller

    async def agreed(self, offers: int) -> None:
        """Wait until so many offers have their answers."""
        await self.caller.until(lambda: len(self.caller.finals("INVITE")) == offers)


@asynccontextmanager
async def stage(
    *,
    sends: bool,
    sip_host: str = "127.0.0.1",
    media_host: str = "",
    says: str = "",
    **more: object,
) -> AsyncIterator[tuple[RawPhone, Called, Rig]]:
    """Have a call that is up.

    Args:
        sends: its far end sends RTP.
        sip_host, media_host: where its SIP and its RTP come from.
        says: the address in its SDP.
        more: settings of SIP.
    """
    media = Media(media_host or sip_host)
    async with (
        running(**{"far_end_silent_s": None, **more}) as rig,
        RawPhone(rig.endpoint.port, sip_host) as phone,
    ):
        caller = phone.call()
        caller.invite(sdp(media.port, address=says or media.host))
        await caller.answered()
        call = await rig.call_in()
        await call.until(lambda: call.media, "media")
        one = Called(caller, call, media, sends=sends)
        one.begin()
        try:
            yield phone, one, rig
        finally:
            await one.close()
            if not one.caller.finals("BYE"):
                assert await one.caller.bye() == 200


async def try_often(one: Stage, tries: int) -> None:
    for _ in range(tries):
        await one.steal()
    await one.call.hear(300)
    assert (one.thefts(), one.injected()) == (0, False)


@asynccontextmanager
async def dialled() -> AsyncIterator[tuple[Stage, Callable[[], Awaitable[None]]]]:
    """Have a call to a person whose phone rings, and what picks it up."""
    media = Media("127.0.0.1")
    async with running(far_end_silent_s=None) as rig, RawPhone(rig.endpoint.port) as phone:
        phone.on_invite = lambda invite: phone.answer(invite, 180)
        call = rig.dial(f"sip:person@127.0.0.1:{phone.port}")
        await phone.until(lambda: phone.strays)
        invite = phone.strays[0]
        one = Stage(call, media, rtp_port_of(invite.text), sends=True)

        async def pick_up() -> None:
            phone.answer(invite, 200, sdp(media.port))
            await call.until(lambda: call.media, "media")
            one.begin()

        try:
            yield one, pick_up
        finally:
            await one.close()
            call.leg.hangup()
            await call.until(lambda: call.ended, "the end")


@asynccontextmanager
async def over_ipv6(host: str) -> AsyncIterator[Stage]:
    """Have a call over IPv6 that is up, whose far end sends."""
    media = Media("::1")
    async with (
        running(host=host, far_end_silent_s=None) as rig,
        RawSip(rig.endpoint.port, "::1") as sip,
    ):
        talk = sip.talk()
        answer = await talk.call(raw_sdp(port=media.port, at="IP6 ::1"))
        call = await rig.call_in()
        await call.until(lambda: call.media, "media")
        one = Stage(call, media, rtp_port_of(answer.body.decode()), sends=True)
        one.begin()
        try:
            yield one
        finally:
            await one.close()
            assert (await talk.ask("BYE")).code == 200


TRIES_1000 = [8, pytest.param(1000, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])]
TRIES = [8, pytest.param(250, marks=[pytest.mark.nightly, pytest.mark.timeout(600)])]


OFFERS = 60

SLOW_START = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread int slow;

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    int (*usual)(int, int, int, struct epoll_event *) = dlsym(RTLD_NEXT, "epoll_ctl");
    if (operation == EPOLL_CTL_ADD && syscall(SYS_gettid) == getpid())
        slow = 6;
    return usual(epoll, operation, fd, event);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    static int (*usual)(pthread_mutex_t *);
    if (!usual)
        usual = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    int result = usual(mutex);
    if (slow > 0 && slow--)
        usleep(500);
    return result;
}
"""
"""Holds a process's first thread up whenever it has asked epoll for something and let go of the
locks: between the first reads of RTP and of RTCP, where it would be through in microseconds."""

FLOOD = """
import socket, struct, sys, time
sender = socket.socket(fileno=int(sys.argv[1]))
for number in range(1 << 24):
    header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, 7)
    sender.sendto(header + bytes([255]) * 160, ("127.0.0.1", int(sys.argv[2])))
    time.sleep(0.00005)
"""


@contextmanager
def flooded(media: Media, to: int) -> Iterator[None]:
    """Have RTP wait at a port at nearly every moment, sent by another process."""
    own = media.rtp.fileno()
    command = [sys.executable, "-c", FLOOD, str(own), str(to)]
    with subprocess.Popen(command, pass_fds=[own]) as sender:
        try:
            yield
        finally:
            sender.kill()


@pytest.mark.usefixtures("garbage_in_this_thread")
@pytest.mark.parametrize("tries", TRIES)
class TestThieves:
    """Of each 1,000 tries in the nightly run none may succeed: 250 in each way of a call."""

    async def test_of_a_call_that_talks(self, tries: int) -> None:
        async with stage(sends=True) as (_, one, _rig):
            await one.hears_agent()
            await try_often(one, tries)
            await one.hears_agent()

    async def test_of_a_call_that_listens(self, tries: int) -> None:
        async with stage(sends=False) as (_, one, _rig):
            await try_often(one, tries)
            await one.hears_agent()

    async def test_of_a_call_on_hold(self, tries: int) -> None:
        async with stage(sends=True) as (_, one, _rig):
            await one.hears_agent()
            one.sends = False
            for version, direction in enumerate(("sendonly", "inactive"), 2):
                body = sdp(one.media.port, direction=direction, version=version)
                one.caller.invite(body)
                await one.agreed(version)
                for _ in range(tries // 2):
                    await one.steal()
            one.caller.invite(sdp(one.media.port, version=4))
            await one.agreed(4)
            await try_often(one, 2)
            await one.hears_agent()

    async def test_of_a_call_that_has_moved_behind_nat(self, tries: int) -> None:
        async with stage(sends=True, sip_host="127.0.0.5", says="127.99.0.1") as (phone, one, rig):
            await one.hears_agent()  # at a port and an address that its SDP does not say
            async with RawPhone(rig.endpoint.port, "127.0.0.6") as elsewhere:
                one.media.close()
                one.media = Media("127.0.0.6")
                one.caller.phone = elsewhere
                elsewhere.calls[one.caller.call_id] = one.caller
                one.caller.invite(sdp(one.media.port, address="127.99.0.1", version=2))
                await one.agreed(2)
                await one.hears_agent()
                await try_often(one, tries)
                await one.hears_agent()
                one.caller.phone = phone


@pytest.mark.usefixtures("garbage_in_this_thread")
@pytest.mark.parametrize("tries", TRIES_1000)
class TestThievesElsewhere:
    """Of calls that are taken over, dialled, over IPv6: none of 1,000 tries each may succeed."""

    async def test_of_a_call_that_another_has_taken_over(self, tries: int) -> None:
        async with stage(sends=True) as (_, one, rig):
            await one.hears_agent()
            one.call.leg.replaceable = True
            former, one.media = one.media, Media("127.0.0.3")
            async with RawPhone(rig.endpoint.port, user="other") as other:
                offer = sdp(one.media.port, address=one.media.host)
                second = await other.invite(offer, [f"Replaces: {one.caller.replaces}"]).answered()
                one.to = rtp_port_of(second.finals("INVITE")[-1].text)
                await one.call.until(lambda: one.call.replaced == 1, "the change")
                await one.hears_agent()
                await one.call.hear(300)  # and its RTCP is known: the former is at its address
                former.read()
                former.received = 0
                one.thieves.append(former)  # whoever had the call is a thief by now
                for _ in range(PACKETS_A_TRY):
                    former.send(one.to, LOUD)
                    former.report(one.to)
                await try_often(one, tries)
                await one.hears_agent()
                one.caller = second
                assert await second.bye() == 200

    async def test_of_a_person_who_is_dialled(self, tries: int) -> None:
        async with dialled() as (one, pick_up):
            for _ in range(tries // 4):
                await one.steal()  # while it rings
            await pick_up()
            await one.hears_agent()
            await try_often(one, tries - tries // 4)
            await one.hears_agent()

    @pytest.mark.capacity
    @pytest.mark.parametrize("host", ["::1", "::"])
    async def test_of_a_call_over_ipv6(self, tries: int, host: str) -> None:
        """By other ports of its own address, and over IPv4, from addresses that are not its."""
        async with over_ipv6(host) as one:
            await one.hears_agent()
            await one.call.hear(300)  # and its RTCP is known
            for _ in range(tries // 2):
                await one.steal("::1")
                await one.steal()
            await try_often(one, 1)
            await one.hears_agent()


@pytest.mark.usefixtures("garbage_in_this_thread")
class TestFarEnds:
    async def test_another_port_of_its_address_is_no_thiefs_while_the_first_one_sends(self) -> None:
        async with stage(sends=True) as (_, one, _rig):
            await one.hears_agent()
            await one.call.hear(300)  # and its RTCP is known
            for _ in range(3):
                await one.steal("127.0.0.1")
            await one.call.hear(300)
            assert (one.thefts(), one.injected()) == (0, False)

    async def test_rtcps_source_is_learnt_as_soon_as_rtps(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rtp_lock, "_LOOK_EVERY_NS", 1 << 62)  # at strangers: not meanwhile
        async with stage(sends=False) as (_, one, _rig):
            kept = one.call.leg._pj_call
            assert kept is not None
            rtp, rtcp = (door.lock for door in kept._lock._doors)
            one.media.send(one.to)
            await one.call.until(lambda: rtp.source, "the source of RTP")
            one.media.report(one.to)
            await one.call.until(lambda: rtcp.source, "the source of RTCP")
            assert rtcp.source == one.media.rtcp.getsockname()

    async def test_another_port_of_its_address_is_followed_once_the_first_one_is_silent(
        self,
    ) -> None:
        async with stage(sends=True) as (_, one, _rig):
            await one.hears_agent()
            await one.call.hear(300)
            one.media.close()
            one.media = Media("127.0.0.1")
            await one.hears_agent()

    @pytest.mark.capacity
    async def test_packets_that_wait_while_a_stream_is_made_anew_deafen_nobody(self) -> None:
        async with stage(sends=False) as (_, one, _rig):
            kept = one.call.leg._pj_call
            assert kept is not None
            with flooded(one.media, one.to):
                for offers in range(2, 2 + OFFERS):
                    moved = {"address": f"127.0.0.{offers % 2 + 1}"}
                    one.caller.invite(sdp(one.media.port, version=offers, **moved))
                    await one.agreed(offers)
                    await wait_until(lambda: kept.media_counts()[0], f"deaf after offer {offers}")

    @pytest.mark.capacity
    def test_a_slow_start_of_media_deafens_nobody(self, tmp_path: Path) -> None:
        """Without the mend of PJSIP's source the second offer deafens the call here."""
        source, library = tmp_path / "slow.c", tmp_path / "slow.so"
        source.write_text(SLOW_START)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
        flooded_call = TestFarEnds.test_packets_that_wait_while_a_stream_is_made_anew_deafen_nobody
        named = f"{__file__}::TestFarEnds::{flooded_call.__name__}"
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", named],
            env=os.environ | {"LD_PRELOAD": str(library)},
            capture_output=True,
            text=True,
        )
        assert "1 passed" in ran.stdout, ran.stdout[-3000:]

    async def test_media_from_a_relay_that_nothing_names_is_dropped_and_counted(self) -> None:
        async with stage(sends=True, says="127.99.0.1", media_host="127.0.0.8") as (_, one, rig):
            await wait_until(lambda: sum(n for _, n in rig.strays) >= 10, "nothing was counted")
            assert {host for host, _ in rig.strays} == {"127.0.0.1"}
            assert one.media.read() == 0

    async def test_media_from_a_relay_that_its_trunk_has_is_taken(self) -> None:
        trunk = {"addresses": ["127.0.0.2"], "media_from": ["127.0.0.8/31"]}
        async with stage(
            sends=True,
            sip_host="127.0.0.2",
            says="127.99.0.1",
            media_host="127.0.0.8",
            trunks={"carrier": trunk},
        ) as (_, one, _rig):
            await one.hears_agent()
            await try_often(one, 4)
