"""Paces the begin of calls, so that PJSIP's table of sockets (64 in the pip wheel) never fills.

Its ioqueue of media (`pj/ioqueue_select.c`) has 64 places. A call takes two, and a place is free
again half a second after its socket was closed (`PJ_IOQUEUE_KEY_FREE_DELAY`). With assertions, as
the wheel is built, PJSIP ends the process when none is left: 31 calls within half a second do it.
"""

import ctypes
from collections import deque
from collections.abc import Callable

from bridge.clock import NS_PER_S, Clock

_PLACES = 64
_A_CALL = 2
_SPARE_CALLS = 4
_KEPT_NS = NS_PER_S
"""Twice PJSIP's delay: places are looked through at its next event only."""


class SocketPacing:
    """Counts the calls whose sockets may still have their places.

    Args:
        held: returns the calls that are there now.
        limited: the table is small.
    """

    def __init__(self, held: Callable[[], int], clock: Clock, *, limited: bool) -> None:
        self._held = held
        self._clock = clock
        self._most = _PLACES // _A_CALL - _SPARE_CALLS if limited else None
        self._begun_ns: deque[int] = deque()

    def admits(self) -> bool:
        """Return whether one more call may begin, and count it if so."""
        if self._most is None:
            return True
        now_ns = self._clock.now_ns()
        while self._begun_ns and now_ns - self._begun_ns[0] > _KEPT_NS:
            self._begun_ns.popleft()
        if self._held() + len(self._begun_ns) >= self._most:
            return False
        self._begun_ns.append(now_ns)
        return True


def has_few_places(lib: ctypes.CDLL) -> bool:
    """Return whether the loaded PJSIP waits for its sockets by `select`."""
    lib.pj_ioqueue_name.restype = ctypes.c_char_p
    name: bytes = lib.pj_ioqueue_name()
    return name.startswith(b"select")
