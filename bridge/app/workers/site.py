"""A machine with several gateways behind one SIP address, one console and one set of probes.

Start order: Redis where none is given, HTTP, workers, Kamailio. Stop order: workers (which drain),
Kamailio, HTTP, Redis. Killed itself, the kernel sends all of them SIGTERM: the workers drain.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from bridge.app.console import invite_admin, open_console
from bridge.app.dialplans.plans import read_dialplans
from bridge.app.start.addresses import Addresses, http_url, node_name, warn_of_open_http
from bridge.app.workers.crew import BACKOFF_S, Crew, WorkerState
from bridge.app.workers.kamailio import EdgePlan, Kamailio, check_port_is_free, plan_edge
from bridge.app.workers.plan import WorkerPlan, plan_workers
from bridge.app.workers.worker import hold_worker, worker_command
from bridge.clock import Clock
from bridge.config.console import ConsoleSettings
from bridge.config.loading import load_settings
from bridge.config.settings import HttpSettings, Settings
from bridge.console.app import make_site_app
from bridge.console.call_audio import NoCalls
from bridge.console.server import HttpServer
from bridge.errors import BridgeError
from bridge.routing.models import Dialplan
from bridge.sip.addresses import host_and_port
from bridge.store.local import LocalRedis, start_local_redis
from bridge.telemetry.merged import merge_metrics
from bridge.telemetry.metrics import SupervisorMetrics

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SitePlan:
    """All processes that a machine with several workers runs, before any is started.

    Attributes:
        sip_port: Kamailio's.
        node: the machine's name; workers' names begin with it.
        workers: one more than are run at a time.
        command: of each worker, which is given its variables by its standard input.
        preflight: whether a session on each arm is opened first.
        redis_url: of all.
        own_redis: directory of the private one; None where one is given.
    """

    sip_port: int
    node: str
    edge: EdgePlan
    workers: list[WorkerPlan]
    command: list[str]
    preflight: bool
    redis_url: str
    own_redis: Path | None


def plan_site(
    settings: Settings, count: int, directory: Path, config: Path | None, *, preflight: bool
) -> SitePlan:
    """Return the plan of all processes of a machine.

    Args:
        count: of workers.
        directory: a short path, for Kamailio's files and Redis' socket.

    Raises:
        ConfigError: the settings don't fit several workers.
        InfrastructureError: Kamailio is not installed, or its port is taken.
    """
    port = check_port_is_free(settings.sip.host, settings.sip.port)
    node = settings.node or node_name(port)
    own_redis = None if settings.redis.url else directory / "redis"
    url = settings.redis.url or f"unix://{own_redis}/redis.sock"
    workers = plan_workers(settings, count, node, url)
    return SitePlan(
        port,
        node,
        plan_edge(settings.sip, port, directory),
        workers,
        worker_command(config),
        preflight,
        url,
        own_redis,
    )


class Site:
    """A machine's workers with Kamailio, HTTP server and Redis in front of them.

    Args:
        settings: of all of them.
        plan: its processes.
        config: the settings' file, which is read anew at a renewal.
        environ: of the workers, under their own variables.
        clock: how long workers live.

    Attributes:
        crew: the workers.
    """

    def __init__(
        self,
        settings: Settings,
        plan: SitePlan,
        config: Path | None,
        environ: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._config = config
        self._environ = environ
        self._dialplans: tuple[Dialplan, ...] = ()
        self._edge = Kamailio(plan.edge)
        self._own = SupervisorMetrics(WorkerState, [worker.name for worker in plan.workers])
        self.crew = Crew(
            plan.workers,
            partial(hold_worker, plan.command, environ),
            self._edge.route_to,
            clock,
            self._own.workers.died,
            preflight=plan.preflight,
        )
        self._console = open_console(
            settings,
            plan.redis_url,
            clock,
            lambda: self._dialplans,
            NoCalls(),
            lambda: plan.node,
            self._own.audit_failed,
        )
        self._redis: LocalRedis | None = None
        self._renewing = asyncio.Lock()

    async def renew(self) -> None:
        """Replace all workers one after another, with settings and dialplans as they are now.

        Bad ones change nothing; one more renewal waits for the one that goes on.
        """
        async with self._renewing:
            try:
                settings = await asyncio.to_thread(load_settings, self._config, self._environ)
                read = await asyncio.to_thread(read_dialplans, settings, self._environ)
            except BridgeError as error:
                log.error("renewal_refused", error=str(error), kept="the workers that there are")
                return
            await self._edge.serve_trunks(settings.sip)
            self._dialplans = read.plans
            await self.crew.renew()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Addresses]:
        """Run it; calls that go on when the block is left are ended in order."""
        async with AsyncExitStack() as stack:
            self._start_redis()
            stack.callback(self._stop_redis)
            read = await asyncio.to_thread(read_dialplans, self._settings, self._environ)
            self._dialplans = read.plans
            http, probes = await self._open_http(stack)
            stack.push_async_callback(self._edge.stop)
            stack.push_async_callback(self.crew.stop)
            await self.crew.start()
            await self._start_edge()
            for name, chore in {"kamailio": self._keep_edge, "redis": self._keep_redis}.items():
                task = asyncio.create_task(chore(), name=name)
                stack.callback(task.cancel)
            link = None
            if self._console is not None:
                link = await invite_admin(self._console, self._settings, http)
            yield Addresses(
                sip=f"sip:{host_and_port(self._settings.sip.host, self._plan.sip_port)}",
                sip_tls=None,
                http=http,
                probes=probes,
                node=self._plan.node,
                max_calls=sum(worker.max_calls for worker in self.crew.serving.values()),
                admin_link=link,
            )

    async def _open_http(self, stack: AsyncExitStack) -> tuple[str, str]:
        """Listen for the console and the probes; return their URLs."""
        settings, http = self._settings, self._settings.http
        warn_of_open_http(settings)
        make = partial(make_site_app, workers=self._states, metrics=self._metrics)
        if self._console is not None:
            stack.push_async_callback(self._console.aclose)
        app = make(self._console, shows_metrics=http.probes_port is None)
        server = HttpServer(http, settings.console, app)
        url = probes = http_url(http, settings.console, await server.start())
        stack.push_async_callback(server.aclose)
        if http.probes_port is not None:
            place = HttpSettings(host=http.probes_host, port=http.probes_port)
            second = HttpServer(place, ConsoleSettings(), make(None))
            probes = f"http://{host_and_port(http.probes_host, await second.start())}"
            stack.push_async_callback(second.aclose)
        return url, probes

    def _states(self) -> Mapping[str, str]:
        serving = {
            worker.plan.name: WorkerState.SERVING if worker.gets_calls else WorkerState.STARTING
            for worker in self.crew.serving.values()
        }
        draining = {each.plan.name: WorkerState.DRAINING for each in self.crew.draining.values()}
        return {**draining, **serving, **dict.fromkeys(self.crew.given_up, WorkerState.GIVEN_UP)}

    async def _metrics(self) -> str:
        workers = [*self.crew.serving.values(), *self.crew.draining.values()]
        texts = await asyncio.gather(*(worker.ask("/metrics") for worker in workers))
        found = dict(zip((worker.plan.name for worker in workers), texts, strict=True))
        for name in (name for name, text in found.items() if not text):
            self._own.workers.scrape_missed(name)
        self._own.workers.set_states(self._states().values())
        return merge_metrics({**found, "supervisor": self._own.render()}, "worker")

    async def _start_edge(self) -> None:
        await self._edge.start(worker.sip_port for worker in self.crew.serving.values())

    async def _keep_edge(self) -> None:
        """Start Kamailio again whenever it has ended: calls that go on need it for their BYE."""
        while True:
            status = await self._edge.ended()
            log.error("kamailio_died", status=status)
            await self._edge.stop()
            await _until_it_starts("kamailio", self._start_edge)

    def _start_redis(self) -> None:
        if self._plan.own_redis is not None:
            self._redis = start_local_redis(self._plan.own_redis)

    def _stop_redis(self) -> None:
        if self._redis is not None:
            self._redis.stop()

    async def _keep_redis(self) -> None:
        """Start our own Redis again whenever it has ended; calls' states are written anew."""
        while self._redis is not None:
            await _until_gone(self._redis.pid)
            log.error("redis_died", pid=self._redis.pid)

            async def start() -> None:
                self._start_redis()

            await _until_it_starts("redis", start)


async def _until_it_starts(name: str, start: Callable[[], Awaitable[None]]) -> None:
    tries = 0
    while True:
        await asyncio.sleep(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)])
        try:
            await start()
            return
        except BridgeError as error:
            log.error("not_started_again", program=name, error=str(error))
            tries += 1


async def _until_gone(pid: int) -> None:
    """Wait for the end of a process that is no child of this loop's (pidfd_open(2))."""
    descriptor, gone, loop = os.pidfd_open(pid), asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
