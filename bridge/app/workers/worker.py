"""One worker's process: started, asked for its health, told to drain, killed."""

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
_READY_WITHIN_S = 60.0


def worker_command(plan: WorkerPlan, config: Path | None, *, preflight: bool) -> list[str]:
    """Return the command line of a worker."""
    return [
        *(sys.executable, "-m", "bridge", "serve", "--json", "--worker", plan.name),
        *(() if config is None else ("--config", str(config))),
        *(() if preflight else ("--no-preflight",)),
    ]


class Worker:
    """A gateway process behind Kamailio. It drains by itself should this process die.

    Attributes:
        plan: what it has of its own.
        sip_port, probes, max_calls: as it said when it was ready; ``probes`` is a URL.
        is_retired: it was told to drain.
    """

    def __init__(self, plan: WorkerPlan, process: asyncio.subprocess.Process) -> None:
        self.plan = plan
        self.pid = process.pid
        self.sip_port = self.max_calls = 0
        self.probes = ""
        self.is_retired = False
        self._process = process

    async def until_ready(self) -> None:
        """Wait until it takes calls.

        Raises:
            InfrastructureError: it ended instead, or said nothing in time; its own log says why.
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
        said = json.loads(line)
        self.sip_port = int(said["sip"].rsplit(":", 1)[1])
        self.probes, self.max_calls = said["probes"], said["max_calls"]

    async def ended(self) -> int:
        """Wait for its end, of which the kernel tells at once; return its status."""
        return await self._process.wait()

    async def is_healthy(self) -> bool:
        """Return whether its loop answers."""
        try:
            return '"ok"' in await get(f"{self.probes}/healthz", _HEALTH_TIMEOUT_S)
        except (OSError, TimeoutError):
            return False

    async def ask(self, path: str) -> str:
        """Return what it answers to an HTTP GET; "" where it doesn't."""
        try:
            return await get(self.probes + path, _HEALTH_TIMEOUT_S)
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


async def start_worker(plan: WorkerPlan, command: list[str], environ: Mapping[str, str]) -> Worker:
    """Start a worker's process, whose log goes where ours goes.

    Raises:
        InfrastructureError: it can't be started.
    """
    kept = {name: value for name, value in environ.items() if name not in VARIABLES}
    try:
        process = await asyncio.create_subprocess_exec(
            *tied_to_parent(command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**kept, **plan.variables},
            start_new_session=True,  # Ctrl-C is for us, and we drain them in order
        )
    except OSError as error:
        raise InfrastructureError(
            f"worker {plan.name} can't be started: {error.strerror}"
        ) from error
    return Worker(plan, process)


def explain(status: int) -> str:
    """Return how a process ended, by its status as `subprocess` has it."""
    if status >= 0:
        return f"exit code {status}"
    return signal.Signals(-status).name
