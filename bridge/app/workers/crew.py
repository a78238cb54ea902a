"""Keeps the workers of a machine running: started, watched, begun again, renewed, drained."""

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from bridge.app.workers.plan import WorkerPlan
from bridge.app.workers.worker import HeldWorker, WorkerProcess, explain
from bridge.clock import NS_PER_S, Clock
from bridge.errors import BridgeError

log = structlog.get_logger(__name__)

BACKOFF_S = (0.0, 0.5, 1.0, 2.0)
"""The wait before a worker is started again, by how often in turn it died soon after its start."""

GIVEN_UP_AFTER = len(BACKOFF_S) + 1
"""Such deaths in turn after which its place stays empty."""

SOON_S = 10.0
"""A worker that lived for so long had started well."""

HEALTH_EVERY_S = 1.0
HUNG_AFTER = 5
"""Looks in turn that a worker leaves without an answer before it is killed: its calls have had no
audio for all that time."""


class WorkerState(enum.StrEnum):
    """The states of a worker, as `/readyz` and `bridge_workers` name them."""

    SERVING = "serving"
    STARTING = "starting"
    DRAINING = "draining"
    GIVEN_UP = "given up"


Route = Callable[[Sequence[int]], Awaitable[None]]
Hold = Callable[[], Awaitable[HeldWorker]]


