"""Calls that race with what replaces, moves or ends them: the process and its memory stay.

The callers are bare sockets that share no code with the product. Where several messages go out
without an `await` between them, the gateway finds them all in one poll.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bridge.store.local import LocalRedis
from bridge.telephony.library import load_symbols
from tests.conftest import show
from tests.live.service import tone_service
from tests.support.gateways import Gateway, serving, write_dialplan
from tests.support.memory import settled_memory
from tests.support.raw_phone import RawCall, RawPhone, new_branch, sdp
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.slow]

SHORT, LONG = 48, 1_000
WARM_UP = LONG
"""The heap grows to what one such load needs at once, and its free pages come back only whole."""

MOST_GROWTH = 0.03

ALLOCATOR_CHECKS = {
    "LD_PRELOAD": "libc_malloc_debug.so.0",  # glibc 2.34 and later keep MALLOC_CHECK_ there
    "MALLOC_CHECK_": "3",
    "MALLOC_PERTURB_": "165",
    "PYTHONMALLOC": "debug",
    "PYTHONFAULTHANDLER": "1",
}


def memory_checks() -> dict[str, str]:
    """Return the environment in which a gateway's misuse of memory ends it."""
    sanitized = "libasan" in os.environ.get("LD_PRELOAD", "")  # it has to be loaded first
    return {} if sanitized else ALLOCATOR_CHECKS


Race = Callable[[RawPhone], Awaitable[None]]
RACES: list[Race] = []


def race(given: Race) -> Race:
    RACES.append(given)
    return given


_AGAIN_S = 0.2

_ROOM_WITHIN_S = 90.0
"""A race may leave calls that PJSIP ends by itself only after 32 s (RFC 3261, timer H)."""
_SHOWN_LINES = 40


BUSY = {486, 503}


class Full(Exception):
    """The gateway has no slot just now; that is no fault."""


async def begin(phone: RawPhone, *more: str, body: str = "") -> RawCall:
    """Have a call that is up."""
    return await let_in(phone.invite(body, more))


async def let_in(call: RawCall) -> RawCall:
    """Wait until a call is up."""
    status = await call.final()
    if status in BUSY:
        raise Full
    assert status == 200, f"INVITE got {status}"
    return call


def replacing(phone: RawPhone, call: RawCall, *more: str, body: str = "") -> RawCall:
    """Send an INVITE that is to take a call's place; wait for nothing."""
    return phone.invite(body, [f"Replaces: {call.replaces}", *more])


async def finish(*calls: RawCall) -> None:
    """Wait until INVITEs have their answers, and end what is still up."""
    for call in calls:
        await call.final()
        up = any(each.status == 200 for each in call.finals("INVITE"))
        if up and not call.requests("BYE"):
            call.send("BYE")
            await call.until(partial(call.finals, "BYE"))


@race
async def plain(phone: RawPhone) -> None:
    await finish(await begin(phone))


@race
async def replaced(phone: RawPhone) -> None:
    first = await begin(phone)
    second = replacing(phone, first, "Require: replaces")
    if await second.final() == 200:
        await first.until(lambda: first.requests("BYE"))
    await finish(second, first)


@race
async def replaced_while_it_ends(phone: RawPhone) -> None:
    first = await begin(phone)
    second = replacing(phone, first)
    first.send("BYE")
    await finish(second, first)


@race
async def ended_while_it_is_replaced(phone: RawPhone) -> None:
    first = await begin(phone)
    first.send("BYE")
    await finish(replacing(phone, first), first)


@race
async def replaced_twice_at_once(phone: RawPhone) -> None:
    first = await begin(phone)
    await finish(replacing(phone, first), replacing(phone, first), first)


@race
async def replacing_taken_back(phone: RawPhone) -> None:
    first = await begin(phone)
    second = replacing(phone, first)
    second.phone.transmit(
        second.last_invite.replace("INVITE", "CANCEL", 1)
        .replace(f"CSeq: {second.sequence} INVITE", f"CSeq: {second.sequence} CANCEL")
        .partition("Content-Type")[0]
        + "Content-Length: 0\r\n\r\n"
    )
    await finish(second, first)


@race
async def replaced_within_a_reinvite(phone: RawPhone) -> None:
    first = await begin(phone)
    first.invite(sdp(phone.rtp_port, direction="sendonly", version=2))
    second = replacing(phone, first)
    first.invite(sdp(phone.rtp_port, version=3))
    await finish(second, first)


@race
async def replaced_by_a_late_offer(phone: RawPhone) -> None:
    first = await begin(phone)
    second = phone.call()
    second.last_invite = second.send("INVITE", "", [f"Replaces: {first.replaces}"])
    await finish(second, first)


