"""Hostile SIP against `bridge serve`: the same process, the same memory, and calls in between.

The whole of it (20,000 datagrams) runs with ``pytest -m nightly tests/app/test_hostile_sip.py``.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import show
from tests.support.gateways import Gateway, serving, write_dialplan
from tests.support.memory import settled_memory
from tests.support.mutations import good_messages, hostile_cases, mutations
from tests.support.raw_sip import RawSip, sdp
from tests.support.rfc4475 import MESSAGES
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sip

SEED = 4475
A_FEW, ALL = 400, 20_000
WARM_UP = 1000
BETWEEN_CALLS = 2000
UNTIL_DEALT_WITH = 20
"""Datagrams that go before a probe: the socket's buffer holds them all."""
MEMORY_GROWTH = 0.03


@pytest.fixture
def gateway(tmp_path: Path, simulator: str) -> Iterator[Gateway]:
    dialplans = tmp_path / "dialplans"
    dialplans.mkdir()
    write_dialplan(dialplans, called="support")  # strangers' calls are refused: the wheel holds 4
    with serving(tmp_path, simulator, dialplans) as gateway:
        yield gateway


async def check_alive(sip: RawSip) -> None:
    """See that all that was sent before has been dealt with."""
    assert (await sip.talk().ask("OPTIONS")).code in {200, 503}


async def check_a_call(sip: RawSip) -> None:
    """Place a call; one that is refused because broken ones are still up is placed again."""
    codes: list[int] = []

    async def answered() -> bool:
        talk = sip.talk()
        answer = await talk.invite(sdp())
        codes.append(answer.code)
        talk.acknowledge()
        if answer.code == 200:
            assert (await talk.ask("BYE")).code == 200
        return answer.code == 200

    await wait_until(answered, f"no call is answered: {codes}")


async def send_all(sip: RawSip, datagrams: Iterable[bytes]) -> int:
    """Send datagrams, with calls in between; return how many answers they got."""
    answered: set[tuple[str, ...]] = set()
    for number, data in enumerate(datagrams, 1):
        sip.send(data)
        if number % UNTIL_DEALT_WITH == 0:
            await check_alive(sip)
            answered |= _answered(sip)
            sip.replies.clear()
        if number % BETWEEN_CALLS == 0:
            await check_a_call(sip)
    await check_alive(sip)
    return len(answered | _answered(sip))


def _answered(sip: RawSip) -> set[tuple[str, ...]]:
    """Return what names each request, none of the test's own, that has a final answer."""
    own = f"raw-{sip.port}-"
    finals = [reply for reply in sip.replies if reply.code >= 200]
    named = {tuple(map(reply.header, ("Call-ID", "CSeq", "Via"))) for reply in finals}
    return {name for name in named if not name[0].startswith(own)}


def process_of(gateway: Gateway) -> psutil.Process:
    return psutil.Process(gateway.process.pid)


async def test_hostile_cases_by_datagram_and_stream_leave_the_process_as_it_was(
    gateway: Gateway,
) -> None:
    process = process_of(gateway)
    async with RawSip(gateway.sip_port) as sip:
        cases = hostile_cases(sip.port, gateway.sip_port)
        for name, data in cases.items():
            sip.send(data)
            assert await sip.reply(lambda reply: True, 0.0) or True
            await check_alive(sip)
            assert process.is_running(), name
        for name, data in cases.items():
            await _stream(gateway.sip_port, [data[:4000], data[4000:]])
            assert process.is_running(), name
        whole = next(iter(m.data for m in MESSAGES if m.name == "longreq"))
        await _stream(gateway.sip_port, [bytes([byte]) for byte in whole[:500]])
        await _stream(gateway.sip_port, [b"INVITE sip:a@b SIP/2.0\r\nX: "] + [b"x" * 1000] * 200)
        await check_a_call(sip)
    assert process.is_running()


