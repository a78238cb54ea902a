"""Writes the wrap-up of an ended call into its hash, which Redis keeps for a while.

The fields are the console's, who writes them after the call's end; a node's writes leave them.
"""

from dataclasses import dataclass

from bridge.store.client import RedisLink
from bridge.store.keys import Keys


@dataclass(frozen=True, slots=True)
class WrapUp:
    """What came of a call, in the words of who had its caller.

    Attributes:
        code: one of the dialplan's ``handoff.wrap_up``; empty where it has none.
        note: redacted.
        by: who wrote it.
        at_ms: when, ms since the Unix epoch.
    """

    code: str
    note: str
    by: str
    at_ms: int


class WrapUpStore:
    """Keeps wrap-ups.

    Every method raises RedisUnavailableError while Redis is away.

    Args:
        link: to Redis; closed by whoever made it.
        keys: of the project.
    """

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def write(self, call_id: str, wrap_up: WrapUp) -> None:
        """Put a wrap-up into the hash of a call that is there; the last one counts."""
        fields = {
            "wrap_up_code": wrap_up.code,
            "wrap_up_note": wrap_up.note,
            "wrapped_up_by": wrap_up.by,
            "wrapped_up_at": str(wrap_up.at_ms),
        }
        words = [word for pair in fields.items() for word in pair]
        await self._link.ask(("HSET", self._keys.call(call_id), *words))
