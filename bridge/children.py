"""Child processes: they end when their parent does (`kill -9` included), and wait for a CPU."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bridge.clock import NS_PER_S

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


def thread_waits_ns(process: int) -> Iterator[tuple[int, str, int]]:
    """Yield id, name and wait (:func:`waited_ns`) of each thread of a process; none if it is gone.

    Sound has threads of its own: a main thread that never waits says nothing about them.
    """
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                name, thread = (task / "comm").read_text().strip(), int(task.name)
                if (waited := waited_ns(thread)) is not None:
                    yield thread, name, waited


def stolen_ns() -> int:
    """Return how long the hypervisor had CPUs of ours since the boot, all of them together.

    No thread's wait has it in it: to the kernel they ran (`/proc/stat`, proc_stat(5): steal).
    """
    with suppress(OSError, ValueError, IndexError), Path("/proc/stat").open() as stat:
        return int(stat.readline().split()[8]) * NS_PER_S // os.sysconf("SC_CLK_TCK")
    return 0
