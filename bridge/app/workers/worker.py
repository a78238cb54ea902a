"""One worker's process: started, asked for its health, drained, killed."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bridge.app.workers.plan import WorkerPlan
from bridge.children import tied_to_parent
from bridge.errors import InfrastructureError
from bridge.processes.http import get
from bridge.processes.notify import VARIABLES

_HEALTH_TIMEOUT_S = 2.0
_METRICS_TIMEOUT_S = 5.0
"""Half of Prometheus' `scrape_timeout`: a worker that is late leaves the others' in time."""
_READY_WITHIN_S = 60.0


def worker_command(config: Path | None) -> list[str]:
    """Return the command line of a worker, which is the same for all of them."""
    chosen = () if config is None else ("--config", str(config))
    return [sys.executable, "-m", "bridge", "serve", "--json", "--held", *chosen]


class WorkerProcess:
    """A gateway process behind Kamailio. It drains by itself should this process die.

    Attributes:
        plan: what it has of its own.
        sip_port, probes, max_calls: as it reported when it was ready; ``probes`` is a URL.
        gets_calls: Kamailio sends it new calls.
        is_retired: it was ordered to drain.
    """

    def __init__(self, plan: WorkerPlan, process: asyncio.subprocess.Process) -> None:
        self.plan = plan
        self.pid = process.pid
        self.sip_port = self.max_calls = 0
        self.probes = ""
        self.gets_calls = self.is_retired = False
        self._process = process

    async def until_ready(self) -> None:
        """Wait until it takes calls.

        Raises:
            InfrastructureError: it ended instead, or was silent for 60 s; its log says why.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            self.kill()
            raise InfrastructureError(
                f"worker {self.plan.name} did not start within {_READY_WITHIN_S:g} s"
            ) from None
        if not line:
            status = await self.ended()
            raise InfrastructureError(f"worker {self.plan.name} ended at once, {explain(status)}")
        addresses = json.loads(line)
        self.sip_port = int(addresses["sip"].rsplit(":", 1)[1])
        self.probes, self.max_calls = addresses["probes"], addresses["max_calls"]

    async def ended(self) -> int:
        """Wait for its end, which the kernel reports at once; return its status."""
        return await self._process.wait()

    async def is_healthy(self) -> bool:
        """Return whether its loop answers."""
        try:
            return '"ok"' in await get(f"{self.probes}/healthz", _HEALTH_TIMEOUT_S)
        except (OSError, TimeoutError):
            return False

    async def ask(self, path: str) -> str:
        """Return the body of its answer to an HTTP GET; "" where there is none."""
        try:
            return await get(self.probes + path, _METRICS_TIMEOUT_S)
        except (OSError, TimeoutError, ValueError):
            return ""

    def drain(self) -> None:
        """Have it take no new calls and end with its last one."""
        self.is_retired = True
        self._send(signal.SIGTERM)

    def end_calls(self) -> None:
        """Have it end its calls in order, now."""
        self.is_retired = True
        self._send(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, its calls with it."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


class HeldWorker:
    """A process that has loaded the gateway, and waits to be given the place of a worker.

    Loading takes most of a start's CPU, so a place that falls empty is filled by such a one.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.returncode is not None

    async def release(self, plan: WorkerPlan, *, preflight: bool) -> WorkerProcess:
        """Have it become a worker; that it could not shows when it is waited for."""
        assert self._process.stdin is not None
        order = {
            "worker": plan.name,
            "variables": dict(plan.variables),
            "preflight": preflight,
        }
        with suppress(ConnectionError, RuntimeError):  # uvloop raises the latter
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            await self._process.stdin.drain()
            self._process.stdin.close()
        return WorkerProcess(plan, self._process)

    async def end(self) -> None:
        """End it: it has no calls."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def hold_worker(command: list[str], environ: Mapping[str, str]) -> HeldWorker:
    """Start a process that waits to be given a worker's place; its log goes to our stderr.

    Raises:
        InfrastructureError: it can't be started.
    """
    kept = {name: value for name, value in environ.items() if name not in VARIABLES}
    try:
        process = await asyncio.create_subprocess_exec(
            *tied_to_parent(command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=kept,
            start_new_session=True,  # Ctrl-C is for us, and we drain them in order
        )
    except OSError as error:
        raise InfrastructureError(f"a worker can't be started: {error.strerror}") from error
    return HeldWorker(process)


def explain(status: int) -> str:
    """Return how a process ended, by its status as `subprocess` has it."""
    if status >= 0:
        return f"exit code {status}"
    return signal.Signals(-status).name
