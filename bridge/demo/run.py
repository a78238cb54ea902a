"""The demo: a phone call from end to end, every part in a process of its own.

Redis runs already when :func:`run_demo` begins. It starts the local Realtime server, the gateway
and the caller, follows the call in Redis, and stops them in the reverse order, whatever happens.
Nothing is written to disk but recordings and call records.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bridge.config.models import load_models
from bridge.config.settings import RedisSettings
from bridge.demo.figures import Figures, fetch_figures
from bridge.demo.follow import Watcher
from bridge.demo.reports import CallerReport, caller_report, conclude
from bridge.demo.result import DemoResult
from bridge.demo.verdict import CallerSide
from bridge.demo.view import View
from bridge.errors import ConfigError, InfrastructureError
from bridge.processes.child import Child
from bridge.processes.simulator import place_of, with_backend
from bridge.processes.starter import Starter
from bridge.store.reader import CallReader

ARM = "local"
"""The arm that the demo's gateway has; the dialplans must use it."""

_KEY_VARIABLE = "DEMO_REALTIME_KEY"
_KEY = "sk-sim-demo"
_HOST = "127.0.0.1"
_RECORDED_WITHIN_S = 5.0
"""From the caller's end to the call's end in Redis."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What to demonstrate.

    Attributes:
        dialplans: directory for the gateway.
        script: call script for the caller.
        called: whom the script dials.
        said: what the script says, in order.
        dialect: between gateway and server.
        scenario: YAML for the local Realtime server; None takes its own support line.
        recordings: directory for recordings and records; made if missing.
        call_timeout_s: when a call that doesn't end is given up.
    """

    dialplans: Path
    script: Path
    called: str
    said: Sequence[str]
    dialect: str
    scenario: Path | None
    recordings: Path
    call_timeout_s: float


async def run_demo(
    plan: DemoPlan, redis_url: str, environ: Mapping[str, str], view: View
) -> DemoResult:
    """Place the call and judge it. Cancel to stop everything in order.

    Args:
        plan: what to do.
        redis_url: a running Redis.
        environ: for the children, which don't get its ``BRIDGE_*``: those are for `bridge serve`.
        view: where to show it.

    Raises:
        ConfigError: bad dialplans, script or scenario.
        InfrastructureError: a part did not start, or died.
    """
    recordings = make_directory(plan.recordings)
    async with AsyncExitStack() as stack:
        parts = Parts(plan, recordings, environ, view, stack)
        reader = await stack.enter_async_context(CallReader(RedisSettings(), redis_url))
        earlier = await reader.active()
        simulator, realtime_url = await parts.start_simulator()
        gateway = await parts.start_gateway(realtime_url, redis_url)
        watcher = Watcher(reader, view.call, node=parts.node, earlier=earlier)
        stack.push_async_callback(watcher.aclose)
        watching = watcher.start(plan.call_timeout_s)
        caller = await parts.start_caller(gateway.sip)
        report = await _follow(caller, (simulator, gateway.child), watching, plan.call_timeout_s)
        figures = await fetch_figures(gateway.http)
        view.doing("stopping everything, in order")
    return _judge(plan, parts, watcher, report, figures)


@dataclass(frozen=True, slots=True)
class StartedGateway:
    """A gateway that takes calls.

    Attributes:
        sip: its URI; http: the URL of its HTTP port.
        admin_link: makes the console's first admin, once; None where there is one.
    """

    child: Child
    sip: str
    http: str
    admin_link: str | None


