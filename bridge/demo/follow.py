"""Follows one call by its event stream in Redis: phase, turns with latency, interruptions.

Events in, lines of the conversation out. The stream has a turn several times (when its text is
complete, when it was heard or cut); it becomes a line as soon as its latency is known. Times are
ms; `at_ms` counts from the answer. The watcher reads the stream of one node's first call.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.store.reader import CallReader

_AUDIBLE = ("speaking", "cancelling")


_BLOCK_MS = 500


@dataclass(slots=True)
class TurnLine:
    """Somebody's turn; ``latency_ms`` is None for callers."""

    at_ms: int
    speaker: str
    text: str
    latency_ms: int | None = None
    settled: bool = False


@dataclass(frozen=True, slots=True)
class InterruptionLine:
    """The caller cut the agent off, ``played_ms`` into its turn."""

    at_ms: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class EndLine:
    """The call is over."""

    at_ms: int
    outcome: str
    reason: str


Line = TurnLine | InterruptionLine | EndLine


class FollowedCall:
    """The state of one call, as far as its events were fed.

    Attributes:
        phase: of the turn machine.
        greeting_latency_ms: the answer to the greeting's first sound; None before.
        ended: nothing will follow.
    """

    def __init__(self) -> None:
        self.phase = "idle"
        self.greeting_latency_ms: int | None = None
        self.ended = False
        self._answered_ms: int | None = None
        self._audible_ms = 0
        self._caller_spoke = False
        self._shown: dict[str, TurnLine] = {}
        self._waiting: deque[Line] = deque()

    def feed(self, entry_id: str, fields: Mapping[str, str]) -> list[Line]:
        """Take an event summary.

        Args:
            entry_id: of the stream; begins with the event's time in ms since the Unix epoch.
            fields: with the kind in ``kind``; kinds without a line are passed over.

        Returns:
            The lines that are complete now, in the conversation's order.
        """
        now_ms = int(entry_id.partition("-")[0])
        match fields.get("kind"):
            case "phase":
                self._on_phase(fields, now_ms)
            case "turn":
                self._on_turn(fields, now_ms)
            case "interrupted":
                played_ms = _number(fields.get("played_ms")) or 0
                self._waiting.append(InterruptionLine(self._since_answer(now_ms), played_ms))
            case "ended":
                self.ended = True
                self._waiting.append(
                    EndLine(
                        self._since_answer(now_ms),
                        fields.get("outcome", ""),
                        fields.get("reason", ""),
                    )
                )
            case _:
                pass
        return list(self._complete())

    def _on_phase(self, fields: Mapping[str, str], now_ms: int) -> None:
        self.phase = fields.get("new", self.phase)
        if self._answered_ms is None and fields.get("cause") == "answered":
            self._answered_ms = now_ms
        if self.phase == "speaking" and fields.get("old") != "speaking":
            self._audible_ms = now_ms
            if self._answered_ms is not None and not self._shown:
                self.greeting_latency_ms = now_ms - self._answered_ms

    def _on_turn(self, fields: Mapping[str, str], now_ms: int) -> None:
        item_id, speaker = fields.get("item_id", ""), fields.get("speaker", "")
        line = self._shown.get(item_id)
        if line is None:
            begun_ms = now_ms
            if speaker == "agent" and self.phase in _AUDIBLE:
                begun_ms = self._audible_ms
            line = TurnLine(self._since_answer(begun_ms), speaker, "")
            self._shown[item_id] = line
            self._waiting.append(line)
        line.text = fields.get("text", line.text)
        line.latency_ms = _number(fields.get("latency_ms"))
        if speaker == "agent" and not self._caller_spoke and line.latency_ms is None:
            line.latency_ms = self.greeting_latency_ms
        self._caller_spoke |= speaker == "caller"
        over = "heard_ms" in fields or fields.get("interrupted") == "1"
        line.settled = speaker == "caller" or line.latency_ms is not None or over

    def _complete(self) -> Iterator[Line]:
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, TurnLine) and not first.settled and not self.ended:
                return
            yield self._waiting.popleft()

    def _since_answer(self, now_ms: int) -> int:
        return 0 if self._answered_ms is None else now_ms - self._answered_ms


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


Show = Callable[[FollowedCall, Sequence[Line]], None]


class Watcher:
    """Follows the first call of a node, in a task of its own from :meth:`start` on.

    Args:
        reader: of the Redis that the node writes to.
        show: takes the call and the lines of it that are new.
        node: whose call; other nodes may use the same Redis.
        earlier: calls that were active before the node was.

    Attributes:
        call: what is known of the call.
        call_id: None as long as there is none.
        task: ends with the call; fails when Redis is lost. None before the start.
    """

    def __init__(
        self, reader: CallReader, show: Show, *, node: str, earlier: Collection[str]
    ) -> None:
        self.call = FollowedCall()
        self.call_id: str | None = None
        self.task: asyncio.Task[None] | None = None
        self._reader = reader
        self._show = show
        self._node = node
        self._seen = set(earlier)

    def start(self, timeout_s: float) -> "asyncio.Task[None]":
        """Begin to watch, for ``timeout_s`` at most until the call begins."""
        self.task = asyncio.create_task(self._watch(timeout_s), name="demo-watcher")
        return self.task

    async def aclose(self) -> None:
        """End the task, if it runs."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _watch(self, timeout_s: float) -> None:
        call_id = await self._find(timeout_s)
        self.call_id = call_id
        last = "0"
        while not self.call.ended:
            events = await self._reader.events(call_id, last, _BLOCK_MS)
            for entry_id, fields in events:
                self._show(self.call, self.call.feed(entry_id, fields))
                last = entry_id

    async def _find(self, timeout_s: float) -> str:
        while True:
            call_id = await self._reader.wait_for_call(seen=self._seen, timeout_s=timeout_s)
            fields = await self._reader.call(call_id)
            if fields is not None and fields.get("node") == self._node:
                return call_id
            self._seen.add(call_id)
