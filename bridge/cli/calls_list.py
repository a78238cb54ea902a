"""Finds the calls that `bridge calls` lists, and prints them as a table."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.table import Table

from bridge.cli.running import wide_console
from bridge.store.reader import CallReader

_SEARCHED = 1_000
"""Ended calls among which a filter looks; the latest."""

_FROM_THE_END = ("reason", "response_p95_ms", "longest_silence_ms")
"""Fields of a call's `ended` event that the list has beside those of its hash."""


@dataclass(frozen=True, slots=True)
class CallFilter:
    """The conditions on a listed call; None asks for nothing.

    Attributes:
        outcome, fault, arm: as in the call's hash.
        slower_than_ms: the p95 of its answers is over this.
        silence_over_ms: its longest silence is.
    """

    outcome: str | None = None
    fault: str | None = None
    arm: str | None = None
    slower_than_ms: float | None = None
    silence_over_ms: float | None = None

    @property
    def anything(self) -> bool:
        """Whether every call will do."""
        return self == CallFilter()

    def takes(self, fields: Mapping[str, str]) -> bool:
        """Whether a call is wanted; one that still goes on has no outcome yet, and no figures."""
        texts = (("outcome", self.outcome), ("fault", self.fault), ("arm", self.arm))
        limits = (
            ("response_p95_ms", self.slower_than_ms),
            ("longest_silence_ms", self.silence_over_ms),
        )
        return all(wanted is None or fields.get(name) == wanted for name, wanted in texts) and all(
            limit is None or float(fields.get(name, 0)) > limit for name, limit in limits
        )


async def find_calls(reader: CallReader, most: int, wanted: CallFilter) -> list[dict[str, str]]:
    """Return the wanted calls that go on, then the latest ``most`` of those that ended.

    Raises:
        RedisUnavailableError: Redis is away.
    """
    searched = most if wanted.anything else _SEARCHED
    async with reader:
        going_on = await reader.calls(await reader.active())
        over = await reader.calls(await reader.ended(searched)) if most else []
        ends = await reader.last_events([fields["call_id"] for fields in over])
    for fields in over:
        end = ends.get(fields["call_id"], {})
        fields.update({name: end[name] for name in _FROM_THE_END if name in end})
    found = [fields for fields in over if wanted.takes(fields)]
    return [*(fields for fields in going_on if wanted.takes(fields)), *found[:most]]


async def find_troubles(reader: CallReader) -> list[str]:
    """Return a line for each node with which something is wrong.

    Raises:
        RedisUnavailableError: Redis is away.
    """
    async with reader:
        return [f"{node}: {words}" for node, words in (await reader.troubled_nodes()).items()]


def print_calls(found: Sequence[Mapping[str, str]]) -> None:
    """Print calls as a table."""
    table = Table(box=None, header_style="bold")
    for column in ("call", "node", "dialplan", "arm", "began", "lasted", "state", "fault"):
        table.add_column(column, no_wrap=True)
    for column in ("answers p95", "silence"):
        table.add_column(column, no_wrap=True, justify="right")
    for fields in found:
        table.add_row(
            *(fields.get(name, "") for name in ("call_id", "node", "dialplan", "arm")),
            clock_time(int(fields.get("started_at", 0))),
            _lasted(fields),
            fields.get("outcome") or fields.get("phase", ""),
            fields.get("fault", ""),
            *(_ms(fields.get(name)) for name in _FROM_THE_END[1:]),
        )
    wide_console().print(table if found else "no calls")


def clock_time(at_ms: int) -> str:
    """Return the local time of ms since the Unix epoch."""
    return datetime.fromtimestamp(at_ms / 1000).strftime("%H:%M:%S")


def _ms(value: str | None) -> str:
    return "" if value is None else f"{value} ms"


def _lasted(fields: Mapping[str, str]) -> str:
    until_ms = int(fields.get("ended_at") or time.time_ns() // 1_000_000)
    seconds = max(until_ms - int(fields.get("started_at", until_ms)), 0) // 1000
    return f"{seconds // 60}:{seconds % 60:02}"
