"""Commands to the node that has a call, and its answers, through Redis.

    bridge:control:{node}       stream: id call_id action params by at_ms deadline_ms
    bridge:control:reply:{id}   list with one JSON: accepted, reason, result; lives a minute

A command is carried out once at most: the node remembers the ids it has seen, leaves alone what it
finds from before its start, and refuses what comes after its deadline, which its sender no longer
waits for. Times are of the wall clock, so nodes and consoles need a common one (NTP).
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from bridge.clock import NS_PER_MS, Clock
from bridge.config.settings import RedisSettings
from bridge.store.client import OwnRedisStore, RedisUnavailableError
from bridge.store.replies import entries, following, words_of

ANSWER_WITHIN_MS = 3_000
REPLY_LIVES_MS = 60_000
_BLOCK_MS = 2_000
_MOST_AT_ONCE = 50
_KEPT = 1_000
"""Commands in a stream; they are read at once, or never."""

_REMEMBERED = 4_096
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """What a supervisor wants of a call.

    Attributes:
        command_id: unique; a repeated one is the same command.
        params: of the action, as the console got them.
        by: the supervisor's name.
        at_ms, deadline_ms: wall time, ms since the Unix epoch.
    """

    command_id: str
    call_id: str
    action: str
    params: Mapping[str, object]
    by: str
    at_ms: int
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command.

    Attributes:
        reason: why it was refused; None where it was not.
        result: more about it.
    """

    accepted: bool
    reason: str | None = None
    result: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def refused(cls, reason: str, **result: object) -> "Answer":
        """Make a refusal."""
        return cls(False, reason, result)


OnCommand = Callable[[Command], Awaitable[Answer]]


class ControlSender(OwnRedisStore):
    """Sends commands to nodes; for consoles."""

    def __init__(self, settings: RedisSettings, url: str, *, clock: Clock) -> None:
        super().__init__(settings, url)
        self._clock = clock

    async def send(
        self,
        node: str,
        call_id: str,
        action: str,
        params: Mapping[str, object],
        *,
        by: str,
        command_id: str,
        within_ms: int = ANSWER_WITHIN_MS,
    ) -> Answer | None:
        """Send a command and wait for its answer; None where none came in time.

        One that is sent again within a minute is not carried out again, and has the same answer.

        Raises:
            RedisUnavailableError: it may have been sent.
        """
        at_ms = self._clock.wall_ns() // NS_PER_MS
        fields: dict[str, str | int] = {
            "id": command_id,
            "call_id": call_id,
            "action": action,
            "params": json.dumps(params),
            "by": by,
            "at_ms": at_ms,
            "deadline_ms": at_ms + within_ms,
        }
        kept = ("MAXLEN", "~", _KEPT)
        await self._link.ask(("XADD", self._keys.control(node), *kept, "*", *words_of(fields)))
        within_s = within_ms / 1000
        # The answer stays where it is, for who sends the same command again.
        key = self._keys.control_reply(command_id)
        reply = await self._link.ask(
            ("BLMOVE", key, key, "LEFT", "LEFT", str(within_s)), patience_s=within_s
        )
        if reply is None:
            return None
        answer = json.loads(str(reply))
        return Answer(bool(answer["accepted"]), answer["reason"], answer["result"])


class ControlInbox(OwnRedisStore):
    """Takes one node's commands, and answers them.

    Args:
        settings: prefix and timeout.
        url: the Redis that consoles write to.
        node_id: this node.
        on_command: carries a command out; each in a task of its own, begun in their order.

    Raises:
        ConfigError: ``url`` can't be read.
    """

    def __init__(
        self,
        settings: RedisSettings,
        url: str,
        node_id: str,
        on_command: OnCommand,
        *,
        clock: Clock,
    ) -> None:
        super().__init__(settings, url)
        self._stream = self._keys.control(node_id)
        self._on_command = on_command
        self._clock = clock
        self._last: str | None = None
        self._seen: set[str] = set()
        self._order: deque[str] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to read, from now on; Redis may be away."""
        self._reading = asyncio.create_task(self._keep_reading(), name="control")

    async def aclose(self) -> None:
        """Take no more commands, and disconnect; those that run are given up."""
        reading, self._reading = self._reading, None
        tasks = [*self._running, *([] if reading is None else [reading])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await super().aclose()

    async def _keep_reading(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                if self._last is None:
                    self._last = await self._newest()
                await self._read()
                retry_s = _FIRST_RETRY_S
            except RedisUnavailableError as error:
                if retry_s == _FIRST_RETRY_S:
                    log.warning("commands_not_read", error=error.what)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)

    async def _newest(self) -> str:
        """Return the id behind which new commands come."""
        found = entries(await self._link.ask(("XREVRANGE", self._stream, "+", "-", "COUNT", 1)))
        return found[0][0] if found else "0-0"

    async def _read(self) -> None:
        options = ("COUNT", _MOST_AT_ONCE, "BLOCK", _BLOCK_MS)
        reply = await self._link.ask(
            ("XREAD", *options, "STREAMS", self._stream, self._last or "0-0"),
            patience_s=_BLOCK_MS / 1000,
        )
        if not reply:
            await self._follow_a_new_redis()
            return
        for self._last, fields in following(reply):
            self._take(fields)

    async def _follow_a_new_redis(self) -> None:
        """Begin anew where Redis has forgotten the stream: its ids may be older than ours."""
        if self._last != "0-0" and await self._newest() == "0-0":
            self._last = "0-0"

    def _take(self, fields: Mapping[str, str]) -> None:
        try:
            command = _command(fields)
        except (KeyError, ValueError):
            log.warning("command_unreadable")
            return
        if command.command_id in self._seen:
            return
        self._remember(command.command_id)
        task = asyncio.create_task(self._carry_out(command), name=f"command-{command.action}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _remember(self, command_id: str) -> None:
        self._seen.add(command_id)
        self._order.append(command_id)
        if len(self._order) > _REMEMBERED:
            self._seen.discard(self._order.popleft())

    async def _carry_out(self, command: Command) -> None:
        if self._clock.wall_ns() // NS_PER_MS > command.deadline_ms:
            answer = Answer.refused("too_late")
        else:
            try:
                answer = await self._on_command(command)
            except Exception:
                log.exception("command_failed", action=command.action)
                answer = Answer.refused("internal_error")
        fields = {"accepted": answer.accepted, "reason": answer.reason, "result": answer.result}
        key = self._keys.control_reply(command.command_id)
        try:
            await self._link.ask_all(
                [("RPUSH", key, json.dumps(fields)), ("PEXPIRE", key, REPLY_LIVES_MS)]
            )
        except RedisUnavailableError as error:
            log.warning("answer_not_told", action=command.action, error=error.what)


def _command(fields: Mapping[str, str]) -> Command:
    """Read a command.

    Raises:
        KeyError, ValueError: it is none.
    """
    params = json.loads(fields["params"])
    if not isinstance(params, dict):
        raise ValueError("params are no mapping")
    return Command(
        command_id=fields["id"],
        call_id=fields["call_id"],
        action=fields["action"],
        params=params,
        by=fields["by"],
        at_ms=int(fields["at_ms"]),
        deadline_ms=int(fields["deadline_ms"]),
    )
