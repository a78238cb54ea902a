"""The memory that a gateway keeps when all is over, by which loads are compared.

While SIP comes in, resident memory follows the rate of the requests: PJSIP keeps each transaction
for 32 s after its answer (RFC 3261 timers B, F, H and J), which for 1,000 races of calls in half a
minute is 90 MB. That is no leak and hides none: it is waited for.
"""

import asyncio

import psutil

from tests.support.gateways import Gateway
from tests.support.waiting import wait_until

_CALLS_OVER_WITHIN_S = 90.0
_SETTLED_AFTER_S = 32.0 + 60.0 + 10.0 + 3.0
"""The last transaction's end, a full collection of Python's garbage after it, the return of free
memory to the system after that (`bridge/app/loop.py`), and a margin."""


async def settled_memory(gateway: Gateway) -> int:
    """Return a gateway's resident bytes when nothing is left of its calls and requests.

    Raises:
        AssertionError: a call stays.
    """

    async def idle() -> bool:
        return (await gateway.metrics()).value("bridge_calls_active") == 0

    await wait_until(idle, "calls stayed", _CALLS_OVER_WITHIN_S)
    await asyncio.sleep(_SETTLED_AFTER_S)  # the claim is about this time
    return int(psutil.Process(gateway.process.pid).memory_info().rss)
