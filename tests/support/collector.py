"""A collector of traces: decodes OTLP's protobuf by itself, and misbehaves where it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What came; ``mood`` is an HTTP status, or ``hang``."""

    url: str = ""
    mood: str = "200"
    spans: list[Span] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    raw: bytes = b""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        if self.mood == "hang":
            await asyncio.sleep(60)
        if self.mood == "200":
            self.raw += body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
        return web.Response(status=int(self.mood) if self.mood.isdigit() else 200, body=b"\xff?")

    def named(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]


def attribute(of: Span | Span.Event, name: str) -> str:
    """Return a text among the attributes of a span or an event; "" where it has none so named."""
    return next((each.value.string_value for each in of.attributes if each.key == name), "")


@asynccontextmanager
async def collecting(port: int = 0) -> AsyncIterator[Collector]:
    """Serve a collector, at a free port unless told which."""
    found = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
        yield found
    finally:
        await runner.cleanup()