class Parts:
    """Starts a demo's processes; the stack stops them.

    Args:
        plan: what to demonstrate.
        recordings: directory, which is there.
        environ: for the children; its ``BRIDGE_*`` are not theirs.
        view: where to show what is up.
        stack: of the demo's life.
    """

    def __init__(
        self,
        plan: DemoPlan,
        recordings: Path,
        environ: Mapping[str, str],
        view: View,
        stack: AsyncExitStack,
    ) -> None:
        self.node = f"demo-{secrets.token_hex(3)}"
        self.recordings = recordings
        self.caller_recording = recordings / f"{self.node}-caller.wav"
        self._plan = plan
        self._environ = environ
        self._view = view
        self._starter = Starter(environ, stack)

    async def start_simulator(self) -> tuple[Child, str]:
        """Return the local Realtime server and its URL."""
        self._view.doing("starting the local Realtime server")
        scenario = [] if self._plan.scenario is None else ["--scenario", str(self._plan.scenario)]
        child = await self._starter.start(
            "the local Realtime server", "simulate", "--json", *scenario
        )
        url = str((await self._starter.ready(child))["url"])
        self._view.step("Realtime server", f"{url}, with real speech in and out")
        return child, url

    async def start_gateway(self, realtime_url: str, redis_url: str) -> StartedGateway:
        """Return the gateway."""
        self._view.doing("starting the gateway")
        settings = {
            "NODE": self.node,
            "DIALPLANS_DIR": str(self._plan.dialplans),
            "ARMS": json.dumps({ARM: self._arm(realtime_url)}),
            "SIP_HOST": _HOST,
            "SIP_PORT": "0",
            "HTTP_HOST": _HOST,
            "HTTP_PORT": "0",
            "REDIS_URL": redis_url,
            "MEDIA_RECORDINGS_DIR": str(self.recordings),
            "DRAIN_S": "0",  # a demo that is asked to stop does
        }
        child, found = await self._starter.gateway(settings, variables={_KEY_VARIABLE: _KEY})
        sip, http = str(found["sip"]), str(found["http"])
        self._view.step("Gateway", f"{sip}, metrics at {http}/metrics")
        link = found.get("admin_link")
        return StartedGateway(child, sip, http, None if link is None else str(link))

    def _arm(self, realtime_url: str) -> dict[str, object]:
        dialect = self._plan.dialect
        return {
            **with_backend(dialect),
            "dialect": dialect,
            "model": load_models().newest(dialect),
            "url": place_of(realtime_url, dialect),
            "api_key_env": _KEY_VARIABLE,
        }

    async def start_caller(self, sip: str) -> Child:
        """Return the caller, which dials at once."""
        uri = self._uri(sip)
        self._view.step("Caller", f"dials {uri}, script {self._plan.script}")
        self._view.doing("the caller gets ready")
        recording = ("--record", str(self.caller_recording))
        return await self._starter.start("the caller", *self._call(uri), "--events", *recording)

    async def place_call(self, sip: str) -> None:
        """Have a caller place the script's call, to its end, however that comes."""
        async with AsyncExitStack() as stack:
            caller = await Starter(self._environ, stack).start(
                "a caller", *self._call(self._uri(sip))
            )
            while await caller.line():
                pass
            await caller.wait()

    def _call(self, uri: str) -> list[str]:
        return ["call", uri, "--script", str(self._plan.script), "--json"]

    def _uri(self, sip: str) -> str:
        user = quote("".join(self._plan.called.split()), safe="+*")
        return f"sip:{user}@{sip.removeprefix('sip:')}"


async def _follow(
    caller: Child,
    servers: Sequence[Child],
    watching: asyncio.Task[None],
    timeout_s: float,
) -> CallerReport:
    """Wait until the call is over for both sides.

    Raises:
        ConfigError, InfrastructureError: the caller could not call, a server died, Redis was lost.
    """
    reporting = asyncio.create_task(caller_report(caller), name="demo-caller-report")
    alive = {
        asyncio.create_task(server.wait(), name=f"demo-wait-{server.name}"): server
        for server in servers
    }
    try:
        async with asyncio.timeout(timeout_s):
            await _first_end(reporting, alive, watching)
        report = await reporting
        await asyncio.wait([watching], timeout=_RECORDED_WITHIN_S)
        return report
    except TimeoutError:
        raise InfrastructureError(
            f"the call did not end within {timeout_s:g} s", remedy="see the call script's end"
        ) from None
    finally:
        for task in (reporting, *alive):
            task.cancel()
        await asyncio.gather(reporting, *alive, return_exceptions=True)


async def _first_end(
    reporting: asyncio.Task[CallerReport],
    alive: Mapping[asyncio.Task[int], Child],
    watching: asyncio.Task[None],
) -> None:
    """Wait for the report, unless a part that it needs ends before."""
    awaited: set[asyncio.Task[CallerReport] | asyncio.Task[int] | asyncio.Task[None]]
    awaited = {reporting, *alive, watching}
    while not reporting.done():
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        for task, server in alive.items():
            if task.done():
                raise server.failure()
        if watching.done():
            watching.result()
            awaited.discard(watching)


def _judge(
    plan: DemoPlan, parts: Parts, watcher: Watcher, report: CallerReport, figures: Figures
) -> DemoResult:
    if watcher.call_id is None:
        fault = f"the gateway took no call: for the caller it ended as {report.outcome}"
        return DemoResult(None, [*report.unmet, fault], figures)
    return conclude(
        parts.recordings / f"{watcher.call_id}.json",
        CallerSide(plan.said, report.heard, report.agent_heard_ms, report.unmet),
        greeting_latency_ms=watcher.call.greeting_latency_ms,
        caller_recording=parts.caller_recording,
        figures=figures,
    )


def make_directory(path: Path) -> Path:
    """Make the directory for recordings, and return where it is.

    Raises:
        ConfigError: it can't be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the directory for recordings can't be made: {error.strerror}",
            path=str(path),
            remedy="name another with --recordings",
        ) from error
    return path.absolute()