class Crew:
    """The workers of a machine.

    Args:
        plans: of all slots; there is one more than workers.
        hold: starts a process that waits to become a worker.
        preflight: whether workers open a session on each arm first. One that takes a dead one's
            place doesn't: its settings were tried, and callers wait for room.
        route: has new calls go to the workers at these SIP ports alone.
        clock: how long workers live.
        on_death: called with the name of a worker that ended without an order, or did not start.

    Attributes:
        serving: those that are to get new calls, by slot.
        draining: those that only end the calls that they have, by slot.
        given_up: names of those that died too often.
    """

    def __init__(
        self,
        plans: Sequence[WorkerPlan],
        hold: Hold,
        route: Route,
        clock: Clock,
        on_death: Callable[[str], None],
        *,
        preflight: bool,
    ) -> None:
        self.serving: dict[int, WorkerProcess] = {}
        self.draining: dict[int, WorkerProcess] = {}
        self.given_up: list[str] = []
        self._plans = {plan.slot: plan for plan in plans}
        self._hold = hold
        self._held: HeldWorker | None = None
        self._holding: asyncio.Task[None] | None = None
        self._preflight = preflight
        self._route = route
        self._clock = clock
        self._on_death = on_death
        self._starting: dict[int, WorkerProcess] = {}
        self._places: dict[int, asyncio.Task[None]] = {}
        self._is_ending = False

    async def start(self) -> None:
        """Start a worker for each place but the spare one; at least one takes calls then.

        Raises:
            InfrastructureError: none does; the first one's reason.
        """
        slots = sorted(self._plans)[:-1]
        found = await asyncio.gather(*map(self._start, slots), return_exceptions=True)
        errors = [each for each in found if isinstance(each, BaseException)]
        if len(errors) == len(slots):
            raise errors[0]
        for slot, worker in zip(slots, found, strict=True):
            self._keep(slot, None if isinstance(worker, BaseException) else worker)
        self._hold_one()

    async def renew(self) -> None:
        """Replace each worker: its replacement takes calls before it drains, one after another.

        A replacement that does not start ends the renewal: those that are left stay.
        """
        for slot, worker in sorted(self.serving.items()):
            if self._is_ending or self.serving.get(slot) is not worker:
                continue
            spare = min(self._plans.keys() - self._places.keys())
            try:
                replacement = await self._start(spare)
            except BridgeError as error:
                log.error("renewal_given_up", error=str(error), kept="the workers that there are")
                return
            self._keep(spare, replacement)
            place = self._places[slot]
            await self._retire(slot)
            log.info("worker_renewed", worker=worker.plan.name, by=replacement.plan.name)
            await place  # its ports are the next one's
        self._hold_one()

    async def drain(self) -> None:
        """Have all take no new calls, and wait until the last one has ended."""
        self._is_ending = True
        for worker in (*self.serving.values(), *self._starting.values()):
            worker.drain()
        await self._until_gone()

    async def stop(self) -> None:
        """Have all end their calls in order now, and wait for that; safe after :meth:`drain`."""
        self._is_ending = True
        workers = (self.serving, self._starting, self.draining)
        for worker in [worker for group in workers for worker in group.values()]:
            worker.end_calls()
        await self._until_gone()

    async def _until_gone(self) -> None:
        if self._places:  # a drain that is cut short leaves them as they are
            await asyncio.wait(self._places.values())
        if self._holding is not None:
            await self._holding
        held, self._held = self._held, None
        if held is not None:
            await held.end()

    def _keep(self, slot: int, worker: WorkerProcess | None) -> None:
        task = asyncio.create_task(self._keep_running(slot, worker), name=f"worker-{slot}")
        self._places[slot] = task
        task.add_done_callback(lambda _: self._places.pop(slot, None))

    async def _keep_running(self, slot: int, worker: WorkerProcess | None) -> None:
        """Run a place's worker, and the next one when it has died, until it is retired."""
        name, soon = self._plans[slot].name, 0 if worker else 1
        while worker is not None or not self._is_ending:
            if soon >= GIVEN_UP_AFTER:
                self.given_up.append(name)
                log.critical("worker_given_up", worker_name=name, deaths=soon, kept="the others")
                return
            if worker is None:
                await asyncio.sleep(BACKOFF_S[max(soon - 1, 0)] if soon else 0.0)
                worker = await self._start_again(slot)
            began_ns = self._clock.now_ns()
            if worker is not None and await self._watch(slot, worker):
                return
            lived_s = (self._clock.now_ns() - began_ns) / NS_PER_S
            soon = soon + 1 if worker is None or lived_s < SOON_S else 1
            worker = None

    async def _start_again(self, slot: int) -> WorkerProcess | None:
        if self._is_ending:
            return None
        try:
            return await self._start(slot, is_again=True)
        except BridgeError as error:
            if not self._is_ending:
                name = self._plans[slot].name
                log.error("worker_not_started", worker_name=name, error=str(error))
                self._on_death(name)
            return None

    async def _start(self, slot: int, *, is_again: bool = False) -> WorkerProcess:
        """Start a slot's worker; again, from the held process, or with the code as it is now."""
        plan, held = self._plans[slot], None
        if is_again:
            held, self._held = self._held, None
        if held is None or held.has_ended:
            held = await self._hold()
        preflight = self._preflight and not is_again
        worker = await held.release(plan, preflight=preflight)
        self._starting[slot] = worker
        try:
            await worker.until_ready()
        except BaseException:
            worker.kill()
            raise
        finally:
            del self._starting[slot]
        self.serving[slot] = worker
        log.info("worker_ready", worker_name=plan.name, pid=worker.pid, sip_port=worker.sip_port)
        await self._update_route()
        worker.gets_calls = True
        if is_again:
            self._hold_one()
        return worker

    def _hold_one(self) -> None:
        """Have a process wait for the next place that falls empty, with the code as it is now."""
        if self._holding is None or self._holding.done():
            self._holding = asyncio.create_task(self._hold_fresh(), name="held-worker")

    async def _hold_fresh(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await held.end()
        try:
            self._held = None if self._is_ending else await self._hold()
        except BridgeError as error:
            log.error("no_worker_held", error=str(error), cost="a dead one's place is empty longer")

    async def _watch(self, slot: int, worker: WorkerProcess) -> bool:
        """Wait for a worker's end; return whether it was ordered to end."""
        looking = asyncio.create_task(self._kill_if_hung(worker))
        try:
            status = await worker.ended()
        finally:
            looking.cancel()
        self.draining.pop(slot, None)
        if self.serving.get(slot) is worker:
            del self.serving[slot]
            if not self._is_ending:
                await self._update_route()
        if worker.is_retired and status == 0:
            return True
        name = worker.plan.name
        log.error("worker_died", worker_name=name, pid=worker.pid, by=explain(status))
        self._on_death(name)
        return worker.is_retired

    async def _kill_if_hung(self, worker: WorkerProcess) -> None:
        missed = 0
        while missed < HUNG_AFTER:
            await asyncio.sleep(HEALTH_EVERY_S)
            missed = 0 if await worker.is_healthy() else missed + 1
        log.error("worker_hangs", worker_name=worker.plan.name, pid=worker.pid, looks=missed)
        worker.kill()

    async def _retire(self, slot: int) -> None:
        """Have a worker drain, once no new call is sent to it."""
        worker = self.serving.pop(slot)
        self.draining[slot] = worker
        await self._update_route()
        worker.drain()

    async def _update_route(self) -> None:
        with suppress(OSError):
            await self._route([worker.sip_port for worker in self.serving.values()])