@race
async def replaced_by_what_cannot_be_taken(phone: RawPhone) -> None:
    first = await begin(phone)
    bad = sdp(phone.rtp_port).replace("AVP 0 101", "AVP 97").replace(":0 PCMU", ":97 X")
    second = replacing(phone, first, body=bad)
    third = phone.invite(more=[f"Replaces: {first.call_id};to-tag=x;from-tag=y"])
    fourth = phone.invite(more=["Replaces: malformed"])
    assert [await each.final() for each in (third, fourth)] == [481, 400]
    await finish(second, first)


@race
async def replaced_in_a_chain(phone: RawPhone) -> None:
    first = await begin(phone)
    second = replacing(phone, first)
    await second.final()
    third = replacing(phone, second)
    await finish(third, second, first)


@race
async def referred(phone: RawPhone) -> None:
    call = await begin(phone)
    port = phone.port
    target = f"<sip:victim@127.0.0.1:{port}?Replaces=a%40b%3Bto-tag%3Dc%3Bfrom-tag%3Dd>"
    call.send("REFER", more=[f"Refer-To: {target}"])
    call.send("REFER", more=[f"Refer-To: <sip:victim@127.0.0.1:{port}>", "Refer-Sub: false"])
    call.send("REFER")
    await call.until(lambda: len(call.finals("REFER")) == 3)
    assert all(each.status >= 400 for each in call.finals("REFER"))
    await finish(call)


@race
async def referred_while_it_ends(phone: RawPhone) -> None:
    call = await begin(phone)
    call.send("REFER", more=[f"Refer-To: <sip:victim@127.0.0.1:{phone.port}>"])
    call.send("BYE")
    call.send("REFER", more=[f"Refer-To: <sip:victim@127.0.0.1:{phone.port}>"])
    await call.until(lambda: call.finals("BYE"))


@race
async def referred_out_of_any_dialog(phone: RawPhone) -> None:
    first = await begin(phone)
    other = phone.call()
    other.send("REFER", more=[f"Refer-To: <sip:x@127.0.0.1?Replaces={first.call_id}>"])
    await finish(first)


@race
async def reinvites_at_once(phone: RawPhone) -> None:
    call = await begin(phone)
    for version, direction in enumerate(("sendonly", "inactive", "sendrecv"), 2):
        call.invite(sdp(phone.rtp_port, direction=direction, version=version))
    await call.until(lambda: len({each.header("CSeq") for each in call.finals("INVITE")}) == 4)
    await finish(call)


@race
async def reinvite_while_it_ends(phone: RawPhone) -> None:
    call = await begin(phone)
    call.invite(sdp(phone.rtp_port, direction="inactive", version=2))
    call.send("BYE")
    await call.until(lambda: call.finals("BYE"))


@race
async def update_within_a_reinvite(phone: RawPhone) -> None:
    call = await begin(phone)
    call.invite(sdp(phone.rtp_port, direction="sendonly", version=2))
    call.send("UPDATE", sdp(phone.rtp_port, version=3))
    await call.until(lambda: call.finals("UPDATE"))
    await finish(call)


@race
async def invite_sent_again(phone: RawPhone) -> None:
    call = phone.invite()
    for _ in range(3):
        phone.transmit(call.last_invite)
    await let_in(call)
    phone.transmit(call.last_invite)
    await finish(call)


@race
async def invite_that_comes_on_two_ways(phone: RawPhone) -> None:
    call = phone.invite()
    branch = call.last_invite.partition("branch=")[2].partition(";")[0]
    phone.transmit(call.last_invite.replace(branch, new_branch()))
    answers: set[int] = set()

    def answered_both() -> bool:
        finals = call.finals("INVITE")
        answers.update(each.status for each in finals)
        return answers >= {200, 482} or (len(finals) >= 2 and bool(answers & BUSY))

    await call.until(answered_both)
    await finish(call)
    if answers & BUSY:  # there was no room for one of them, and perhaps a moment later there was
        raise Full


@race
async def with_session_timer(phone: RawPhone) -> None:
    call = await begin(phone, "Supported: timer", "Session-Expires: 90;refresher=uac")
    call.send("UPDATE", more=["Supported: timer", "Session-Expires: 90;refresher=uac"])
    second = replacing(phone, call, "Supported: timer", "Session-Expires: 90;refresher=uas")
    await finish(second, call)


@race
async def never_acknowledged(phone: RawPhone) -> None:
    phone.acknowledges = False
    try:
        call = await begin(phone)
        await finish(replacing(phone, call), call)
    finally:
        phone.acknowledges = True


