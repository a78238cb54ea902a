"""Who watches one call, by name: they listen, or have just whispered to its agent."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

LISTENS, WHISPERS = "listens", "whispers"

WHISPERED_S = 60.0
"""A whisper is over at once, and what it changes is heard in the next turns: so long somebody else
sees whose it was, listening or not."""


class Present(Protocol):
    """Somebody who hears the call, on whatever."""

    by: str
    private: bool


class Watchers:
    """Watchers of one call.

    Args:
        present: gives those who hear the call now. Those who do it privately are told to nobody;
            what they whisper has their name.
        tell: takes what each does, by name, whenever that is other than before.
        whispered_s: how long a whisper counts.
    """

    def __init__(
        self,
        present: Callable[[], Iterable[Present]],
        tell: Callable[[Mapping[str, str]], None],
        *,
        whispered_s: float = WHISPERED_S,
    ) -> None:
        self._present = present
        self._tell = tell
        self._whispered_s = whispered_s
        self._whispering: dict[str, asyncio.TimerHandle] = {}
        self._told: Mapping[str, str] = {}
        self._over = False

    def changed(self) -> None:
        """Learn that somebody has come or gone."""
        does = {each.by: LISTENS for each in self._present() if not each.private}
        does |= dict.fromkeys(self._whispering, WHISPERS)
        if does != self._told:
            self._told = does
            self._tell(does)

    def whispered(self, by: str) -> None:
        """Learn that somebody has whispered, or had the agent say something."""
        if self._over:
            return
        self._stop_waiting(by)
        loop = asyncio.get_running_loop()
        self._whispering[by] = loop.call_later(self._whispered_s, self._forget, by)
        self.changed()

    def close(self) -> None:
        """Tell nothing any more: the call's audio is over, and its record says the rest."""
        self._over = True
        self._present, self._tell = tuple, _nobody
        for by in tuple(self._whispering):
            self._stop_waiting(by)

    def _forget(self, by: str) -> None:
        self._stop_waiting(by)
        self.changed()

    def _stop_waiting(self, by: str) -> None:
        waiting = self._whispering.pop(by, None)
        if waiting is not None:
            waiting.cancel()


def _nobody(does: Mapping[str, str]) -> None:
    """Take what is told of a call that is over."""
