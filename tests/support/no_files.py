"""A process in which no file or socket can be opened for a while."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Lower this process's soft limit to what it has open, and fill the gaps below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = max(int(each) for each in os.listdir("/dev/fd"))
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, hard))
    try:
        while True:
            try:
                taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)
