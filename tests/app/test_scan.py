"""A scan of the SIP port while calls talk: no call is taken, and the trunk's calls go on.

The whole of it (1,000 requests a second for a minute, 50 calls) runs with
``pytest -m nightly tests/app/test_scan.py`` on the capacity build.
"""

import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import show
from tests.support.gateways import PLAIN_AGENT, Gateway, serving, write_dialplan
from tests.support.raw_sip import RawSip, sdp
from tests.support.sipp import sipp

pytestmark = pytest.mark.sip

TRUNK = "127.0.0.1"
"""A trunk on loopback makes strangers of its other addresses, which the scanner has."""
ECHO = Path(__file__).parents[1] / "interop" / "sipp" / "echo.xml"
PER_S = 1_000
REFUSALS_PER_S, BURST = 50, 100
SETUP_P95_MS = 250
MEMORY_GROWTH = 0.03
TALKS_ON = {
    **PLAIN_AGENT,
    "greeting": "One two three four five six seven eight nine ten. " * 40,
    "turn_detection": {"type": "none"},
    "barge_in": {"decided_by": "service"},
}
"""SIPp sends the agent's voice back: it is no caller who interrupts."""


@pytest.fixture
def gateway(tmp_path: Path, simulator: str) -> Iterator[Gateway]:
    dialplans = tmp_path / "dialplans"
    dialplans.mkdir()
    write_dialplan(dialplans, TALKS_ON)
    trunks = {"carrier": {"addresses": [TRUNK]}}
    with serving(tmp_path, simulator, dialplans, sip={"trunks": trunks}) as gateway:
        yield gateway


class Scan:
    """A scanner that runs; its result once it is over."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def result(self) -> tuple[int, Counter[str], float]:
        """Return how many were sent, the statuses of the answers, and the seconds it took."""
        output, _ = await self._process.communicate()
        assert self._process.returncode == 0
        found = json.loads(output)
        return found["sent"], Counter(found["codes"]), found["took_s"]


@asynccontextmanager
async def scanning(port: int, seconds: int, addresses: int) -> AsyncIterator[Scan]:
    words = (str(word) for word in (port, PER_S, seconds, addresses))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.scanner", *words), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Scan(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def setup_ms(sip: RawSip) -> float:
    """Place a call of the trunk, and end it; return how long its answer took."""
    talk = sip.talk()
    begun = time.monotonic()
    answer = await talk.invite(sdp())
    took_ms = (time.monotonic() - begun) * 1000
    assert answer.code == 200
    talk.acknowledge()
    assert (await talk.ask("BYE")).code == 200
    return took_ms


async def turned_away(gateway: Gateway) -> float:
    return (await gateway.metrics()).value("bridge_sip_turned_away_total")


def check_answers(codes: Counter[str], took_s: float) -> None:
    """Strangers hear 403, and not more often than all of them together may."""
    assert set(codes) == {"403"}
    assert codes["403"] <= REFUSALS_PER_S * took_s + BURST


async def test_a_scan_is_kept_out_while_the_trunk_calls(gateway: Gateway) -> None:
    async with RawSip(gateway.sip_port, TRUNK) as sip:
        talking = sip.talk()
        await talking.call(sdp())
        async with scanning(gateway.sip_port, seconds=3, addresses=20) as scan:
            await setup_ms(sip)
            await setup_ms(sip)
            sent, codes, took_s = await scan.result()
        check_answers(codes, took_s)
        assert (await turned_away(gateway)) >= 0.9 * sent  # the kernel may drop some
        assert (await talking.ask("OPTIONS")).code == 200
        assert (await talking.ask("BYE")).code == 200
    assert len(await gateway.records(3)) == 3


CALLS, SECONDS = 50, 60


@pytest.mark.capacity
@pytest.mark.nightly
@pytest.mark.timeout(400)
@pytest.mark.parametrize("addresses", [1, 200])
async def test_fifty_calls_talk_through_a_scan_of_a_minute(
    gateway: Gateway, tmp_path: Path, addresses: int, request: pytest.FixtureRequest
) -> None:
    process = psutil.Process(gateway.process.pid)
    audio = {"payload": "0", "codec": "PCMU"}
    endless = ("-timeout", "300s")
    async with (
        sipp(
            *(tmp_path, gateway.sip_port, ECHO),
            calls=CALLS,
            talk_ms=200_000,
            keys=audio,
            options=endless,
        ),
        RawSip(gateway.sip_port, TRUNK) as sip,
    ):
        await gateway.until_active(CALLS)
        quiet_ms = [await setup_ms(sip) for _ in range(20)]
        cpu_s = _cpu_s(process)
        await asyncio.sleep(10)  # the figure is of this time
        quiet_cpu = (_cpu_s(process) - cpu_s) / 10
        before, cpu_s = process.memory_info().rss, _cpu_s(process)
        during_ms = []
        async with scanning(gateway.sip_port, SECONDS, addresses) as scan:
            result = asyncio.create_task(scan.result())
            while not result.done():
                during_ms.append(await setup_ms(sip))
                await asyncio.sleep(0.25)
            sent, codes, took_s = await result
        cpu, after = (_cpu_s(process) - cpu_s) / took_s, process.memory_info().rss
        away = await turned_away(gateway)
        metrics = await gateway.metrics()
        underruns = metrics.value("bridge_playout_underruns_total")
        active = metrics.value("bridge_calls_active")
    p95_ms = statistics.quantiles(during_ms, n=20)[-1]
    show(
        request.config,
        f"scan from {addresses} addresses",
        [
            f"{sent} requests in {took_s} s, {away:.0f} turned away, {dict(codes)} answered",
            f"setup p95 {statistics.quantiles(quiet_ms, n=20)[-1]:.0f} -> {p95_ms:.0f} ms"
            f" ({len(during_ms)} calls), CPU {quiet_cpu:.0%} -> {cpu:.0%} of a core",
            f"memory {before / 2**20:.1f} -> {after / 2**20:.1f} MB, {underruns:.0f} underruns",
        ],
    )
    check_answers(codes, took_s)
    assert active == CALLS
    assert away >= 0.9 * sent
    assert underruns == 0
    assert p95_ms < SETUP_P95_MS
    assert after <= before * (1 + MEMORY_GROWTH)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
