"""Reports this process's state to systemd (sd_notify(3)), where it was started with `Type=notify`.

A datagram to the Unix socket that NOTIFY_SOCKET names, an abstract one where it begins with `@`.
Without that variable nothing is sent.
"""

import asyncio
import os
import socket
from collections.abc import Mapping

READY, STOPPING, WATCHDOG = "READY=1", "STOPPING=1", "WATCHDOG=1"

VARIABLES = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
"""Those of sd_notify(3), which children must not get: they would report for their parent."""

_US_PER_S = 1_000_000


def notify(*states: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send states; those that can't be sent are lost: no call depends on them."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto("\n".join(states).encode(), address)
        except OSError:
            return


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how often the watchdog is to hear of us: half its time-out; None if it needn't."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    given = environ.get("WATCHDOG_USEC", "")
    return int(given) / _US_PER_S / 2 if given.isdigit() and int(given) else None


async def keep_watchdog_quiet(environ: Mapping[str, str] = os.environ) -> None:
    """Report until cancelled that this loop runs; return at once where no watchdog is set."""
    interval_s = watchdog_interval_s(environ)
    while interval_s is not None:
        notify(WATCHDOG, environ=environ)
        await asyncio.sleep(interval_s)
