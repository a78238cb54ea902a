"""Buffers writes to Redis: coalesced call state and event summaries. No I/O.

State is kept per call, the last value of a field wins (the greatest, for sequence numbers), so any
number of updates is one write. All that is known of a call stays until its end is written: if Redis
forgets the call, it is sent whole again. A write is one call's state or one event; past the limit
the oldest events go first, then the oldest ended calls. State of live calls is never dropped.

Used in the loop's thread. Times are milliseconds since the Unix epoch.
"""

import enum
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bridge.store.keys import ENDING_FIELDS, GROWING_FIELDS

FieldValue = str | int

_MAX_NOTICES = 1_000
_BY_REDIS = "*"
"""Id of an entry in a stream that many nodes write to; one that is sent again stands there twice,
which is better than not at all."""


@dataclass(slots=True)
class BufferedCall:
    """All that is known of one call.

    Attributes:
        started_ms: its place among the active calls.
        fields: name -> last value, as text.
        dirty: names whose value is not in Redis yet.
        last_event: milliseconds and counter of its newest event.
    """

    call_id: str
    started_ms: int
    fields: dict[str, str] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    ended: bool = False
    last_event: tuple[int, int] = (0, 0)

    def set(self, name: str, value: FieldValue) -> None:
        """Take a new value, unless a sequence number would go back."""
        stored = self.fields.get(name)
        if stored is not None and name in GROWING_FIELDS and int(value) <= int(stored):
            return
        self.fields[name] = str(value)
        self.dirty.add(name)

    def next_event_id(self, now_ms: int) -> str:
        """Return a stream id for an event that happens now, later than every one before.

        The id is made here and not by Redis, so that an entry sent twice is refused the second
        time, and gives when the event happened, not when it was written.
        """
        last_ms, counter = self.last_event
        self.last_event = (now_ms, 0) if now_ms > last_ms else (last_ms, counter + 1)
        return "{}-{}".format(*self.last_event)


@dataclass(frozen=True, slots=True)
class StateWrite:
    """Fields of one call on their way to Redis.

    Attributes:
        pairs: name, value, name, value...
        whole: they are all that is known of the call.
        ending: they end the call.
    """

    record: BufferedCall
    names: frozenset[str]
    pairs: tuple[str, ...]
    whole: bool
    ending: bool


class Stream(enum.Enum):
    """Where an event goes."""

    CALL = enum.auto()
    """To its call's own."""
    ALERTS = enum.auto()
    FLAGS = enum.auto()


