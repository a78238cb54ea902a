"""Ways to break one thing of a machine under a process: disk, clock, CPU, certificates, Redis."""

import asyncio
import mmap
import os
import resource
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.support.programs import need_program


def mount(*arguments: str) -> bool:
    """Run `mount`; return whether it was allowed."""
    return subprocess.run(("mount", *arguments), check=False, capture_output=True).returncode == 0


@contextmanager
def small_disk(place: Path, size: str = "4m") -> Iterator[Path]:
    """Mount a file system of a size of its own at a directory; skip where that is forbidden."""
    place.mkdir(parents=True, exist_ok=True)
    if not mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)):
        pytest.skip("this user may not mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(("umount", "-l", str(place)), check=True)


def fill(place: Path) -> None:
    """Write until nothing more fits."""
    with suppress(OSError), (place / "filler").open("ab", buffering=0) as filler:
        while True:
            filler.write(bytes(1024))


@contextmanager
def no_new_descriptor(pid: int) -> Iterator[None]:
    """Let a process open nothing more: those that it has stay its own."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(each) for each in os.listdir(f"/proc/{pid}/fd")}
    first_free = next(number for number in count() if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


_CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *set_by_s;

static long by(void) {
    if (!set_by_s) {
        int file = open(getenv("CLOCK_SET_BY"), O_RDONLY);
        set_by_s = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
        close(file);
    }
    return *set_by_s;
}

int clock_gettime(clockid_t which, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, which, at);
    if (!failed && which == CLOCK_REALTIME) at->tv_sec += by();
    return failed;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class WallClock:
    """The wall clock of whatever runs with ``environ``, to be set while it runs.

    The C library's functions are replaced (`ld.so(8)`, LD_PRELOAD); the monotonic clock stays.
    """

    def __init__(self, directory: Path) -> None:
        source, library = directory / "clock.c", directory / "clock.so"
        source.write_text(_CLOCK)
        compiler = need_program("cc", "gcc")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        self._shift = directory / "clock.shift"
        self._shift.write_bytes(struct.pack("l", 0))
        self.environ = {"LD_PRELOAD": str(library), "CLOCK_SET_BY": str(self._shift)}

    def set_by(self, seconds: int) -> None:
        """Put the clock forward, or back, by so much from what it really is."""
        with self._shift.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
            shared[:8] = struct.pack("l", seconds)


@contextmanager
def taken_cpu(pid: int, burners: int) -> Iterator[None]:
    """Keep a process on one core, together with so many others that compute without a pause."""
    core = min(os.sched_getaffinity(0))
    tasks = [int(each) for each in os.listdir(f"/proc/{pid}/task")]
    before = os.sched_getaffinity(pid)
    command = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile 1: 0"]
    # A session each: the kernel gives each session the same share (`sched(7)`, autogroup).
    burning = [subprocess.Popen(command, start_new_session=True) for _ in range(burners)]
    try:
        for each in tasks:
            os.sched_setaffinity(each, {core})
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()
        for each in tasks:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(each, before)


@contextmanager
def piped(to_port: int, context: ssl.SSLContext | None = None) -> Iterator["Pipe"]:
    """Serve a TCP port of loopback in front of another one, in a thread: whoever starts a gateway
    holds the loop meanwhile.

    Args:
        to_port: where it leads.
        context: of the TLS that is spoken in front; None for none.
    """
    pipe = Pipe(to_port)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="pipe", daemon=True)
    thread.start()
    opening = asyncio.start_server(pipe.serve, "127.0.0.1", 0, ssl=context)
    server = asyncio.run_coroutine_threadsafe(opening, loop).result()
    pipe.port = server.sockets[0].getsockname()[1]
    try:
        yield pipe
    finally:
        asyncio.run_coroutine_threadsafe(pipe.close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Pipe:
    """Connections that are passed on.

    Attributes:
        port: where it listens.
        delay_s: how late what the far side says is passed on; may be changed.
    """

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        self._serving: set[asyncio.Task[None]] = set()
        self._to_port = to_port
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
            try:
                await asyncio.gather(
                    self._copy(reader, far_writer, late=False),
                    self._copy(far_reader, writer, late=True),
                )
            finally:
                far_writer.transport.abort()
        writer.transport.abort()
        self._serving.discard(task)

    async def close(self, server: asyncio.Server) -> None:
        """Take no more, and break all connections."""
        server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool
    ) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65_536):
                if late and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
        with suppress(RuntimeError):
            writer.close()
