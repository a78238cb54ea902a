"""Makes the nonces of digest challenges, and sees to it that each is used as RFC 7616 says. Pure.

A nonce carries its time and a signature over that and the asker's address, so a challenge costs no
memory. Only nonces that were answered rightly are remembered, with the counts (`nc`) of their uses.
"""

import enum
import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass, field

from bridge.clock import NS_PER_MS

NONCE_LIFE_S = 300.0
"""A phone that calls again within it need not be challenged anew."""

MOST_NONCES = 4_096
"""Remembered; the one that was used least lately is forgotten, and those as old with it."""

_WINDOW = 32
"""Uses may overtake each other on UDP by so many."""

_COPIES_NS = 32_000 * NS_PER_MS
"""A request may be repeated so long (64 * T1, RFC 3261 section 17.1.1.2), and its transaction takes
the copies."""

_NONCE = re.compile(r"([0-9a-f]{12})([0-9a-f]{16})([0-9a-f]{32})")


class NonceUse(enum.Enum):
    """The standing of a nonce and its count."""

    FIRST = enum.auto()
    COPY = enum.auto()
    """The same request once more: a retransmission."""
    REPLAY = enum.auto()
    STALE = enum.auto()


@dataclass(slots=True)
class _Uses:
    highest: int = 0
    seen: dict[int, tuple[str, int]] = field(default_factory=dict)
    """By count: the request, and when it came first."""


class Nonces:
    """Makes nonces and checks them.

    Args:
        key: signs them; secret, and new with each start.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._used: OrderedDict[str, _Uses] = OrderedDict()
        self._forgotten_ms = -1
        self._made = 0

    def make(self, host: str, now_ns: int) -> str:
        """Make a nonce, unlike all others, for the address that asks; the time is monotonic."""
        self._made += 1
        body = f"{now_ns // NS_PER_MS:012x}{self._made:016x}"
        return body + self._signature(body, host)

    def is_fresh(self, nonce: str, host: str, now_ns: int) -> bool:
        """Return whether a nonce was made here, for this address, and not long ago."""
        found = _NONCE.fullmatch(nonce)
        if found is None or not hmac.compare_digest(
            found[3], self._signature(found[1] + found[2], host)
        ):
            return False
        made_ms = int(found[1], 16)
        if now_ns // NS_PER_MS - made_ms > NONCE_LIFE_S * 1000:
            return False
        return nonce in self._used or made_ms > self._forgotten_ms

    def use(self, nonce: str, count: int, request: str, now_ns: int) -> NonceUse:
        """Count a use of a fresh nonce whose response was right.

        Args:
            count: the client's (`nc`).
            request: identifies the request; the same in its retransmissions.
        """
        uses = self._used.setdefault(nonce, _Uses())
        self._used.move_to_end(nonce)
        before = uses.seen.get(count)
        if before is not None:
            is_copy = before[0] == request and now_ns - before[1] <= _COPIES_NS
            return NonceUse.COPY if is_copy else NonceUse.REPLAY
        if count <= uses.highest - _WINDOW:
            return NonceUse.REPLAY
        uses.highest = max(uses.highest, count)
        uses.seen[count] = (request, now_ns)
        for old in [each for each in uses.seen if each <= uses.highest - _WINDOW]:
            del uses.seen[old]
        self._forget_oldest()
        return NonceUse.FIRST

    def _forget_oldest(self) -> None:
        while len(self._used) > MOST_NONCES:
            nonce, _ = self._used.popitem(last=False)
            self._forgotten_ms = max(self._forgotten_ms, int(nonce[:12], 16))

    def _signature(self, body: str, host: str) -> str:
        return hmac.new(self._key, f"{body}:{host}".encode(), hashlib.sha256).hexdigest()[:32]
