"""Sends buffered writes to Redis: a command per event, a script call per call, many a round trip.

Runs in the loop, in the store's flush task.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from hashlib import sha1
from importlib.resources import files

from bridge.config.settings import RedisSettings
from bridge.store.buffer import Batch, EventWrite, StateWrite, Stream, WriteBuffer
from bridge.store.client import Command, CommandRefused, RedisLink, RedisStore, Reply
from bridge.store.keys import Keys

_BATCH_WRITES = 64
"""Writes in one round trip, so that packing them holds the loop for less than 2 ms."""

_SCRIPT = files("bridge.store").joinpath("call_state.lua").read_text("utf-8")
_SCRIPT_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_RESENT_S = 10.0
"""So old may be what goes again to a new master: replicas lag, and what the old one had confirmed
may be gone with it. Redis's own bound of a replica that counts (`min-replicas-max-lag`)."""
_CALL_UNKNOWN = 0
"""What the script returns when Redis no longer has the call."""

_log = logging.getLogger(__name__)


class StateWriter(RedisStore):
    """Takes writes out of a buffer and sees to it that they arrive.

    Args:
        link: where to.
        keys: names.
        buffer: where from.
        settings: limits and times.

    Attributes:
        in_flight: writes that have left the buffer and are not known to have arrived.
        flushes: round trips that wrote something.
        rejected: writes that Redis refused for good, such as to a key that holds something else.
    """

    def __init__(
        self, link: RedisLink, keys: Keys, buffer: WriteBuffer, settings: RedisSettings
    ) -> None:
        super().__init__(link, keys)
        self.in_flight = 0
        self.flushes = 0
        self.rejected = 0
        self._buffer = buffer
        self._settings = settings
        self._master = link.master
        self._confirmed: deque[tuple[float, Batch]] = deque()

    async def load_script(self) -> None:
        """Make the script known to Redis.

        Raises:
            RedisUnavailableError: it is not.
        """
        await self._link.ask(["SCRIPT", "LOAD", _SCRIPT])

    async def flush(self) -> None:
        """Write what is buffered now; what Redis asks to have again stays in the buffer.

        Raises:
            RedisUnavailableError: Redis is away; everything that may not have arrived is buffered.
        """
        left = self._buffer.pending
        while left > 0 and self._buffer.pending:
            batch = self._buffer.take(min(left, _BATCH_WRITES))
            left -= len(batch)
            self.in_flight = len(batch)
            try:
                await self._send(batch)
            finally:
                self.in_flight = 0

    async def _send(self, batch: Batch) -> None:
        commands = [self._event_command(event) for event in batch.events]
        commands += [self._state_command(state) for state in batch.states]
        try:
            replies = await self._link.ask_all(commands)
        except BaseException:
            self._buffer.put_back(batch)
            raise
        self.flushes += 1
        events = len(batch.events)
        for reply in replies[:events]:
            if isinstance(reply, CommandRefused) and not reply.duplicate:
                self._reject(reply)
        unsent = list(self._settle(batch.states, replies[events:]))
        if unsent:
            self._buffer.put_back(Batch((), tuple(unsent)))
            await self.load_script()
        if self._link.fails_over:
            self._follow_master(batch)

    def _follow_master(self, batch: Batch) -> None:
        """Have what the former master had confirmed lately go to the new one, too.

        Whatever arrived there already changes nothing: states are merged, events have their ids.
        """
        now_s = time.monotonic()
        if self._link.master != self._master:
            if self._master is not None:
                _log.warning("Redis at %s has another master now", self._link.place)
            for _, former in reversed(self._confirmed):
                self._buffer.put_back(former)
            self._confirmed.clear()
            self._master = self._link.master
        self._confirmed.append((now_s, batch))
        while self._confirmed[0][0] < now_s - _RESENT_S:
            self._confirmed.popleft()

    def _settle(
        self, states: Sequence[StateWrite], replies: Sequence[Reply | CommandRefused]
    ) -> Iterator[StateWrite]:
        """Act on the script's replies; yield the writes for which Redis lacked the script."""
        for state, reply in zip(states, replies, strict=True):
            if isinstance(reply, CommandRefused) and reply.code == "NOSCRIPT":
                yield state
                continue
            if reply == _CALL_UNKNOWN:
                self._buffer.resend(state)
            elif isinstance(reply, CommandRefused):
                self._reject(reply)
            self._buffer.confirm(state)

    def _reject(self, refused: CommandRefused) -> None:
        self.rejected += 1
        _log.error("Redis refused a write for good: %s", refused.code)

    def _event_command(self, event: EventWrite) -> Command:
        kept = ("MAXLEN", "~", self._settings.events_kept)
        shared = {Stream.ALERTS: self._keys.alerts, Stream.FLAGS: self._keys.flags}
        stream = shared.get(event.to) or self._keys.events(event.call_id or "")
        return ("XADD", stream, *kept, event.event_id, *event.pairs)

    def _state_command(self, state: StateWrite) -> Command:
        call_id = state.record.call_id
        names = self._keys
        call, events = names.call(call_id), names.events(call_id)
        keys = (call, events, names.active, names.ended, names.nodes)
        flags = (int(state.whole), int(state.ending), state.record.started_ms)
        expire_s = self._settings.expire_after_end_s
        return ("EVALSHA", _SCRIPT_SHA, len(keys), *keys, call_id, *flags, expire_s, *state.pairs)