async def _stream(port: int, pieces: list[bytes]) -> None:
    """Send pieces over a connection of their own; whoever is hung up on has had an answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


@pytest.mark.parametrize("count", [A_FEW, pytest.param(ALL, marks=pytest.mark.nightly)])
@pytest.mark.timeout(1800)
async def test_mutated_datagrams_leave_the_process_and_its_memory_as_they_were(
    gateway: Gateway, count: int, request: pytest.FixtureRequest
) -> None:
    process = process_of(gateway)
    async with RawSip(gateway.sip_port) as sip:
        good = good_messages(sip.port, gateway.sip_port)
        await check_a_call(sip)
        if count == A_FEW:
            await send_all(sip, mutations(good, SEED, count))
            await check_a_call(sip)
            assert process.is_running()
            return
        await send_all(sip, mutations(good, SEED, WARM_UP))
        await check_a_call(sip)
        before = await settled_memory(gateway)
        answers = await send_all(sip, mutations(good, SEED + 1, count))
        await send_all(sip, (torture.from_here() for torture in MESSAGES))
        await check_a_call(sip)
        after = await settled_memory(gateway)
    show(
        request.config,
        "hostile SIP",
        [
            f"{count} mutated datagrams ({answers} answered), {len(MESSAGES)} of RFC 4475: "
            f"{before / 2**20:.1f} -> {after / 2**20:.1f} MB"
        ],
    )
    assert process.is_running()
    assert after <= before * (1 + MEMORY_GROWTH)


async def test_what_pjsip_says_of_broken_messages_is_logged_and_never_printed(
    gateway: Gateway,
) -> None:
    """Standard output may be a pipe that nobody reads: a full one would stop the process."""
    async with RawSip(gateway.sip_port) as sip:
        await send_all(sip, (torture.from_here() for torture in MESSAGES))
    lines = [line for line in gateway.process.logged if line["event"] == "pjsip"]
    assert any("Error processing packet" in str(line["line"]) for line in lines)
    assert gateway.process.printed == b""


FLOOD = 600
LINES_OF_A_KIND = 100
"""At once; one a second after that."""


async def test_a_flood_of_strangers_messages_leaves_a_short_log(gateway: Gateway) -> None:
    began_s = time.monotonic()
    filler = "x" * 2500
    async with RawSip(gateway.sip_port) as sip:
        for number in range(FLOOD):
            talk = sip.talk("nobody")
            sip.send(talk.request("OPTIONS", headers=(f"X: {filler}",)).replace(b"To: ", b"Toxx: "))
            sip.send(talk.request("OPTIONS", headers=("From: <sip:a@b>;tag=1",)))
            sip.send(talk.request("INVITE", sdp(), ("Content-Type: application/sdp",)))
            _, writer = await asyncio.open_connection(
                *gateway.http.removeprefix("http://").split(":")
            )
            writer.write(b"\x00 no HTTP\r\n\r\n")
            writer.close()
            if number % UNTIL_DEALT_WITH == 0:
                await check_alive(sip)
                sip.replies.clear()
        await check_alive(sip)
    most = LINES_OF_A_KIND + (time.monotonic() - began_s) + 1
    lines = gateway.process.logged
    kinds = Counter((line["logger"], line["event"]) for line in lines)
    assert len(kinds) >= 4, "not every way in left a line"
    assert max(kinds.values()) <= most, kinds.most_common(3)
    assert max(len(str(line)) for line in lines) < 1_500

    async def counted() -> bool:
        metrics = await gateway.metrics()
        name = "bridge_log_lines_left_out_total"
        return sum(metrics.value(name, level=level) for level in ("info", "warning")) > FLOOD

    await wait_until(counted, "the lines that were left out are not counted")


async def test_a_caller_who_leaves_our_offer_unanswered_is_in_the_records(
    gateway: Gateway,
) -> None:
    async with RawSip(gateway.sip_port) as sip:
        talk = sip.talk()
        assert (await talk.invite(b"")).code == 200
        talk.acknowledge()
        assert await sip.reply(lambda message: message.start.startswith("BYE")) is not None
        (record,) = await gateway.records(1)
        ending = (record["outcome"], record["fault"], record["reason"])
        assert ending == ("media_failed", "carrier", "sip_488")
