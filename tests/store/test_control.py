"""Commands to a node and its answers: once, in time, and also across a Redis that restarts."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.clock import ManualClock, SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.client import RedisUnavailableError
from bridge.store.control import Answer, Command, ControlInbox, ControlSender
from bridge.store.local import LocalRedis, start_local_redis
from tests.store.conftest import Raw
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

SETTINGS = RedisSettings(connect_timeout_s=1)


class Node:
    """Carries every command out, and remembers it."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.fails = False

    async def __call__(self, command: Command) -> Answer:
        self.commands.append(command)
        if self.fails:
            raise RuntimeError("no")
        if command.action == "hang":
            await asyncio.Event().wait()
        return Answer(True, None, {"said": command.params.get("text")})


@asynccontextmanager
async def listening(url: str, node: Node, name: str = "node-a") -> AsyncIterator[ControlInbox]:
    inbox = ControlInbox(SETTINGS, url, name, node, clock=SystemClock())
    await inbox.open()
    try:
        yield inbox
    finally:
        await inbox.aclose()


@pytest.fixture
async def sender(server: LocalRedis, redis: Raw) -> AsyncIterator[ControlSender]:
    sender = ControlSender(SETTINGS, server.url, clock=SystemClock())
    yield sender
    await sender.aclose()


_numbers = iter(range(1_000_000))


async def ask(
    sender: ControlSender,
    text: str = "hello",
    action: str = "whisper",
    command_id: str = "",
    within_ms: int = 3_000,
) -> Answer | None:
    return await sender.send(
        "node-a",
        "c_1",
        action,
        {"text": text},
        by="eve",
        command_id=command_id or f"id-{next(_numbers)}",
        within_ms=within_ms,
    )


async def until_reading(redis: Raw) -> None:
    """Wait until a node waits for commands: what came before is not its own."""

    async def blocked() -> bool:
        return "blocked_clients:0" not in str(await redis("INFO", "clients"))

    await wait_until(blocked, "nobody reads commands")


async def test_command_is_carried_out_and_answered(
    server: LocalRedis, redis: Raw, sender: ControlSender
) -> None:
    node = Node()
    async with listening(server.url, node):
        await until_reading(redis)
        assert await ask(sender, "offer {10} %") == Answer(True, None, {"said": "offer {10} %"})
    (command,) = node.commands
    assert (command.call_id, command.action, command.by) == ("c_1", "whisper", "eve")
    assert command.deadline_ms == command.at_ms + 3_000


async def test_repeated_command_is_carried_out_once(
    server: LocalRedis, redis: Raw, sender: ControlSender
) -> None:
    node = Node()
    async with listening(server.url, node):
        await until_reading(redis)
        first = await ask(sender, command_id="same")
        again = await ask(sender, "other words", command_id="same")
        assert first == again == Answer(True, None, {"said": "hello"})
        assert await ask(sender, "another")
    assert [each.params["text"] for each in node.commands] == ["hello", "another"]


async def test_command_that_nobody_takes_has_no_answer(sender: ControlSender) -> None:
    assert await ask(sender, within_ms=100) is None


async def test_command_from_before_the_start_is_left_alone(
    server: LocalRedis, redis: Raw, sender: ControlSender
) -> None:
    assert await ask(sender, "old", within_ms=100) is None
    node = Node()
    async with listening(server.url, node):
        await until_reading(redis)
        assert await ask(sender, "new")
    assert [each.params["text"] for each in node.commands] == ["new"]


async def test_command_after_its_deadline_is_refused(server: LocalRedis, redis: Raw) -> None:
    late = ControlSender(SETTINGS, server.url, clock=ManualClock(wall_ns=10**18))
    node = Node()
    async with listening(server.url, node):
        await until_reading(redis)
        answer = await ask(late)
    await late.aclose()
    assert answer == Answer.refused("too_late")
    assert node.commands == []


async def test_command_that_hangs_holds_no_other(
    server: LocalRedis, redis: Raw, sender: ControlSender
) -> None:
    async with listening(server.url, Node()):
        await until_reading(redis)
        assert await ask(sender, action="hang", within_ms=100) is None
        assert await ask(sender)


async def test_command_that_fails_is_refused(
    server: LocalRedis, redis: Raw, sender: ControlSender
) -> None:
    node = Node()
    node.fails = True
    async with listening(server.url, node):
        await until_reading(redis)
        assert await ask(sender) == Answer.refused("internal_error")
        node.fails = False
        assert await ask(sender)


async def test_what_is_no_command_is_left_alone(
    server: LocalRedis, redis: Raw, sender: ControlSender
) -> None:
    async with listening(server.url, Node()):
        await until_reading(redis)
        await redis("XADD", "bridge:control:node-a", "*", "id", "x")
        await redis("XADD", "bridge:control:node-a", "*", "id", "x", "params", "[]")
        assert await ask(sender)


async def test_answer_does_not_stay(server: LocalRedis, redis: Raw) -> None:
    async with listening(server.url, Node()):
        await until_reading(redis)
        words = ("id", "x", "call_id", "c", "action", "a", "params", "{}", "by", "eve")
        times = ("at_ms", 0, "deadline_ms", 10**13)
        await redis("XADD", "bridge:control:node-a", "*", *words, *times)
        key = "bridge:control:reply:x"

        async def answered() -> bool:
            return bool(await redis("EXISTS", key))

        await wait_until(answered, "no answer")
        left_ms = await redis("PTTL", key)
        assert isinstance(left_ms, int)
        assert 0 < left_ms <= 60_000


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose name is short enough for a unix socket."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def test_commands_come_again_after_redis_restarted(directory: Path) -> None:
    first = start_local_redis(directory)
    node = Node()
    async with listening(first.url, node):
        sender = ControlSender(SETTINGS, first.url, clock=SystemClock())
        await retried(lambda: ask(sender, "before", within_ms=300))
        first.stop()
        with pytest.raises(RedisUnavailableError):
            await ask(sender)
        second = start_local_redis(directory)
        try:
            await retried(lambda: ask(sender, "after", within_ms=300))
        finally:
            await sender.aclose()
            second.stop()
    assert node.commands[-1].params["text"] == "after"


async def retried(send: Callable[[], Awaitable[Answer | None]]) -> None:
    """Send again until there is an answer: a node reads again within a few seconds."""

    async def answered() -> bool:
        return await send() is not None

    await wait_until(answered, "no answer")
