import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence

import aiohttp
import pytest

from bridge.config.console import ConsoleSettings
from bridge.config.settings import HttpSettings
from bridge.console.app import make_app, make_site_app
from bridge.console.server import HttpServer
from bridge.errors import InfrastructureError
from bridge.telemetry.metrics import Metrics

Get = Callable[[str], "aiohttp.client._RequestContextManager"]


TROUBLES: list[str] = []
"""Of the server that runs."""


def server_of(settings: HttpSettings, reasons: Sequence[str] = ()) -> HttpServer:
    app = make_app(None, Metrics("1.2.3"), lambda: reasons, lambda: TROUBLES)
    return HttpServer(settings, ConsoleSettings(), app)


@pytest.fixture
def reasons() -> list[str]:
    return []


@pytest.fixture
async def port(reasons: list[str]) -> AsyncIterator[int]:
    server = server_of(HttpSettings(port=0), reasons)
    yield await server.start()
    await server.aclose()


@pytest.fixture
async def get(port: int) -> AsyncIterator[Get]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        yield client.get


async def test_metrics_are_in_the_text_format(get: Get) -> None:
    async with get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert 'bridge_build_info{version="1.2.3"} 1.0' in await response.text()


async def test_prometheus_gets_openmetrics(port: int) -> None:
    url, headers = f"http://127.0.0.1:{port}/metrics", {"Accept": "application/openmetrics-text"}
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as response:
        assert response.headers["Content-Type"].startswith(
            "application/openmetrics-text; version=1"
        )
        text = await response.text()
    assert text.endswith("# EOF\n")
    assert text.count("# EOF") == 1


async def test_health_is_good_while_the_loop_runs(get: Get, reasons: list[str]) -> None:
    reasons.append("draining")
    async with get("/healthz") as response:
        assert response.status == 200
        assert await response.json() == {"status": "ok"}


async def test_readiness_follows_the_reasons(get: Get, reasons: list[str]) -> None:
    async with get("/readyz") as response:
        assert response.status == 200
        assert await response.json() == {"ready": True, "reasons": [], "troubles": []}
    reasons += ["draining", "no arm is alive"]
    async with get("/readyz") as response:
        assert response.status == 503
        told = {"reasons": ["draining", "no arm is alive"], "troubles": []}
        assert await response.json() == {"ready": False, **told}


async def test_troubles_are_told_and_keep_no_calls_away(
    get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "TROUBLES", ["Redis is away: silent"])
    async with get("/readyz") as response:
        assert response.status == 200
        told = {"reasons": [], "troubles": ["Redis is away: silent"]}
        assert await response.json() == {"ready": True, **told}


async def test_a_machine_is_ready_while_one_worker_serves() -> None:
    states = {"w1": "serving", "w2": "given up"}

    async def metrics() -> str:
        return 'a{worker="w1"} 1.0\n'

    app = make_site_app(None, lambda: states, metrics)
    server = HttpServer(HttpSettings(port=0), ConsoleSettings(), app)
    url, accept = f"http://127.0.0.1:{await server.start()}", "application/openmetrics-text"
    try:
        async with aiohttp.ClientSession(url, headers={"Accept": accept}) as client:
            async with client.get("/readyz") as response:
                assert response.status == 200
                assert await response.json() == {"ready": True, "reasons": [], "workers": states}
            states["w1"] = "draining"
            async with client.get("/readyz") as response:
                assert response.status == 503
                assert (await response.json())["reasons"] == ["no worker takes calls"]
            async with client.get("/metrics") as response:
                assert response.headers["Content-Type"].startswith("text/plain; version=")
                assert await response.text() == await metrics()
    finally:
        await server.aclose()


@pytest.mark.parametrize("path", ["/", "/metrics/", "/console"])
async def test_anything_else_is_not_found(get: Get, path: str) -> None:
    async with get(path) as response:
        assert response.status == 404


async def test_port_in_use_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = server_of(HttpSettings(port=port))
        with pytest.raises(InfrastructureError) as raised:
            await server.start()
        await server.aclose()
    assert str(raised.value).startswith(f"HTTP port {port} on 127.0.0.1 is in use; ")
    assert "BRIDGE_HTTP_PORT" in str(raised.value)
    assert raised.value.exit_code == 3


async def test_foreign_address_is_named_with_the_remedy() -> None:
    # 192.0.2.0/24 is kept for documentation (RFC 5737): no machine has it.
    server = server_of(HttpSettings(host="192.0.2.1", port=0))
    with pytest.raises(InfrastructureError, match=r"192\.0\.2\.1 cannot .*BRIDGE_HTTP_HOST"):
        await server.start()


async def test_port_is_free_again_after_closing() -> None:
    server = server_of(HttpSettings(port=0))
    port = await server.start()
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/healthz") as response,
    ):
        assert response.status == 200
        # The client still holds its connection: closing must not wait for it.
        await server.aclose()
    await server.aclose()
    again = server_of(HttpSettings(port=port))
    assert await again.start() == port
    await again.aclose()
