"""A supervisor's office: two gateways, a browser with a microphone behind a wire that can be cut,
and the audit as it stands in Redis.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

from bridge.store.client import RedisLink
from tests.calls.shift_ear import ANSWERS, ASKS, GOES_ON, GREETING, PATIENCE_S
from tests.support.browser import open_page
from tests.support.console_user import sign_in
from tests.support.gateways import PLAIN_AGENT, Gateway, serving, write_dialplan
from tests.support.ports import free_port
from tests.support.processes import simulating, write_yaml

DIALECTS = ("ga", "beta")
_SCENARIO = {
    "name": "shift",
    "words_per_minute": 160,
    "greeting": GREETING,
    "fallback": GOES_ON,
    "rules": [{"hears": [ASKS], "say": ANSWERS}],
}


class Wire:
    """A TCP relay between the browser and the console.

    Args:
        port: of the console.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._cut = False
        self.url = ""

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    def cut(self) -> None:
        """Break all that goes on, and let nothing through until it is mended."""
        self._cut = True
        for end in tuple(self._ends):
            end.transport.abort()

    def mend(self) -> None:
        """Let new connections through."""
        self._cut = False

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, back}
        self._ends |= ends
        if self._cut:  # meanwhile
            self.cut()
        with suppress(OSError):
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        self._ends -= ends
        for end in ends:
            end.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


@dataclass
class Office:
    """What the shift works with."""

    directory: Path
    redis_url: str
    nodes: list[Gateway]
    ann_port: int
    restart: Callable[[], Gateway]

    async def audited(self, call_id: str) -> list[tuple[str, str, str]]:
        """Return actor, action and result of the audit's entries on a call, the earliest first."""
        link = RedisLink(self.redis_url, timeout_s=5)
        found: Any = await link.ask(["XRANGE", "bridge:audit", "-", "+"])  # Any: a nested reply
        await link.aclose()
        entries = [dict(zip(words[::2], words[1::2], strict=True)) for _, words in found]
        return [
            (each["actor"], each["action"], each["result"])
            for each in entries
            if each.get("call_id") == call_id
        ]


@contextmanager
def shift_office(redis_url: str, directory: Path) -> Iterator[Office]:
    """Run a simulator and two gateways; a call to `ga` or `beta` gets that dialect."""
    ann_port = free_port()
    dialplans = directory / "dialplans"
    for dialect in DIALECTS:
        write_dialplan(
            dialplans,
            {**PLAIN_AGENT, "greeting": GREETING},
            name=dialect,
            called=dialect,
            arm=dialect,
            caller_silence={"enabled": False},  # a caller who only listens is no lost one
            dead_air={"enabled": False},
            handoff={
                "targets": {
                    "ann": {"to": f"sip:ann@127.0.0.1:{ann_port}", "mode": "warm", "ring_s": 60}
                },
                "announce": "A new call.",
                "ask": "Press one.",
                "accept": {"by": "key", "within_s": 60},
                "wrap_up": ["resolved", "second_parcel"],
            },
        )
    with ExitStack() as all_of_it:
        url = all_of_it.enter_context(
            simulating(directory, write_yaml(directory / "shift.yaml", _SCENARIO))
        )
        arms = {
            dialect: {"url": url, "api_key_env": "SIM_KEY", "dialect": dialect}
            for dialect in DIALECTS
        }

        def start(name: str) -> Gateway:
            return all_of_it.enter_context(
                serving(
                    *(directory / name, url, dialplans),
                    preflight=False,
                    redis_url=redis_url,
                    arms=arms,
                    console={"enabled": True},
                    environ={"BRIDGE_NODE": name},
                )
            )

        for name in ("node-a", "node-b"):
            (directory / name).mkdir()
        nodes = [start("node-a"), start("node-b")]

        def restart() -> Gateway:
            os.kill(nodes[1].process.pid, signal.SIGKILL)
            nodes[1] = start("node-b")
            return nodes[1]

        yield Office(directory, redis_url, nodes, ann_port, restart)


_WATCHED = """
    window.longest_ms = 0;
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) {
            window.longest_ms = Math.max(window.longest_ms, duration);
        }
    }).observe({ type: "longtask", buffered: true });
"""


@asynccontextmanager
async def console_page(
    browser: Browser, office: Office, url: str, name: str
) -> AsyncIterator[Page]:
    """Open a supervisor's page; a lost connection may be told of in its console."""
    token, _ = await sign_in(office.redis_url, name)
    lost = ("ERR_", "WebSocket", "status of 50", "status of 40")
    async with open_page(
        browser, f"{url}/calls", cookies={"bridge_session": token}, expected_errors=lost, width=1440
    ) as page:
        page.set_default_timeout(PATIENCE_S * 1000)
        await page.context.add_init_script(_WATCHED)
        page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await page.evaluate(_WATCHED)
        await expect(page.locator("#live-badge")).to_have_attribute("data-state", "live")
        yield page


async def heap_bytes(page: Page) -> int:
    """Return what a page's scripts hold after a collection."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    found: dict[str, Any] = await session.send("Runtime.getHeapUsage")
    await session.detach()
    return int(found["usedSize"])
