"""The demo's figures from the gateway's own exposition."""

import asyncio

import pytest

from bridge.clock import NS_PER_MS
from bridge.config.console import ConsoleSettings
from bridge.config.settings import HttpSettings
from bridge.console.app import make_app
from bridge.console.server import HttpServer
from bridge.demo.figures import Figures, fetch_figures
from bridge.telemetry.labels import Path
from bridge.telemetry.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics("0")
    for ms in [4] * 94 + [45] * 6:
        metrics.media.added_latency("local", Path.UPLINK, ms * NS_PER_MS)
    metrics.media.added_latency("local", Path.DOWNLINK, 35 * NS_PER_MS)
    return metrics


async def test_figures_are_fetched_over_http(metrics: Metrics) -> None:
    server = HttpServer(HttpSettings(port=0), ConsoleSettings(), make_app(None, metrics, list))
    port = await server.start()
    try:
        figures = await fetch_figures(f"http://127.0.0.1:{port}")
    finally:
        await server.aclose()

    assert figures == Figures(50, 40, None)


async def test_gateway_that_does_not_answer_gives_no_figures() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    assert await fetch_figures(f"http://127.0.0.1:{port}") == Figures()
