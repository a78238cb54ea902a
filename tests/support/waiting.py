"""Waiting for something to become true, within a bound: the tests' only poll."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from pathlib import Path

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


async def until_written(path: Path, message: str) -> str:
    """Return a file's text as soon as it holds a whole line; one just created is still empty.

    Raises:
        AssertionError: ``message``, after a minute.
    """
    texts: list[str] = []

    def is_whole() -> bool:
        texts[:] = [path.read_text(encoding="utf-8")] if path.exists() else []
        return bool(texts) and texts[0].endswith("\n")

    await wait_until(is_whole, message)
    return texts[0]
