"""Calls that are over: all nodes' while Redis keeps them, this node's as long as its disk does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.clock import NS_PER_MS, Clock
from bridge.console.call_files import Json, call_lines, iso_ms, says
from bridge.console.masking import mask_caller
from bridge.console.shared import Shared
from bridge.recordings.files import CallFiles
from bridge.store.reader import CallReader

_FROM_REDIS = 1_000
_TEXTS_SEARCHED = 300
_ENDED_FOR_S = 1.0
_SETTLES_MS = 10_000
"""After its end a call's handing over, its flags and its last event may still be written."""

_FIELDS = (
    *("call_id", "node", "dialplan", "arm", "rescued_by", "from", "to", "consent", "flagged"),
    *("started_at", "answered_at", "ended_at", "outcome", "fault", "handoff_target"),
    *("handoff_result", "handoff_wait_ms", "wrap_up_code", "wrapped_up_by", "handled_by"),
)
_CONSENT: Mapping[object, str] = {True: "given", False: "refused"}
_END_TEXTS = ("reason",)
_END_NUMBERS = (
    *("turns", "interruptions", "average_response_ms", "response_p95_ms", "longest_silence_ms"),
)


@dataclass(frozen=True, slots=True)
class WantedCalls:
    """A filter of calls that are over; empty asks for nothing.

    Attributes:
        text: in what a list shows of a call, or in its transcript.
        since_ms, before_ms: when it began, ms since the Unix epoch.
    """

    text: str = ""
    dialplan: str = ""
    arm: str = ""
    outcome: str = ""
    fault: str = ""
    since_ms: int | None = None
    before_ms: int | None = None

    def takes(self, row: Mapping[str, object]) -> bool:
        """Return whether a call is wanted, its words aside."""
        exact = {
            "dialplan": self.dialplan,
            "arm": self.arm,
            "outcome": self.outcome,
            "fault": self.fault,
        }
        started = row.get("started_at")
        began_ms = started if isinstance(started, int) else 0
        return (
            all(not wanted or row.get(name) == wanted for name, wanted in exact.items())
            and (self.since_ms is None or began_ms >= self.since_ms)
            and (self.before_ms is None or began_ms < self.before_ms)
        )


class CallHistory:
    """Finds calls that are over.

    Args:
        reader: of Redis.
        directory: recordings and call records of this node.
        clock: wall time.
    """

    def __init__(self, reader: CallReader, directory: Path, clock: Clock) -> None:
        self._reader = reader
        self._directory = directory
        self._clock = clock
        self._settled: dict[str, Json] = {}
        self._ended = Shared(self._read_ended, _ENDED_FOR_S)

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS

    async def find(
        self, wanted: WantedCalls, most: int, may_see: Callable[[str], bool], *, words: bool
    ) -> list[Json]:
        """Return the latest wanted calls.

        Args:
            words: whether transcripts may be searched.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        rows = {row["call_id"]: row for row in await asyncio.to_thread(self._stored)}
        async for row in self._kept():
            rows[row["call_id"]] = {**rows.get(row["call_id"], {}), **row}
        seen = [
            row
            for row in rows.values()
            if may_see(str(row.get("dialplan", ""))) and wanted.takes(row)
        ]
        seen.sort(key=lambda row: -int(row.get("started_at") or 0))
        found = await self._with_text(seen, wanted.text.lower(), words=words)
        return found[:most]

    async def ended_since(self, since_ms: int, may_see: Callable[[str], bool]) -> list[Json]:
        """Return the calls of all nodes that began since then and are over.

        Wallboards ask for them all the time, so a call is read once; what it was in the first
        seconds after its end may be old by as much.
        """
        return [
            row
            for row in await self._ended.get()
            if row.get("started_at", 0) >= since_ms and may_see(str(row.get("dialplan", "")))
        ]

    async def _read_ended(self) -> list[Json]:
        ids = await self._reader.ended(_FROM_REDIS)
        known = {i: self._settled[i] for i in ids if i in self._settled}
        settled_ms = self._now_ms() - _SETTLES_MS
        found = []
        async for row in self._rows([i for i in ids if i not in known]):
            found.append(row)
            if row.get("ended_at", settled_ms) < settled_ms:
                known[row["call_id"]] = row
        fresh = [row for row in found if row["call_id"] not in known]
        self._settled = known
        return [*known.values(), *fresh]

    async def _with_text(self, rows: list[Json], text: str, *, words: bool) -> list[Json]:
        if not text:
            return rows
        shown = [row for row in rows if text in " ".join(map(str, row.values())).lower()]
        if not words:
            return shown
        named = {row["call_id"] for row in shown}
        others = [row["call_id"] for row in rows if row["call_id"] not in named][:_TEXTS_SEARCHED]
        said = named | await asyncio.to_thread(says, self._directory, others, text)
        return [row for row in rows if row["call_id"] in said]

    def _stored(self) -> list[Json]:
        found = []
        for line in call_lines(self._directory):
            handoffs = line.get("handoffs") or []
            consent = line.get("consent") or {}
            row = {
                "call_id": line["call_id"],
                "dialplan": line.get("route"),
                "arm": line.get("arm"),
                "from": mask_caller(str(line.get("from", ""))),
                "to": mask_caller(str(line.get("to", "")), whole=True),
                "started_at": iso_ms(line.get("started_at")),
                "duration_ms": line.get("duration_ms"),
                "outcome": line.get("outcome"),
                "fault": line.get("fault"),
                "reason": line.get("reason"),
                "handoff_target": handoffs[-1].get("target") if handoffs else None,
                "handoff_result": handoffs[-1].get("result") if handoffs else None,
                "consent": _CONSENT.get(consent.get("given")),
                "recording": line.get("recording") is not None,
                **{name: line.get(name) for name in _END_NUMBERS},
            }
            found.append({name: value for name, value in row.items() if value is not None})
            if len(found) == _FROM_REDIS:
                break
        return found

    async def _kept(self) -> AsyncIterator[Json]:
        async for row in self._rows(await self._reader.ended(_FROM_REDIS)):
            yield row

    async def _rows(self, call_ids: Sequence[str]) -> AsyncIterator[Json]:
        async for page in self._reader.pages(call_ids, _FIELDS):
            ends = await self._reader.last_events([each["call_id"] for each in page])
            for fields in page:
                yield self._row(fields, ends.get(fields["call_id"], {}))

    def _row(self, fields: Mapping[str, str], end: Mapping[str, str]) -> Json:
        row: Json = {name: each for name, each in fields.items() if each}
        for name in ("started_at", "answered_at", "ended_at", "handoff_wait_ms"):
            if name in row:
                row[name] = int(row[name])
        row["from"] = mask_caller(fields.get("from", ""))
        row["to"] = mask_caller(fields.get("to", ""), whole=True)
        if "ended_at" in row and "started_at" in row:
            row["duration_ms"] = row["ended_at"] - row["started_at"]
        row.update({name: end[name] for name in _END_TEXTS if name in end})
        row.update({name: int(float(end[name])) for name in _END_NUMBERS if end.get(name)})
        row["recording"] = CallFiles(self._directory, row["call_id"]).has_audio
        return row
