"""When Python's cycle collector runs: in the loop's thread only, in small steps.

A collection that starts in another thread (PJSIP's clock, a worker) could free pjsua2 objects
there, which crashes PJSIP (`design.md` section 2). So automatic collection is off, and the loop
collects: the young often, everything seldom. What is alive at start is frozen out of it.
"""

import asyncio
import gc

_YOUNG_EVERY_S = 2.0
_FULL_EVERY = 30
"""Young collections between full ones."""


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
    finally:
        gc.enable()
        gc.unfreeze()
