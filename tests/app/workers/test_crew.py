"""Workers that die as soon as they are ready: a place is given up, the others are kept."""

import os
from collections.abc import Sequence

from bridge.app.workers.crew import BACKOFF_S, GIVEN_UP_AFTER, Crew
from bridge.app.workers.plan import WorkerPlan
from bridge.app.workers.worker import HeldWorker, hold_worker
from bridge.clock import SystemClock
from tests.support.waiting import wait_until

READY = '{"sip": "sip:127.0.0.1:$$", "probes": "http://127.0.0.1:9", "max_calls": 1}'


async def test_a_place_whose_workers_die_at_once_is_given_up_and_others_are_kept() -> None:
    held: list[HeldWorker] = []
    routes: list[Sequence[int]] = []

    async def hold() -> HeldWorker:
        # The first is slot 1's, and stays; SIGTERM ends it.
        then = "exit 3" if held else "exec sleep 300"
        script = f"read order; echo {READY.replace('"', chr(92) + '"')}; {then}"
        held.append(await hold_worker(["/bin/sh", "-c", script], os.environ))
        return held[-1]

    async def route(ports: Sequence[int]) -> None:
        routes.append(ports)

    plans = [WorkerPlan(slot, f"w{slot}", {}) for slot in (1, 2, 3)]
    crew = Crew(plans, hold, route, SystemClock(), preflight=False)
    await crew.start()
    stays = crew.serving[1].sip_port
    await wait_until(lambda: crew.given_up == ["w2"], "it was started for ever")
    assert [worker.plan.name for worker in crew.serving.values()] == ["w1"]
    assert routes[-1] == [stays]
    assert len({port for ports in routes for port in ports}) == 1 + GIVEN_UP_AFTER
    assert list(BACKOFF_S) == sorted(BACKOFF_S)
    await crew.drain()
    assert not crew.serving
