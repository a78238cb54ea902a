"""Runs Python's cycle collector in the loop's thread only, in small steps.

A collection that starts in another thread (PJSIP's clock, a worker) could free pjsua2 objects
there, which crashes PJSIP (`ARCHITECTURE.md` section 2). So automatic collection is off, and the
loop collects: the young often, everything seldom. What is alive at start is frozen out of it.

The C library's free memory goes back to the system, too. PJSIP keeps 15 KB for each refused INVITE
that nobody acknowledges, for 32 s (RFC 3261 section 17.2.1, timer H); after a flood of them glibc
would keep what lies between other allocations for ever.
"""

import asyncio
import ctypes
import gc

_YOUNG_EVERY_S = 2.0
_FULL_EVERY = 30
"""Young collections between full ones."""
_TRIM_EVERY = 5
"""Young collections between trims; one takes 0.1 ms, and 1.5 ms where it frees 14 MB (measured)."""


async def collect_garbage_in_loop() -> None:
    """Collect for ever; cancel to end. Automatic collection is back on afterwards."""
    gc.collect()
    gc.freeze()
    gc.disable()
    rounds = 0
    try:
        while True:
            await asyncio.sleep(_YOUNG_EVERY_S)
            rounds += 1
            gc.collect(2 if rounds % _FULL_EVERY == 0 else 1)
            if rounds % _TRIM_EVERY == 0:
                _return_free_memory()
    finally:
        gc.enable()
        gc.unfreeze()


def _return_free_memory() -> None:
    """Give whole pages of freed memory back to the system, where the C library can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
