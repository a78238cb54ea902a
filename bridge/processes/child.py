"""`bridge` commands as children: started tied to this process, read line by line, stopped in order.

Children have a session of their own, so Ctrl-C reaches their parent alone and it decides who ends
when. Should it die without a chance to (``kill -9``), the kernel sends them SIGTERM (Linux,
`prctl(2)` PR_SET_PDEATHSIG). All of it runs in the loop of the main thread: the kernel watches the
*thread* that started a child.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from bridge.children import tied_to_parent
from bridge.errors import BridgeError, ConfigError, InfrastructureError

_STOP_WITHIN_S = 12.0
"""More than the gateway's own grace for calls, BYEs and Redis."""
_LONGEST_LINE_BYTES = 4 * 1024 * 1024
_LOG_LINES_SHOWN = 12
_ERROR_PREFIX = "error: "


class Child:
    """A `bridge` command in a process of its own. Use :func:`start_child`, then ``async with``.

    Attributes:
        name: as it is shown: "the gateway".
        pid: its process id.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    async def __aenter__(self) -> "Child":
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.stop()
        finally:  # we may be cancelled while it ends
            self._log.close()

    async def send_order(self, order: Mapping[str, object]) -> None:
        """Write one JSON line to its stdin; it was started with ``takes_orders``.

        Raises:
            ConfigError, InfrastructureError: it has ended.
        """
        if self._process.stdin is None:
            raise AssertionError(f"{self.name} takes no orders")
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):  # uvloop raises the latter for a closed pipe
            await self.wait()
            raise self.failure() from None

    async def line(self) -> str:
        """Return the next line of its stdout, "" at the end."""
        if self._process.stdout is None:
            return ""
        return (await self._process.stdout.readline()).decode(errors="replace")

    async def first_line(self, timeout_s: float) -> str:
        """Return its next line: by the first of them it says that it is ready.

        Raises:
            ConfigError, InfrastructureError: it ended instead, or said nothing in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                line = await self.line()
        except TimeoutError:
            raise InfrastructureError(
                f"{self.name} said nothing within {timeout_s:g} s{self._log_tail()}"
            ) from None
        if line:
            return line
        await self.wait()
        raise self.failure()

    async def report(self, timeout_s: float) -> Mapping[str, object]:
        """Return its next line, a JSON object.

        Raises:
            ConfigError, InfrastructureError: it ended, said nothing in time, or something else.
        """
        line = await self.first_line(timeout_s)
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise InfrastructureError(f"{self.name} did not say what it was to say: {line.strip()}")
        return found

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.returncode is not None

    async def wait(self) -> int:
        """Wait until it has ended; return its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Send SIGTERM and wait until it is gone; SIGKILL if it takes too long."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_WITHIN_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.wait()

    def failure(self) -> BridgeError:
        """Return the error that says why it ended, in its own words where it has some."""
        code = self._process.returncode
        said = [line for line in self._log_lines() if line.startswith(_ERROR_PREFIX)]
        if said:
            kind = ConfigError if code == ConfigError.exit_code else InfrastructureError
            return kind(f"{self.name}: {said[-1].removeprefix(_ERROR_PREFIX)}")
        return InfrastructureError(f"{self.name} ended with status {code}{self._log_tail()}")

    def _log_tail(self) -> str:
        lines = self._log_lines()[-_LOG_LINES_SHOWN:]
        return "; its last words:\n  " + "\n  ".join(lines) if lines else ", without a word"

    def _log_lines(self) -> list[str]:
        # pread: the child writes at the offset that a seek would move.
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - 64 * 1024)
        text = os.pread(self._log.fileno(), size - start, start).decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()]


async def start_child(
    name: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    takes_orders: bool = False,
    log_path: Path | None = None,
) -> Child:
    """Start `bridge` with arguments.

    Args:
        name: as it is shown: "the gateway".
        arguments: subcommand first.
        environ: the whole environment.
        takes_orders: its stdin is ours to write to (:meth:`Child.send_order`).
        log_path: where its stderr is kept; None: until it has ended.

    Raises:
        InfrastructureError: it can't be started.
    """
    # Unnamed, it vanishes with the last process that holds it; the Child closes ours.
    log = log_path.open("w+b") if log_path else tempfile.TemporaryFile()  # noqa: SIM115
    try:
        process = await asyncio.create_subprocess_exec(
            *tied_to_parent([sys.executable, "-m", "bridge", *arguments]),
            stdin=asyncio.subprocess.PIPE if takes_orders else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=dict(environ),
            limit=_LONGEST_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for us; we stop them in order
        )
    except OSError as error:
        log.close()
        raise InfrastructureError(f"{name} can't be started: {error.strerror}") from error
    except BaseException:
        log.close()
        raise
    return Child(name, process, log)
