"""Serves one reading to all who ask for the same at about the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Caches one reading for a moment; all who ask while it is made wait for that one.

    Args:
        read: reads. What it raises is for the one who asked; the next one tries again.
        for_s: how long a reading is good.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], for_s: float) -> None:
        self._read = read
        self._for_s = for_s
        self._turn = asyncio.Lock()
        self._held: tuple[float, T] | None = None

    @property
    def due_in_s(self) -> float:
        """How long the last reading is still good; 0 for one that is not."""
        if self._held is None:
            return 0.0
        return max(0.0, self._held[0] + self._for_s - asyncio.get_running_loop().time())

    async def get(self) -> T:
        """Return what was read at most ``for_s`` ago."""
        async with self._turn:
            if self._held is None or not self.due_in_s:
                found = await self._read()
                self._held = (asyncio.get_running_loop().time(), found)
            return self._held[1]

    def forget(self) -> None:
        """Have the next one who asks get a new reading."""
        self._held = None
