"""Recognises server events that came before, by their ids. Pure and bounded."""

REMEMBERED = 512
"""Some ten seconds of a fast answer; a repeated event comes soon after its first or not at all."""


class SeenEvents:
    """The latest events of one session.

    Args:
        limit: names remembered.
    """

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._names: dict[str, None] = {}

    def repeated(self, event_id: str | None) -> bool:
        """Note an event; say whether it came before. One without a name never did."""
        if not event_id:
            return False
        if event_id in self._names:
            return True
        self._names[event_id] = None
        if len(self._names) > self._limit:
            del self._names[next(iter(self._names))]
        return False
