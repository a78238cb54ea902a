"""baresip, a SIP phone that we didn't write: its settings, and its control port.

Debian's 1.0.0. It speaks a WAV file, and its `sndfile` module writes down what it hears. It shows
its certificate to servers and to clients, and looks at nobody else's.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.ports import free_port
from tests.support.programs import need_program
from tests.support.waiting import wait_until

_END_WITHIN_S = 5.0
RATE_HZ = 8000
_MODULES = Path("/usr/lib/baresip/modules")

_CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip_port}
call_max_calls 1
audio_source aufile,{speech}
audio_player aubridge,nowhere
audio_srate {rate_hz}
audio_channels 1
ausrc_srate {rate_hz}
auplay_srate {rate_hz}
ausrc_channels 1
auplay_channels 1
rtp_ports 20000-40000
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{port}
snd_path {directory}
{more}"""

_ANY_SUITE = re.compile(r"SRTP is Enabled \(cryptosuite=(\w+)\)")


@dataclass(frozen=True, slots=True)
class Account:
    """How baresip is reached, and who it says it is.

    Attributes:
        user: name in SIP; `secret` answers challenges for it.
        sip_port: of UDP and TCP, TLS is one above; 0 for any.
        transport: of the calls that it makes.
        encryption: of its media: "", `srtp` where the other has it, too, `srtp-mand` always.
        shown: a file with its certificate and key; None: it neither has one nor listens for TLS.
        answers: whether it takes calls by itself.
    """

    user: str = "baresip"
    secret: str = ""
    sip_port: int = 0
    transport: str = "udp"
    encryption: str = ""
    shown: Path | None = None
    answers: bool = False

    def line(self, codec: str) -> str:
        """Return its line of the file `accounts`."""
        words = [
            f"<sip:{self.user}@127.0.0.1;transport={self.transport}>",
            "regint=0",
            f"audio_codecs={codec}",
        ]
        words += [f"auth_user={self.user}", f"auth_pass={self.secret}"] if self.secret else []
        words += [f"mediaenc={self.encryption}"] if self.encryption else []
        words += ["answermode=auto"] if self.answers else []
        return ";".join(words) + "\n"


_PLAIN = Account()


class Baresip:
    """A running baresip.

    Attributes:
        events: types of what happened, in order: `CALL_ESTABLISHED`, `CALL_CLOSED`...
        closed: what it said of the last call's end, as in `488 Not Acceptable Here`.
        account: its settings.
    """

    def __init__(
        self,
        directory: Path,
        account: Account,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.account = account
        self.events: list[str] = []
        self.closed = ""
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

    def suite(self) -> str:
        """Return what it says that its calls' audio is encrypted with; "" for nothing."""
        found = _ANY_SUITE.findall((self._directory / "baresip.log").read_text("utf-8", "replace"))
        return found[-1] if found else ""

    def heard(self) -> NDArray[np.int16]:
        """Return what it has decoded so far: (n,) samples at `RATE_HZ`.

        The header of its WAV file has the length only when the call is over.
        """
        files = self._directory.glob("dump-*-dec.wav")
        content = b"".join(path.read_bytes() for path in files).partition(b"data")[2]
        return np.frombuffer(content[4 : len(content) // 2 * 2], "<i2")

    async def listen(self) -> None:
        """Take its messages, netstrings of JSON, for ever; cancel to end."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = await self._reader.readuntil(b":")
                message = json.loads(await self._reader.readexactly(int(length[:-1])))
                await self._reader.readexactly(1)
                if message.get("event"):
                    self.events.append(message["type"])
                    if message["type"] == "CALL_CLOSED":
                        self.closed = message.get("param", "")


@asynccontextmanager
async def baresip(
    directory: Path, speech: Path, codec: str, account: Account = _PLAIN
) -> AsyncIterator[Baresip]:
    """Run baresip, ready to dial; it has quit at the end of the block.

    Args:
        directory: for its settings and what it hears.
        speech: 8 kHz mono WAV, spoken once from the answer on; it must outlast the call.
        codec: the only one that it offers, PCMU or PCMA.
        account: its other settings.
    """
    program = need_program("baresip", "baresip-core")
    port = free_port()
    process = _start(program, directory, speech, port, codec, account)
    try:
        reader, writer = await _connect(port, process)
        phone = Baresip(directory, account, reader, writer)
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
    program: str, directory: Path, speech: Path, port: int, codec: str, account: Account
) -> "subprocess.Popen[bytes]":
    config = _CONFIG.format(
        speech=speech,
        modules=_MODULES,
        port=port,
        directory=directory,
        rate_hz=RATE_HZ,
        sip_port=account.sip_port,
        more=f"sip_certificate {account.shown}\n" if account.shown else "",
    )
    (directory / "config").write_text(config, encoding="ascii")
    (directory / "accounts").write_text(account.line(codec), encoding="ascii")
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
