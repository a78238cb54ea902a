"""The watchers of one call, by name: they listen, or have just coached its agent."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from bridge.routing.supervisor_verbs import VERBS

LISTENS = "listens"

COACHED_S = 60.0
"""Coaching is over at once, and what it changes is heard in the next turns: so long somebody else
sees whose it was, listening or not."""


class Present(Protocol):
    """A supervisor who hears the call, on a phone or in a browser."""

    by: str
    private: bool


class Watchers:
    """Watchers of one call.

    Args:
        present: gives those who hear the call now. Those who do it privately are not published;
            what they whisper or have said has their name.
        publish: takes what each does, by name, whenever that is other than before.
        coached_s: how long coaching counts.
    """

    def __init__(
        self,
        present: Callable[[], Iterable[Present]],
        publish: Callable[[Mapping[str, str]], None],
        *,
        coached_s: float = COACHED_S,
    ) -> None:
        self._present = present
        self._publish = publish
        self._coached_s = coached_s
        self._coaching: dict[str, tuple[str, asyncio.TimerHandle]] = {}
        self._published: Mapping[str, str] = {}
        self._over = False

    def changed(self) -> None:
        """Learn that somebody has come or gone."""
        does = {each.by: LISTENS for each in self._present() if not each.private}
        does |= {by: what for by, (what, _) in self._coaching.items()}
        if does != self._published:
            self._published = does
            self._publish(does)

    def acted(self, by: str, action: str) -> None:
        """Learn that somebody has taken an action; verbs that are watched show for a while."""
        does = VERBS[action].watched_as
        if self._over or not does:
            return
        self._stop_waiting(by)
        loop = asyncio.get_running_loop()
        self._coaching[by] = does, loop.call_later(self._coached_s, self._forget, by)
        self.changed()

    def close(self) -> None:
        """Publish nothing any more: the call's audio is over, and its record says the rest."""
        self._over = True
        self._present, self._publish = tuple, _nobody
        for by in tuple(self._coaching):
            self._stop_waiting(by)

    def _forget(self, by: str) -> None:
        self._stop_waiting(by)
        self.changed()

    def _stop_waiting(self, by: str) -> None:
        _, waiting = self._coaching.pop(by, (None, None))
        if waiting is not None:
            waiting.cancel()


def _nobody(does: Mapping[str, str]) -> None:
    """Drop what is published of a call that is over."""
