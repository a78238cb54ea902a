"""Live calls for the console's tests: a node that takes commands, and calls that have audio."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from bridge.audio.rings import FRAME_SAMPLES
from bridge.audio.supervisor_frames import TalkFrame
from bridge.clock import Clock
from bridge.config.settings import RedisSettings
from bridge.realtime.pictures import Picture
from bridge.store.client import RedisLink
from bridge.store.control import Answer, Command, ControlInbox
from bridge.store.keys import Keys
from bridge.telephony.audience import Listener
from tests.support.waiting import wait_until

KEYS = Keys("bridge:")


class Room:
    """A call's audio; what it is given stays."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.heard: list[tuple[str, TalkFrame]] = []
        self.voices: list[str] = []
        self.pictures: list[Picture] = []
        self.over = False

    def listen(self, by: str, *, private: bool = False) -> Listener | None:
        if self.over:
            return None
        self.listeners.append(Listener(0, by, private=private))
        return self.listeners[-1]

    def stop_listening(self, listener: Listener) -> None:
        self.listeners.remove(listener)
        listener.close()

    def connect(self, by: str) -> None:
        self.voices.append(by)

    def disconnect(self, by: str) -> None:
        self.voices.remove(by)

    def push(self, by: str, frame: TalkFrame) -> None:
        self.heard.append((by, frame))

    def say(self, frames: int = 1) -> None:
        """Have everybody who listens hear so much."""
        for listener in self.listeners:
            listener.take(np.full((frames * FRAME_SAMPLES, 2), 7, dtype=np.int16))


class Rooms:
    """The calls of one node."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    def audio_of(self, call_id: str) -> Room | None:
        return self.rooms.get(call_id)

    def bring(self, call_id: str, picture: Picture) -> bool:
        room = self.rooms.get(call_id)
        if room is not None:
            room.pictures.append(picture)
        return room is not None


class Node:
    """Takes commands, and gives the answer that it is told to."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.answer = Answer(True)

    async def __call__(self, command: Command) -> Answer:
        self.commands.append(command)
        return self.answer


async def begin_call(redis: RedisLink, call_id: str, route: str = "support", **more: str) -> None:
    fields = {"call_id": call_id, "node": "node-a", "dialplan": route, **more}
    words = [word for pair in fields.items() for word in pair]
    await redis.ask(["HSET", KEYS.call(call_id), *words])


@asynccontextmanager
async def a_node(url: str, redis: RedisLink, clock: Clock) -> AsyncIterator[Node]:
    """Have `node-a` take commands while the block runs."""
    node = Node()
    inbox = ControlInbox(RedisSettings(), url, "node-a", node, clock=clock)
    await inbox.open()

    async def reads() -> bool:
        return "blocked_clients:0" not in str(await redis.ask(["INFO", "clients"]))

    await wait_until(reads, "the node reads no commands")
    yield node
    await inbox.aclose()
    await asyncio.sleep(0)
