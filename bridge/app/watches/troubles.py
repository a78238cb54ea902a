"""The board of this node's troubles, in the same words for `/readyz`, Redis and the console.

A trouble of which calls may know nothing: they are taken all the same. What keeps them out is
:mod:`bridge.app.door.intake`'s.
"""

from collections.abc import Sequence


class Troubles:
    """Collects them from all who see one, each under a name of its own."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def put(self, name: str, words: str | None) -> bool:
        """Take a trouble in the place of an earlier one of that name; None where it is over.

        Returns:
            Whether that is new.
        """
        before = self._words.get(name)
        if words is None:
            self._words.pop(name, None)
        else:
            self._words[name] = words
        return before != words

    @property
    def words(self) -> Sequence[str]:
        """All of them, sorted; no secret and nobody's number is in there."""
        return sorted(self._words.values())
