"""baresip, a SIP phone that we didn't write: its settings, and its control port.

Debian's 1.0.0. It speaks a WAV file, and its `sndfile` module writes down what it hears.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.ports import free_port
from tests.support.programs import need_program
from tests.support.waiting import wait_until

_END_WITHIN_S = 5.0
_MODULES = Path("/usr/lib/baresip/modules")

_CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:0
call_max_calls 1
audio_source aufile,{speech}
audio_player aubridge,nowhere
audio_srate 8000
audio_channels 1
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
rtp_ports 20000-40000
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{port}
snd_path {directory}
"""


class Baresip:
    """A running baresip.

    Attributes:
        events: types of what happened, in order: `CALL_ESTABLISHED`, `CALL_CLOSED`...
    """

    def __init__(
        self, directory: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.events: list[str] = []
        self._directory = directory
        self._reader = reader
        self._writer = writer

    def command(self, name: str, parameters: str = "") -> None:
        """Send one of its own commands: dial, hangup, quit."""
        text = json.dumps({"command": name, "params": parameters, "token": name})
        self._writer.write(f"{len(text)}:{text},".encode())

    async def until(self, event: str) -> None:
        """Wait for an event."""
        await wait_until(lambda: event in self.events, f"no {event} from baresip")

    def heard(self) -> Path:
        """Return the WAV file of what it has decoded; complete when it has quit."""
        (path,) = self._directory.glob("dump-*-dec.wav")
        return path

    async def listen(self) -> None:
        """Take its messages, netstrings of JSON, for ever; cancel to end."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = await self._reader.readuntil(b":")
                message = json.loads(await self._reader.readexactly(int(length[:-1])))
                await self._reader.readexactly(1)
                if message.get("event"):
                    self.events.append(message["type"])


@asynccontextmanager
async def baresip(directory: Path, speech: Path, codec: str) -> AsyncIterator[Baresip]:
    """Run baresip, ready to dial; it has quit at the end of the block.

    Args:
        directory: for its settings and what it hears.
        speech: 8 kHz mono WAV, spoken once from the answer on; it must outlast the call.
        codec: the only one that it offers, PCMU or PCMA.
    """
    program = need_program("baresip", "baresip-core")
    port = free_port()
    process = _start(program, directory, speech, codec, port)
    try:
        reader, writer = await _connect(port, process)
        phone = Baresip(directory, reader, writer)
        listening = asyncio.create_task(phone.listen(), name="baresip")
        try:
            yield phone
            phone.command("quit")
            await wait_until(lambda: process.poll() is not None, "baresip goes on", _END_WITHIN_S)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            writer.close()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _start(
    program: str, directory: Path, speech: Path, codec: str, port: int
) -> "subprocess.Popen[bytes]":
    config = _CONFIG.format(speech=speech, modules=_MODULES, port=port, directory=directory)
    (directory / "config").write_text(config, encoding="ascii")
    account = f"<sip:baresip@127.0.0.1>;regint=0;audio_codecs={codec}\n"
    (directory / "accounts").write_text(account, encoding="ascii")
    (directory / "contacts").write_text("", encoding="ascii")
    with (directory / "baresip.log").open("wb") as log:
        return subprocess.Popen(
            [program, "-4", "-f", str(directory)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


async def _connect(
    port: int, process: "subprocess.Popen[bytes]"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(10.0):
        while True:
            assert process.poll() is None, "baresip ended at once; see baresip.log"
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.02)
