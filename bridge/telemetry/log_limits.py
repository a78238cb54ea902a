"""Bounds the growth of the log by events that strangers can cause.

A packet, a request or a connection of anybody's may write a line. Lines of one kind (logger and
event) may come in a burst, and then once a second; the next line that is written says how many
were left out before it (`left_out`). Lines of calls may be many on a full node: their kind has a
higher limit, and each call the low one. Long texts are cut. Debug lines have no limit: they were
asked for.
"""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

_MOST_KINDS = 4096
"""Kinds that are remembered; the one that was quiet longest is forgotten first."""
_MOST_CHARS = 2_000
"""Of one field."""
_TRACEBACK_CHARS = 16_000
"""Of a traceback: its end says most."""
_TRACEBACKS = frozenset({"exception", "stack"})


@dataclass(frozen=True, slots=True)
class LogRate:
    """So many lines at once, and so many a second after that."""

    burst: int
    per_s: float


OF_A_KIND = LogRate(100, 1.0)
"""86,400 lines a day at the most: some 40 MB."""
OF_CALLS = LogRate(5_000, 20.0)
"""More calls than 20 a second begin on no node; all of 1,024 may end in one."""


@dataclass(slots=True)
class _Bucket:
    lines: float
    filled_s: float
    left_out: int = 0


class LogLimits:
    """Decides which lines are written.

    Args:
        now_s: a clock that never goes back.

    Attributes:
        left_out: lines that were not written, by level.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.left_out: Counter[str] = Counter()
        self._now_s = now_s
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, kind: Hashable, level: int, call_id: str = "") -> int | None:
        """Take a line; return how many of its kind were left out before it, None to leave it out.

        Args:
            kind: what it has in common with others; it must come from our code and libraries,
                never from a peer.
            level: of `logging`.
            call_id: the call that it is about; "" for none.
        """
        if level <= logging.DEBUG:
            return 0
        buckets = [self._bucket((kind, call_id), OF_A_KIND)]
        if call_id:
            buckets.append(self._bucket(kind, OF_CALLS))
        if min(bucket.lines for bucket in buckets) < 1:
            buckets[-1].left_out += 1
            self.left_out[logging.getLevelName(level).lower()] += 1
            return None
        left_out = sum(bucket.left_out for bucket in buckets)
        for bucket in buckets:
            bucket.lines -= 1
            bucket.left_out = 0
        return left_out

    def _bucket(self, key: Hashable, rate: LogRate) -> _Bucket:
        """Return a bucket, filled up to now."""
        now_s = self._now_s()
        bucket = self._buckets.setdefault(key, _Bucket(rate.burst, now_s))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_KINDS:
            self._buckets.popitem(last=False)
        bucket.lines = min(rate.burst, bucket.lines + (now_s - bucket.filled_s) * rate.per_s)
        bucket.filled_s = now_s
        return bucket


def cut(fields: Mapping[str, object]) -> dict[str, object]:
    """Return a line's fields with long texts cut; tracebacks keep their ends."""
    return {key: _cut_field(key, value) for key, value in fields.items()}


def _cut_field(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    if key in _TRACEBACKS:
        missing = len(text) - _TRACEBACK_CHARS
        return f"({missing} characters left out) ...{text[missing:]}" if missing > 0 else value
    missing = len(text) - _MOST_CHARS
    return f"{text[:_MOST_CHARS]}... ({missing} characters left out)" if missing > 0 else value
