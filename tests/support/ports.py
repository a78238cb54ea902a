"""Draws ports of loopback for programs that can't be asked which one they took."""

import random
import socket

_DRAWN_FROM = range(10_000, 20_000, 4)
"""Outside the kernel's own (32768 and above), which it may give away before a port is used."""

_KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)

_chance = random.SystemRandom()
"""Not the common one: a test's seed would draw the same ports in each of pytest's workers."""


def free_port() -> int:
    """Draw a port of 127.0.0.1 that is free for UDP and TCP, and so are the three above it.

    It is even: what speaks RTP takes the odd one above it for RTCP, and SIPp two more for video.
    """
    while True:
        port = _chance.choice(_DRAWN_FROM)
        if all(_is_free(port + above, kind) for above in range(4) for kind in _KINDS):
            return port


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
