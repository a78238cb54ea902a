"""Many calls through the one address, while a worker is killed and while all are renewed."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.processes.load import load_dialplan
from tests.app.workers.test_site import active, states, until, worker_of
from tests.support.gateways import ARM, Gateway, serving
from tests.support.machine import Timing
from tests.support.processes import running, write_yaml
from tests.support.sipp import sipp
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.capacity, pytest.mark.nightly]

THROUGH = Path(__file__).parent / "through.xml"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Gateway]:
    dialplans = tmp_path / "dialplans"
    write_yaml(dialplans / "load.yaml", load_dialplan("load", called="*", arm=ARM))
    with (
        running("bench", "peer", directory=tmp_path) as simulator,
        serving(
            tmp_path,
            simulator.ready["url"],
            dialplans,
            environ={"BRIDGE_WORKERS": "2"},
            sip={"max_calls": 100},
        ) as gateway,
    ):
        yield gateway


async def until_active(site: Gateway, **calls: int) -> None:
    async def so() -> bool:
        return await active(site) == calls

    await wait_until(so, f"the workers' calls are not {calls}")


async def test_calls_go_on_coming_while_a_worker_is_killed(
    site: Gateway, tmp_path: Path, timing: Timing
) -> None:
    async with sipp(
        tmp_path, site.sip_port, THROUGH, calls=100, talk_ms=120_000, options=("-r", "10")
    ):
        await until_active(site, w1=50, w2=50)
        worker_of(site, "w1").send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        (later := tmp_path / "later").mkdir()
        async with sipp(
            later, site.sip_port, THROUGH, calls=30, talk_ms=1_000, options=("-r", "10")
        ) as new:
            await wait_until(lambda: site.process.logged[-1]["event"] == "worker_died", "unseen")

            async def filled() -> bool:
                return await states(site) == {"w1": "serving", "w2": "serving"}

            await wait_until(filled, "its place stayed empty")
            filled_ms = (time.monotonic() - killed_s) * 1000
            print(f"filled after {filled_ms:.0f} ms")
            await new.succeeded()
        await until_active(site, w1=0, w2=50)
        timing.check("filled", filled_ms, most_ms=2000)


async def test_renewal_loses_and_refuses_none_of_fifty_calls(site: Gateway, tmp_path: Path) -> None:
    async with sipp(
        tmp_path, site.sip_port, THROUGH, calls=50, talk_ms=15_000, options=("-r", "10")
    ) as held:
        await until_active(site, w1=25, w2=25)
        before = {worker_of(site, name).pid for name in ("w1", "w2")}
        began_s = time.monotonic()
        site.process.tell(signal.SIGHUP)
        (later := tmp_path / "later").mkdir()
        async with sipp(
            later, site.sip_port, THROUGH, calls=100, talk_ms=1_000, options=("-r", "5")
        ) as new:
            await asyncio.gather(held.succeeded(), new.succeeded())
        await until(site, w1="serving", w3="serving")
        print(f"renewed within {time.monotonic() - began_s:.1f} s")
        assert not before & {worker_of(site, name).pid for name in ("w1", "w3")}
