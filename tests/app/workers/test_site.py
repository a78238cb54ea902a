"""`bridge serve` with two workers: one address, a killed worker, a renewal, a drain."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import pytest

from bridge.telemetry.scrape import Scrape
from tests.support.gateways import PLAIN_AGENT, Gateway, serving, write_dialplan
from tests.support.machine import Timing
from tests.support.processes import simulating
from tests.support.programs import need_program
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

GREETING = "Hello."


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need_program("kamailio", "kamailio")
    with simulating(tmp_path_factory.mktemp("simulator")) as url:
        yield url


@pytest.fixture
def site(tmp_path: Path, simulator: str) -> Iterator[Gateway]:
    dialplans = write_dialplan(tmp_path / "dialplans", {**PLAIN_AGENT, "greeting": GREETING})
    environ = {"BRIDGE_WORKERS": "2", "BRIDGE_HTTP_PROBES_PORT": "0"}
    with serving(tmp_path, simulator, dialplans, environ=environ) as gateway:
        yield gateway


async def states(site: Gateway) -> dict[str, str]:
    """The workers, as `/readyz` lists them."""
    _, body = await site.get("/readyz")
    found: dict[str, str] = json.loads(body)["workers"]
    return found


async def until(site: Gateway, **wanted: str) -> None:
    async def so() -> bool:
        return await states(site) == wanted

    await wait_until(so, f"the workers are not {wanted}")


async def active(site: Gateway) -> dict[str, float]:
    """How many calls each worker has, by one scrape of the one address."""
    found = Scrape.parse((await site.probe("/metrics"))[1])
    return {name: found.value("bridge_calls_active", worker=name) for name in await states(site)}


def worker_of(site: Gateway, name: str) -> psutil.Process:
    ready = [each for each in site.process.logged if each["event"] == "worker_ready"]
    pids = [each["pid"] for each in ready if each["worker_name"] == name]
    assert isinstance(pids[-1], int)
    return psutil.Process(pids[-1])


@asynccontextmanager
async def callers(site: Gateway, count: int) -> AsyncIterator[list[RtpCaller]]:
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(RtpCaller(site.sip_port)) for _ in range(count)]
        for caller in found:
            assert await caller.call() == 200, caller.final
        yield found


async def of_supervisor(site: Gateway, name: str, **labels: str) -> float:
    """One of its own metrics."""
    return Scrape.parse((await site.probe("/metrics"))[1]).value(f"bridge_{name}", **labels)


async def until_heard(caller: RtpCaller) -> None:
    packets = len(caller.heard)
    await caller.until(
        lambda: len(caller.heard) > packets + 25 and any(each.loud for each in caller.heard)
    )


async def test_a_killed_workers_place_is_filled_and_no_new_call_notices(
    site: Gateway, timing: Timing
) -> None:
    async with callers(site, 4) as held:
        for caller in held:
            await until_heard(caller)
        assert await active(site) == {"w1": 2, "w2": 2}
        worker_of(site, "w1").send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        async with callers(site, 2) as late:
            timing.check("answers", (time.monotonic() - killed_s) * 1000, most_ms=2000)
            for caller in late:
                await until_heard(caller)
            await until(site, w1="serving", w2="serving")
            print(f"its place was filled after {time.monotonic() - killed_s:.2f} s")
        async with callers(site, 2) as spread:
            for caller in spread:
                await until_heard(caller)
            assert (await active(site))["w1"] >= 1
    for worker, deaths in (("w1", 1), ("w2", 0), ("w3", 0)):
        assert await of_supervisor(site, "worker_deaths_total", worker=worker) == deaths
    assert await of_supervisor(site, "workers", state="serving") == 2
    assert await of_supervisor(site, "workers", state="given up") == 0
    (died,) = [each for each in site.process.logged if each["event"] == "worker_died"]
    assert (died["worker_name"], died["by"]) == ("w1", "SIGKILL")
    assert {each.get("worker") for each in site.process.logged} >= {"w1", "w2", None}


async def test_metrics_are_at_the_port_of_the_probes_alone(site: Gateway) -> None:
    assert await active(site) == {"w1": 0, "w2": 0}
    for get, status in ((site.get, 404), (site.probe, 200)):
        assert (await get("/metrics"))[0] == status
        assert (await get("/readyz"))[0] == 200


async def test_a_renewal_refuses_and_loses_no_call(site: Gateway) -> None:
    async with callers(site, 2) as held:
        before = {name: worker_of(site, name).pid for name in ("w1", "w2")}
        site.process.tell(signal.SIGHUP)
        await until(site, w1="draining", w2="serving", w3="serving")
        async with callers(site, 4) as late:
            for caller in (*held, *late):
                await until_heard(caller)
            assert not any(caller.ended.is_set() for caller in (*held, *late))
            assert sum((await active(site)).values()) == 6
            await asyncio.gather(*(caller.hang_up() for caller in (*held, *late)))
    await until(site, w1="serving", w3="serving")
    assert worker_of(site, "w1").pid not in before.values()
    status, _ = await site.get("/readyz")
    assert status == 200


async def test_bad_settings_renew_nothing(site: Gateway, tmp_path: Path) -> None:
    before = worker_of(site, "w1").pid
    (tmp_path / "bridge.yaml").write_text("sip: {port: none}", encoding="utf-8")
    site.process.tell(signal.SIGHUP)
    await wait_until(
        lambda: any(each["event"] == "renewal_refused" for each in site.process.logged),
        "the renewal was not refused",
    )
    assert await states(site) == {"w1": "serving", "w2": "serving"}
    assert worker_of(site, "w1").pid == before


async def test_sigterm_drains_all_and_leaves_nothing_behind(site: Gateway) -> None:
    async with callers(site, 2) as held:
        site.process.tell(signal.SIGTERM)
        for caller in held:
            await until_heard(caller)
        assert all(worker_of(site, name).is_running() for name in ("w1", "w2"))
        for caller in held:  # through Kamailio, which ends last
            await caller.hang_up()
    assert await site.process.ended() == 0
    assert site.process.processes == []


async def test_workers_whose_supervisor_is_killed_drain(site: Gateway) -> None:
    site.process.tell(signal.SIGKILL)
    await site.process.ended()
    await wait_until(lambda: site.process.processes == [], "workers were orphaned")


async def test_a_worker_that_hangs_gets_no_calls_and_is_replaced(site: Gateway) -> None:
    hung = worker_of(site, "w2")
    hung.suspend()
    assert await of_supervisor(site, "worker_scrapes_missed_total", worker="w2") == 1
    assert await of_supervisor(site, "worker_scrapes_missed_total", worker="w1") == 0
    async with callers(site, 3):  # at the cost of a second's wait for those that came to it
        await wait_until(
            lambda: any(each["event"] == "worker_hangs" for each in site.process.logged),
            "nobody saw that it hangs",
        )
        await wait_until(lambda: not hung.is_running(), "it was left")
        await until(site, w1="serving", w2="serving")


async def test_kamailio_and_redis_are_started_again(site: Gateway) -> None:
    async with callers(site, 1) as (caller,):
        children = psutil.Process(site.process.pid).children()
        for name in ("kamailio", "redis-server"):
            next(each for each in children if each.name() == name).kill()

        async def back() -> bool:
            names = [each.name() for each in psutil.Process(site.process.pid).children()]
            return {"kamailio", "redis-server"} <= {*names}

        await wait_until(back, "they stayed away")
        await until_heard(caller)

        async def answered() -> bool:
            async with RtpCaller(site.sip_port) as late:
                return await late.call() == 200

        await wait_until(answered, "no call is taken")
        await caller.hang_up()


async def test_a_second_sigterm_ends_calls_at_once(site: Gateway) -> None:
    async with callers(site, 1) as (caller,):
        site.process.tell(signal.SIGTERM)
        await wait_until(
            lambda: any(each["event"] == "draining" for each in site.process.logged), "no drain"
        )
        site.process.tell(signal.SIGTERM)
        await caller.until(caller.ended.is_set)
    assert await site.process.ended() == 0
    assert site.process.processes == []
