"""Reads supervisors' alerts from Redis, and records their acknowledgements.

bridge:alerts                    stream: call_id node at_ms kind and more, of all calls
bridge:alerts:acknowledged       hash: entry's id -> who and when, as JSON
"""

import json
from dataclasses import dataclass
from typing import NamedTuple

from bridge.store.client import RedisStore, Reply
from bridge.store.replies import entries

_LOOKED_AT = 500


class Acknowledgement(NamedTuple):
    """Who has seen to an alert; wall time, ms since the Unix epoch."""

    by: str
    at_ms: int
    note: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        alert_id: of its entry; begins with its time in ms since the Unix epoch.
        fields: as written; acknowledged: None where nobody has seen to it.
    """

    alert_id: str
    fields: dict[str, str]
    acknowledged: Acknowledgement | None


class AlertStore(RedisStore):
    """Reads alerts, and puts down who sees to them."""

    async def latest(self) -> list[Alert]:
        """Return the latest alerts, the newest first; at most 500."""
        latest = ("XREVRANGE", self._keys.alerts, "+", "-", "COUNT", _LOOKED_AT)
        found = entries(await self._link.ask(latest))
        if not found:
            return []
        ids = [alert_id for alert_id, _ in found]
        seen = await self._link.ask(("HMGET", self._keys.alerts_acknowledged, *ids))
        marks = seen if isinstance(seen, list) else [None] * len(ids)
        return [
            Alert(alert_id, fields, _acknowledgement(mark))
            for (alert_id, fields), mark in zip(found, marks, strict=True)
        ]

    async def acknowledge(self, alert_id: str, by: str, note: str, now_ms: int) -> bool:
        """Put down who sees to an alert; False where there is none such, or it was seen to."""
        found = await self._link.ask(("XRANGE", self._keys.alerts, alert_id, alert_id))
        if not found:
            return False
        mark = json.dumps({"by": by, "at_ms": now_ms, "note": note}, ensure_ascii=False)
        key = self._keys.alerts_acknowledged
        return await self._link.ask(("HSETNX", key, alert_id, mark)) == 1


def _acknowledgement(mark: Reply) -> Acknowledgement | None:
    if not isinstance(mark, str):
        return None
    found = json.loads(mark)
    return Acknowledgement(found["by"], found["at_ms"], found["note"])
