"""`bridge call` as a process of its own: PJSIP is one a process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Done:
    """How the command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:  # JSON of many shapes, read by tests only
        lines = self.stdout.strip().splitlines()
        assert lines, self.stderr
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    @property
    def events(self) -> list[dict[str, Any]]:  # JSON of many shapes, read by tests only
        lines = [json.loads(line) for line in self.stdout.splitlines()]
        return [line for line in lines if "event" in line]


class Running:
    """A `bridge call` that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def done(self) -> Done:
        stdout, stderr = await asyncio.wait_for(self.process.communicate(), _TIMEOUT_S)
        assert self.process.returncode is not None
        return Done(self.process.returncode, stdout.decode(), stderr.decode())


@asynccontextmanager
async def calling(*arguments: str) -> AsyncIterator[Running]:
    """Start `bridge call` with these arguments; it is killed if the block leaves it running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bridge", "call"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def call(*arguments: str) -> Done:
    """Run `bridge call` to its end."""
    async with calling(*arguments) as running:
        return await running.done()
