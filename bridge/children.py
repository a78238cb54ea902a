"""Child processes that end when their parent does, however it ends (`kill -9` included)."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# Runs in the child before the command takes the process over: `preexec_fn` is not safe once threads
# run. On Linux alone; elsewhere a killed parent leaves its children behind.
_TIE_TO_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone already")
os.execv(sys.argv[2], sys.argv[2:])
"""


def tied_to_parent(command: Sequence[str]) -> list[str]:
    """Return the command line that runs ``command`` as a child which gets SIGTERM when we end.

    The kernel ties the child to the *thread* that starts it: start it from one that lives on.

    Args:
        command: absolute path of the program, and its arguments.
    """
    return [sys.executable, "-I", "-S", "-c", _TIE_TO_PARENT, str(os.getpid()), *command]


def waited_ns(thread: int) -> int | None:
    """Return how long a thread could have run and no CPU was free for it; None where nobody counts.

    Linux does (`/proc/<pid>/schedstat`, Documentation/scheduler/sched-stats.rst).

    Args:
        thread: its id; a process's id is that of its main thread.
    """
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{thread}/schedstat").read_text().split()[1])
    return None
