"""SIPp, a SIP load generator that we didn't write (Debian: sip-tester)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from tests.support.ports import free_port
from tests.support.programs import need_program

_TIMEOUT_S = 40


class Sipp:
    """One run of SIPp."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self._process = process
        self._output = output

    async def succeeded(self) -> None:
        """Wait for its end; fail unless every call went as its scenario says (exit code 0)."""
        code = await asyncio.wait_for(self._process.wait(), _TIMEOUT_S + 10)
        assert code == 0, self._output.read_text(encoding="utf-8", errors="replace")[-4000:]


@asynccontextmanager
async def sipp(
    directory: Path,
    sip_port: int,
    scenario: Path,
    *,
    calls: int = 1,
    talk_ms: int = 0,
    keys: Mapping[str, str] = MappingProxyType({}),
    options: tuple[str, ...] = (),
) -> AsyncIterator[Sipp]:
    """Start SIPp against loopback; kill it at the end of the block if it still runs.

    Args:
        directory: for its output.
        sip_port: where it calls.
        scenario: SIPp's XML file.
        calls: all at once.
        talk_ms: how long the scenario pauses between ACK and BYE.
        keys: for the scenario's `[names]`.
        options: of its command line, beside these.
    """
    program = need_program("sipp", "sip-tester")
    given = [word for name, value in keys.items() for word in ("-key", name, value)]
    output = directory / f"sipp-{scenario.stem}.log"
    arguments = [
        f"127.0.0.1:{sip_port}",
        *("-sf", str(scenario)),
        *("-i", "127.0.0.1", "-p", str(free_port()), "-mp", str(free_port())),
        *("-d", str(talk_ms)),
        *("-m", str(calls), "-l", str(calls), "-r", "50"),
        *("-timeout", f"{_TIMEOUT_S}s", "-timeout_error"),
        *("-rtp_echo", "-nostdin"),
        *("-trace_err", "-error_file", str(directory / f"sipp-{scenario.stem}.errors")),
        *given,
        *options,
    ]
    with output.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield Sipp(process, output)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
