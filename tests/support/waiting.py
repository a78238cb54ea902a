"""Waiting for something to become true, within a bound: the tests' only poll."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

_POLL_S = 0.005

PATIENCE_S = 60.0
"""With what should happen at once: a wait is no check of time, and a busy machine is slow."""


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    message: str = "what was awaited did not happen",
    timeout_s: float = PATIENCE_S,
) -> None:
    """Return as soon as ``predicate`` returns (or its awaitable gives) something true.

    Raises:
        AssertionError: ``message``, after ``timeout_s``.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                result = predicate()
                if await result if isawaitable(result) else result:
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise AssertionError(f"{message} within {timeout_s:g} s") from None
