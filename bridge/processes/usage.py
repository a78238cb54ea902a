"""Reads the CPU time, memory, files and threads of a process from the kernel (Linux, proc(5))."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import InfrastructureError

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_AFTER_NAME = 2
"""Fields of `stat` that lie before the first one after the name, which may hold spaces."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """The CPU time and memory of a process at one moment.

    Attributes:
        cpu_s: user and system time of all its threads since it began; resolution 10 ms.
        rss_bytes: memory that is resident.
    """

    cpu_s: float
    rss_bytes: int


def usage_of(pid: int) -> ProcessUsage:
    """Read a process's counts.

    Raises:
        InfrastructureError: it is gone, or there is no proc(5) here.
    """
    with _looking_at(pid) as place:
        stat = (place / "stat").read_text().rpartition(")")[2].split()
        pages = int((place / "statm").read_text().split()[1])
    user, system = (int(stat[field - 1 - _AFTER_NAME]) for field in (14, 15))
    return ProcessUsage((user + system) / _TICKS_PER_S, pages * _PAGE_BYTES)


@dataclass(frozen=True, slots=True)
class Handles:
    """The descriptors and threads that a process holds at one moment.

    Attributes:
        files: file descriptors that are no sockets.
        sockets: but for those of Unix; ``unix_sockets``: those.
        threads: its first one included.
    """

    files: int
    sockets: int
    unix_sockets: int
    threads: int


def handles_of(pid: int) -> Handles:
    """Count what a process holds.

    Raises:
        InfrastructureError: it is gone, or there is no proc(5) here.
    """
    unix = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    files = sockets = unix_sockets = 0
    with _looking_at(pid) as place:
        for descriptor in list((place / "fd").iterdir()):
            try:
                target = os.readlink(descriptor)
            except FileNotFoundError:  # closed meanwhile
                continue
            if not target.startswith("socket:["):
                files += 1
            elif target.removeprefix("socket:[").rstrip("]") in unix:
                unix_sockets += 1
            else:
                sockets += 1
        threads = len(list((place / "task").iterdir()))
    return Handles(files, sockets, unix_sockets, threads)


@contextmanager
def _looking_at(pid: int) -> Iterator[Path]:
    try:
        yield Path("/proc") / str(pid)
    except OSError as error:
        raise InfrastructureError(
            f"process {pid} cannot be looked at: {error.strerror}",
            remedy="figures need Linux, and a process that lives",
        ) from error
