"""What the lock on calls' RTP costs: the kernel's filter a packet, our looking after it a call.

    python -m tests.bench.bench_rtp_lock [--rounds 40] [--packets 5000]

Datagrams of 172 bytes go over loopback from one socket to another, with the filter of a call that
is locked on its far end and without it, each way first in turn; on loopback the filter runs in the
sender's system call, so one process has all of the CPU. CPU time, not wall time, so a busy machine
does less harm; the median of the rounds. Looking after the locks is measured in a call that talks
(:mod:`tests.telephony.test_rtp_lock` has its stage).
"""

import argparse
import contextlib
import socket
import statistics
import time
from ipaddress import ip_network

from bridge.sip.media_sources import SourceRule
from bridge.telephony import packet_filter

_PACKET = bytes(172)
_DETACH = 27
"""SO_DETACH_FILTER (asm-generic/socket.h)."""


def _pass(sender: socket.socket, receiver: socket.socket, packets: int) -> float:
    """Send and receive so many; return the CPU of one, us."""
    to = receiver.getsockname()
    begun = time.process_time()
    for _ in range(packets):
        sender.sendto(_PACKET, to)
        receiver.recv(2048)
    return (time.process_time() - begun) / packets * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--packets", type=int, default=5_000)
    given = parser.parse_args()
    sender, receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "12")
    for each in (sender, receiver):
        each.bind(("127.0.0.1", 0))
    networks = (ip_network("127.0.0.1/32"),)
    rule = SourceRule(networks, sender.getsockname()[1])
    took: dict[bool, list[float]] = {False: [], True: []}
    for number in range(given.rounds):
        for filtered in (False, True) if number % 2 else (True, False):
            if filtered:
                packet_filter.attach(receiver.fileno(), rule)
            else:
                with contextlib.suppress(FileNotFoundError):  # there is none yet
                    receiver.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
            took[filtered].append(_pass(sender, receiver, given.packets))
    pairs = [on - off for on, off in zip(took[True], took[False], strict=True)]
    without, filtered_us = (statistics.median(took[each]) for each in (False, True))
    low, middle, high = statistics.quantiles(pairs, n=4)
    print(f"us a packet: without {without:.3f}, with {filtered_us:.3f}")
    print(f"of the pairs: median {middle:+.3f}, half of them {low:+.3f} to {high:+.3f}")


if __name__ == "__main__":
    main()