@dataclass(frozen=True, slots=True)
class EventWrite:
    """One event summary on its way to Redis; ``pairs`` as above.

    Attributes:
        to: the stream it goes to.
        call_id: whose it is, if it goes to a call's own.
    """

    call_id: str | None
    event_id: str
    pairs: tuple[str, ...]
    to: Stream = Stream.CALL


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes for one round trip, events before the state that may end their call."""

    events: tuple[EventWrite, ...]
    states: tuple[StateWrite, ...]

    def __len__(self) -> int:
        return len(self.events) + len(self.states)


class WriteBuffer:
    """Bounded and coalescing.

    Args:
        limit: writes held at most.

    Attributes:
        dropped: events and ended calls that were given up because the buffer was full.
        late: writes to calls that are unknown here or have ended.
    """

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self.late = 0
        self._limit = limit
        self._calls: dict[str, BufferedCall] = {}
        self._dirty: dict[str, BufferedCall] = {}
        self._events: deque[EventWrite] = deque()
        self._notices: deque[EventWrite] = deque(maxlen=_MAX_NOTICES)

    @property
    def pending(self) -> int:
        """Writes that wait."""
        return len(self._notices) + len(self._events) + len(self._dirty)

    @property
    def live(self) -> frozenset[str]:
        """Calls that have begun and not ended."""
        return frozenset(call_id for call_id, record in self._calls.items() if not record.ended)

    def begin(self, call_id: str, fields: Mapping[str, FieldValue], now_ms: int) -> None:
        """Take a new call; `started_at` is now unless ``fields`` has it."""
        started_ms = int(fields.get("started_at", now_ms))
        record = self._calls.setdefault(call_id, BufferedCall(call_id, started_ms))
        self._write(record, {"call_id": call_id, "started_at": started_ms, **fields}, now_ms)

    def update(self, call_id: str, fields: Mapping[str, FieldValue], now_ms: int) -> None:
        """Take new values of some fields of a call that has begun."""
        record = self._calls.get(call_id)
        if record is None:
            self.late += 1
            return
        if record.ended:
            self.late += 1
            fields = {name: fields[name] for name in fields.keys() - ENDING_FIELDS}
        self._write(record, fields, now_ms)

    def event(self, call_id: str, pairs: tuple[str, ...], now_ms: int) -> None:
        """Take an event summary of a call that has begun."""
        record = self._calls.get(call_id)
        if record is None:
            self.late += 1
            return
        self._events.append(EventWrite(call_id, record.next_event_id(now_ms), pairs))
        self._write(record, {}, now_ms)

    def notice(self, to: Stream, pairs: tuple[str, ...]) -> None:
        """Take what goes to a stream of all calls: out first, pushed out by later ones alone."""
        self._notices.append(EventWrite(None, _BY_REDIS, pairs, to))

    def end(self, call_id: str, fields: Mapping[str, FieldValue], now_ms: int) -> None:
        """Take the end of a call; a second one changes nothing."""
        record = self._calls.get(call_id)
        if record is None or record.ended:
            self.late += 1
            return
        record.ended = True
        self._write(record, {"phase": "ended", "ended_at": now_ms, **fields}, now_ms)

    def take(self, most: int) -> Batch:
        """Take the oldest writes out, at most ``most``; give them to `put_back` or `confirm`."""
        notices = [self._notices.popleft() for _ in range(min(most, len(self._notices)))]
        room = min(most - len(notices), len(self._events))
        events = (*notices, *(self._events.popleft() for _ in range(room)))
        room = min(most - len(events), len(self._dirty))
        records = [self._dirty.pop(next(iter(self._dirty))) for _ in range(room)]
        return Batch(events, tuple(self._state_of(record) for record in records))

    def put_back(self, batch: Batch) -> None:
        """Return writes that did not reach Redis; values set meanwhile are newer and stay."""
        for event in reversed(batch.events):
            (self._notices if event.call_id is None else self._events).appendleft(event)
        for state in batch.states:
            state.record.dirty |= state.names
        self._mark_dirty(state.record for state in batch.states)
        self._shed()

    def confirm(self, state: StateWrite) -> None:
        """Forget a call whose end is in Redis."""
        record = state.record
        if state.ending and not record.dirty:
            self._calls.pop(record.call_id, None)

    def resend(self, state: StateWrite) -> None:
        """Send a call whole, since Redis has it no longer."""
        state.record.dirty.update(state.record.fields)
        self._mark_dirty([state.record])

    def _write(self, record: BufferedCall, fields: Mapping[str, FieldValue], now_ms: int) -> None:
        for name, value in fields.items():
            record.set(name, value)
        record.set("updated_at", now_ms)
        self._dirty.setdefault(record.call_id, record)
        self._shed()

    def _state_of(self, record: BufferedCall) -> StateWrite:
        names = frozenset(record.dirty)
        record.dirty.clear()
        pairs = tuple(word for name in names for word in (name, record.fields[name]))
        return StateWrite(record, names, pairs, len(names) == len(record.fields), record.ended)

    def _mark_dirty(self, records: Iterable[BufferedCall]) -> None:
        first = {record.call_id: record for record in records}
        self._dirty = first | self._dirty

    def _shed(self) -> None:
        """Drop down to the limit."""
        while self.pending > self._limit:
            if self._events:
                self._events.popleft()
            else:
                ended = next((r for r in self._dirty.values() if r.ended), None)
                if ended is None:
                    return
                del self._dirty[ended.call_id], self._calls[ended.call_id]
            self.dropped += 1