class Run:
    """Races on one gateway, several at a time.

    Attributes:
        done: how often each was run to its end; ``full``: how often one had to wait for a slot.
        faults: what went wrong, with the race's name.
    """

    def __init__(self, gateway: Gateway, at_once: int) -> None:
        self.done: Counter[str] = Counter()
        self.full = 0
        self.faults: list[str] = []
        self._gateway = gateway
        self._at_once = at_once

    async def play(self, races: list[Race]) -> None:
        """Run races.

        Raises:
            AssertionError: the gateway is gone, or has no room for a race any more.
        """
        left = iter(races)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._at_once):
                    workers.create_task(self._work(left))
        except* AssertionError as failed:
            situation = await situation_of(self._gateway)
            raise AssertionError(f"{failed.exceptions[0]}\n{situation}") from failed

    async def _work(self, left: Iterator[Race]) -> None:
        for each in left:
            await wait_until(
                partial(self._has_run, each), _ROOM_WITHIN_S, f"no room for {each.__name__}"
            )
            assert psutil.pid_exists(self._gateway.process.pid)

    async def _has_run(self, given: Race) -> bool:
        if await self._run(given):
            return True
        self.full += 1
        await asyncio.sleep(_AGAIN_S)
        return False

    async def _run(self, given: Race) -> bool:
        """Run one race; return whether there was room for it."""
        async with RawPhone(self._gateway.sip_port) as phone:
            try:
                async with asyncio.timeout(40):
                    await given(phone)
                self.done[given.__name__] += 1
            except Full:
                return False
            except (TimeoutError, AssertionError) as error:
                self.faults.append(f"{given.__name__}: {error!r}")
        return True


async def situation_of(gateway: Gateway) -> str:
    """Return what a gateway counts and has logged last, for a test that has to give up."""
    try:
        _, counted = await gateway.get("/metrics")
    except OSError as error:
        counted = f"no metrics: {error!r}"
    mine = [
        line
        for line in counted.splitlines()
        if line.startswith(("bridge_call", "bridge_sip")) and "_bucket{" not in line
    ]
    logged = gateway.process.stderr.splitlines()[-_SHOWN_LINES:]
    return "\n".join([*(mine or [counted]), *logged])


def drawn(count: int) -> list[Race]:
    """Return so many races, each kind at least once where there is room, in a fixed order."""
    dice = random.Random(14)
    races = [*RACES, *dice.choices(RACES, k=max(0, count - len(RACES)))][:count]
    dice.shuffle(races)
    return races


def at_once() -> int:
    """Races at a time, of which each may take three of PJSIP's slots."""
    return 2 if int(load_symbols().pjsua_call_get_max_count()) <= 4 else 12


async def until_idle(gateway: Gateway) -> psutil.Process:
    await wait_until(lambda: _idle(gateway), 45, "calls stayed")
    return psutil.Process(gateway.process.pid)


async def _idle(gateway: Gateway) -> bool:
    return (await gateway.metrics()).value("bridge_calls_active") == 0


def faults_logged(gateway: Gateway) -> list[dict[str, object]]:
    levels = {"error", "critical"}
    return [each for each in gateway.process.logged if each.get("level") in levels]


async def test_no_race_ends_the_process(tmp_path: Path, redis: LocalRedis) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    checks = memory_checks()
    async with tone_service() as (_, url):
        with serving(
            tmp_path,
            url,
            dialplans,
            preflight=False,
            redis_url=redis.url,
            environ=checks,
            sip={"max_calls": 100},
        ) as gateway:
            loaded = psutil.Process(gateway.process.pid).memory_maps()
            preloaded = checks.get("LD_PRELOAD", "libasan")
            assert any(preloaded in each.path for each in loaded)
            run = Run(gateway, at_once())
            await run.play(drawn(SHORT))
            process = await until_idle(gateway)
            assert run.faults == []
            assert process.is_running()
            assert faults_logged(gateway) == []


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_a_thousand_races_leave_the_process_and_its_memory(
    tmp_path: Path, redis: LocalRedis, request: pytest.FixtureRequest
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    async with tone_service() as (_, url):
        with serving(
            tmp_path,
            url,
            dialplans,
            preflight=False,
            redis_url=redis.url,
            sip={"max_calls": 100},
        ) as gateway:
            run = Run(gateway, at_once())
            process = psutil.Process(gateway.process.pid)
            await run.play(drawn(WARM_UP))
            before = await settled_memory(gateway)
            await run.play(drawn(LONG))
            after = await settled_memory(gateway)
            growth = after / before - 1
            row = f"{run.done.total()} races, {run.full} full, {before >> 20} MiB, {growth:+.2%}"
            show(request.config, "races of calls", [row])
            assert run.faults == []
            assert process.is_running()
            assert growth < MOST_GROWTH
            assert faults_logged(gateway) == []
