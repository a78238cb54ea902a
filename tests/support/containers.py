"""Programs as a container has them: a root of their own that is read-only, volumes, a network.

The root is a directory (a mounted image's, or `/` for programs of this machine), under an overlay
in memory, so that it stays as it is. Needs root, and Linux; the network has loopback alone, so that
programs have the ports that their files say, whatever else runs on the machine.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from bridge.children import tied_to_parent
from tests.support.programs import need_program

_T = TypeVar("_T")

_CLONE_NEWNET = 0x40000000
"""sched.h."""

_ENTER = """
set -eu
place=$1 lower=$2 workdir=$3 user=$4
shift 4
mount --make-rprivate /
mount -t tmpfs tmpfs "$place"
root=$place/root
mkdir "$place/upper" "$place/work" "$root"
mount -t overlay -o "lowerdir=$lower,upperdir=$place/upper,workdir=$place/work" overlay "$root"
while [ "$1" != -- ]; do
    case $1 in
        tmpfs) mkdir -p "$root$2" && mount -t tmpfs -o mode=1777 tmpfs "$root$2" ;;
        *)
            if [ -d "$3" ]; then mkdir -p "$root$2"; else
                mkdir -p "$(dirname "$root$2")" && touch "$root$2"
            fi
            mount --bind "$3" "$root$2"
            if [ "$1" = ro ]; then mount -o remount,bind,ro "$root$2"; fi
            ;;
    esac
    shift 3
done
shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,ro "$root"
exec chroot "$root" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups \
    --bounding-set=-all --inh-caps=-all --no-new-privs \
    sh -c 'cd "$0" && exec "$@"' "$workdir" "$@"
"""


_HOLD = "ip link set lo up && echo up && exec sleep infinity"


def _program(name: str) -> str:
    return need_program(name, "util-linux")


@dataclass(frozen=True, slots=True)
class Mount:
    """What a container has at a path of its own.

    Attributes:
        inside: the path there.
        outside: file or directory of this machine's; None for an empty one in memory.
        writable: else it is read-only.
    """

    inside: str
    outside: Path | None = None
    writable: bool = False

    def words(self) -> tuple[str, str, str]:
        """Return it as `_ENTER` takes it."""
        if self.outside is None:
            return "tmpfs", self.inside, "-"
        return "rw" if self.writable else "ro", self.inside, str(self.outside)


@dataclass(frozen=True, slots=True)
class Contained:
    """One program in its container.

    Attributes:
        command: with its arguments.
        root: directory that it has as `/`.
        user: numbers of user and group, `10001:10001`.
        mounts: beside its root.
        environment: all of it.
        workdir: inside.
    """

    command: Sequence[str]
    root: Path = Path("/")
    user: str = "0:0"
    mounts: Sequence[Mount] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"


class Network:
    """A network of its own, with loopback alone; what runs in it ends with it."""

    def __init__(self, holder: int, place: Path) -> None:
        self._namespace = f"/proc/{holder}/ns/net"
        self._place = place
        self._thread = ThreadPoolExecutor(1, initializer=self._join)

    def _join(self) -> None:
        """Bring the calling thread into the network: sockets that it makes are there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open(self._namespace, "rb") as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def inside(self, act: Callable[[], _T]) -> _T:
        """Have a thread in the network do something, and return what it returns."""
        return self._thread.submit(act).result()

    def start(self, program: Contained, log: Path) -> "subprocess.Popen[bytes]":
        """Start a program in the network; what it prints goes to a file."""
        place = self._place / f"root-{len(list(self._place.iterdir()))}"
        place.mkdir()
        words = [word for mount in program.mounts for word in mount.words()]
        with log.open("wb") as output:
            return subprocess.Popen(
                tied_to_parent(
                    [
                        *(_program("nsenter"), f"--net={self._namespace}"),
                        *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                        *("sh", "-c", _ENTER, "sh", str(place), str(program.root)),
                        *(program.workdir, program.user, *words, "--"),
                        *("env", "-i"),
                        *(f"{name}={value}" for name, value in program.environment.items()),
                        *program.command,
                    ]
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


@contextmanager
def own_network(place: Path) -> Iterator[Network]:
    """Make a network; all that was started in it is gone at the end.

    Args:
        place: an empty directory for the roots of what runs.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a network of its own needs root, and Linux")
    holder = subprocess.Popen(
        tied_to_parent([_program("unshare"), "--net", "sh", "-c", _HOLD]),
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    network = None
    try:
        assert holder.stdout.readline() == b"up\n", "no network namespace can be made"
        network = Network(holder.pid, place)
        yield network
    finally:
        if network is not None:
            network.close()
        holder.kill()
        holder.wait()
        holder.stdout.close()


@contextmanager
def contained(
    network: Network, program: Contained, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in a network, and end it with the block at the latest."""
    process = network.start(program, log)
    try:
        yield process
    finally:
        process.kill()  # unshare's --kill-child ends all that it has become
        process.wait()
