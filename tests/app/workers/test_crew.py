"""Workers that die as soon as they are ready: a place is given up, the others are kept."""

import itertools
import os
from collections.abc import Sequence

import pytest

from bridge.app.workers.crew import BACKOFF_S, GIVEN_UP_AFTER, Crew
from bridge.app.workers.plan import WorkerPlan
from bridge.app.workers.worker import HeldWorker, hold_worker
from bridge.clock import SystemClock
from tests.support.waiting import wait_until

READY = r"{\"sip\": \"sip:127.0.0.1:$$\", \"probes\": \"http://127.0.0.1:9\", \"max_calls\": 1}"


WAITS = "while :; do sleep 0.1; done"


async def test_a_worker_that_dies_while_it_drains_is_counted() -> None:
    deaths: list[str] = []

    async def hold() -> HeldWorker:
        lives = f"trap 'kill -SEGV $$' TERM; read order; echo \"{READY}\"; {WAITS}"
        return await hold_worker(["/bin/sh", "-c", lives], os.environ)

    async def route(ports: Sequence[int]) -> None:
        del ports

    plans = [WorkerPlan(slot, f"w{slot}", {}) for slot in (1, 2)]
    crew = Crew(plans, hold, route, SystemClock(), deaths.append, preflight=False)
    await crew.start()
    await crew.drain()
    assert deaths == ["w1"]
    assert not crew.serving


async def test_a_place_whose_workers_die_at_once_is_given_up_and_others_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.app.workers.crew.HEALTH_EVERY_S", 600.0)
    lives = itertools.chain([f"trap 'exit 0' TERM; {WAITS}"], itertools.repeat("exit 3"))
    routes: list[Sequence[int]] = []

    async def hold() -> HeldWorker:
        # The first is slot 1's, and stays; SIGTERM ends it.
        then = next(lives)
        return await hold_worker(
            ["/bin/sh", "-c", f'read order; echo "{READY}"; {then}'], os.environ
        )

    async def route(ports: Sequence[int]) -> None:
        routes.append(ports)

    plans = [WorkerPlan(slot, f"w{slot}", {}) for slot in (1, 2, 3)]
    deaths: list[str] = []
    crew = Crew(plans, hold, route, SystemClock(), deaths.append, preflight=False)
    await crew.start()
    stays = crew.serving[1].sip_port
    await wait_until(lambda: crew.given_up == ["w2"], "it was started for ever")
    assert [worker.plan.name for worker in crew.serving.values()] == ["w1"]
    assert routes[-1] == [stays]
    assert len({port for ports in routes for port in ports}) == 1 + GIVEN_UP_AFTER
    assert list(BACKOFF_S) == sorted(BACKOFF_S)
    await crew.drain()
    assert not crew.serving
    assert deaths == ["w2"] * GIVEN_UP_AFTER  # one that ended when told to is none
