"""An S3 server that shares nothing with the product (nanio), and one that does everything wrong."""

import asyncio
import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import free_port

BUCKET = "calls"
KEY_ID, SECRET = "AKTEST", "a-secret-of-the-test"


@dataclass(slots=True)
class S3Server:
    """A running nanio.

    Attributes:
        url: of its S3 API.
        objects: directory in which each object of the bucket is a file.
        stop: ends it.
    """

    url: str
    objects: Path
    stop: Callable[[], None] = lambda: None

    def settings(self, place: Path, **more: object) -> str:
        """Return `recordings.s3` for it, as JSON; the secret key is in a file."""
        secret = place / "s3.secret"
        secret.write_text(SECRET)
        given = {"bucket": BUCKET, "endpoint": self.url, "access_key_id": KEY_ID}
        return json.dumps({**given, "secret_access_key": {"file": str(secret)}, **more})


@contextmanager
def s3_server(place: Path) -> Iterator[S3Server]:
    """Run a server with an empty bucket; what it keeps is in ``place``, also over restarts."""
    port = free_port()
    (place / BUCKET).mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "nanio", "serve", "--data-dir", str(place))
    where = ("--host", "127.0.0.1", "--port", str(port))
    environ = {"NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET, "PATH": "/usr/bin"}
    with subprocess.Popen(
        (*command, *where), env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Uvicorn running" in line:
                break
        try:
            yield S3Server(f"http://127.0.0.1:{port}", place / BUCKET, process.terminate)
        finally:
            process.terminate()


@dataclass(slots=True)
class HostileS3:
    """An S3 server with a fault.

    Attributes:
        url: of it.
        asked: requests that came, as `METHOD /path`.
        bodies: of PUTs, as far as they were read.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


Fault = Callable[[str, bytes], bytes | None]
"""Takes a method and a body; returns a whole answer, or None to close without one."""


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    """Return an HTTP answer; in headers' names ``_`` stands for ``-``."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {headers.pop('length', str(len(body)))}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def error(status: str, code: str) -> bytes:
    """Return an error as S3 spells it."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    return answer(status, body.encode(), Content_Type="application/xml")


def sha256_of(content: bytes) -> str:
    """Return `x-amz-checksum-sha256` of a content."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


@asynccontextmanager
async def hostile_s3(fault: Fault, read_bytes: int | None = None) -> AsyncIterator[HostileS3]:
    """Serve with a fault; ``read_bytes``: of a body, then the connection is closed."""
    hostile = HostileS3()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split(" ", 2)
            hostile.asked.append(f"{method} {path}")
            length = re.search(r"(?im)^content-length: *(\d+)", head)
            size = int(length.group(1)) if length and method == "PUT" else 0
            if "100-continue" in head.lower():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(size if read_bytes is None else min(size, read_bytes))
            hostile.bodies.append(body)
            said = None if read_bytes is not None and method == "PUT" else fault(method, body)
            if said == b"hang":
                await reader.read()  # until the other side has had enough
            elif said is not None:
                writer.write(said)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        hostile.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield hostile
