"""An operator's HTTP endpoint that answers a tool."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[], Awaitable[web.StreamResponse]]


@dataclass
class Hook:
    """The operator's endpoint: what came, and what it says."""

    answer: Answer
    url: str = ""
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.came.append((dict(request.headers), await request.read()))
        self.begun.set()
        return await self.answer()


@asynccontextmanager
async def hook(answer: Answer, port: int = 0) -> AsyncIterator[Hook]:
    """Serve an endpoint, at a free port unless told which."""
    found = Hook(answer)
    app = web.Application()
    app.router.add_post("/invoices", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/invoices"
        yield found
    finally:
        await runner.cleanup()
